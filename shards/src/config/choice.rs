//! Values that are one word out of a few, as Rust enums.
//!
//! Only directives that the server acts upon have an enum here; a word that is merely kept is a
//! `Word` in [`super::kind`]. The rule it keeps: a variant and its spelling are declared together.

/// An enum whose variants have spellings in the configuration.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every spelling with its variant, in the order in which errors list them.
    const SPELLINGS: &'static [(&'static str, Self)];

    /// This variant as the configuration spells it.
    fn spelling(self) -> &'static str {
        Self::SPELLINGS
            .iter()
            .find(|(_, variant)| *variant == self)
            .map(|(spelling, _)| *spelling)
            .expect("the macro below lists every variant")
    }
}

macro_rules! choices {
    ($($(#[$meta:meta])* enum $Name:ident { $($(#[$doc:meta])* $Variant:ident = $spelling:literal,)+ })+) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $Name { $($(#[$doc])* $Variant,)+ }

            impl Choice for $Name {
                const SPELLINGS: &'static [(&'static str, Self)] =
                    &[$(($spelling, $Name::$Variant),)+];
            }
        )+
    };
}

choices! {
    /// When a reply may leave, relative to its record reaching the disk.
    enum AppendFsync {
        /// At most the last second may be lost.
        EverySecond = "everysec",
        /// After its record is durable; all that waits shares one flush.
        Always = "always",
        /// When the kernel writes is the kernel's business.
        No = "no",
    }

    /// What happens to keys when `maxmemory` is reached.
    enum MaxmemoryPolicy {
        /// Delete keys with an expiry, least recently used first.
        VolatileLru = "volatile-lru",
        /// Delete keys with an expiry, least frequently used first.
        VolatileLfu = "volatile-lfu",
        /// Delete keys with an expiry, any of them.
        VolatileRandom = "volatile-random",
        /// Delete keys with an expiry, soonest to expire first.
        VolatileTtl = "volatile-ttl",
        /// Delete any key, least recently used first.
        AllkeysLru = "allkeys-lru",
        /// Delete any key, least frequently used first.
        AllkeysLfu = "allkeys-lfu",
        /// Delete any key.
        AllkeysRandom = "allkeys-random",
        /// Delete none: what is cold leaves memory and is read back from the log.
        NoEviction = "noeviction",
    }

    /// The least severity that is logged.
    enum LogLevel {
        /// Everything, for development.
        Debug = "debug",
        /// Details that are rarely needed.
        Verbose = "verbose",
        /// What an operator of a healthy server wants to see.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
    }

    /// Who may use what could harm the server (DEBUG, protected directives).
    enum LocalAccess {
        /// Nobody.
        No = "no",
        /// Every client.
        Yes = "yes",
        /// Clients on the loopback interface or the Unix socket.
        Local = "local",
    }

    /// What channels a new user may use.
    enum PubsubDefault {
        /// All of them.
        AllChannels = "allchannels",
        /// None of them.
        ResetChannels = "resetchannels",
    }

    /// Who started the server and wants to hear that it is ready.
    enum Supervised {
        /// Upstart: stop by SIGSTOP when ready.
        Upstart = "upstart",
        /// systemd: READY=1 on the socket in NOTIFY_SOCKET.
        Systemd = "systemd",
        /// Whichever of the two the environment shows.
        Auto = "auto",
        /// Nobody.
        No = "no",
    }

    /// The way to the kernel for client sockets and the log.
    enum IoDriver {
        /// io_uring where the kernel allows it, else epoll.
        Auto = "auto",
        /// io_uring, or no start.
        Uring = "uring",
        /// epoll.
        Epoll = "epoll",
    }
}

impl LocalAccess {
    /// Whether a client may, `from_this_host` saying that it is on the loopback or Unix socket.
    pub fn permits(self, from_this_host: bool) -> bool {
        match self {
            LocalAccess::No => false,
            LocalAccess::Yes => true,
            LocalAccess::Local => from_this_host,
        }
    }
}
