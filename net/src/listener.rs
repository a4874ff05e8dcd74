//! Listening sockets and what an accepted one is set to.
//!
//! The sockets are made here and handed to a driver, which waits on them; nothing here waits. A TCP
//! address is bound once per shard with SO_REUSEPORT, and the kernel spreads connections by hash. A
//! Unix path has no such spreading: it is bound once and the socket cloned for each shard.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// A listening TCP socket. IPv6 is bound for IPv6 only, so that `*` and `::*` can both be bound.
/// `reuse_port` lets every shard bind the same address; `backlog` is cut by the kernel to
/// `net.core.somaxconn`.
///
/// # Errors
///
/// The kernel's (`AddrInUse`, `AddrNotAvailable`, ...), with the address in the text.
pub fn tcp(address: SocketAddr, backlog: i32, reuse_port: bool) -> io::Result<Socket> {
    let bind = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restarted server must not wait for its former connections to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        if reuse_port {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(socket)
    };
    bind().map_err(|error: io::Error| named(error, &address.to_string()))
}

/// A listening Unix socket at `path`, with permission bits `mode` where given (else by the umask).
///
/// A socket file that nobody listens on, left by a killed server, is replaced. A live one, and a
/// file that is no socket, are left alone.
///
/// # Errors
///
/// `AddrInUse` for those two; else the kernel's, with the path in the text.
pub fn unix(path: &Path, mode: Option<u32>, backlog: i32) -> io::Result<Socket> {
    let bind = || {
        let address = SockAddr::unix(path)?;
        remove_stale(path, &address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&address)?;
        if let Some(mode) = mode {
            // Before listening: nobody connects with permissions that were not meant.
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        socket.listen(backlog)?;
        Ok(socket)
    };
    bind().map_err(|error: io::Error| named(error, &path.display().to_string()))
}

/// Unlinks the socket file at `path` if a connection to it is refused.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "a file that is no socket is there",
        ));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full backlog must read as alive, not block the start.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another server listens there",
        )),
    }
}

/// Sets what a client connection wants: no delay of small replies, and probes that notice a dead
/// peer after `keepalive` of silence plus three unanswered probes at a third of it (Redis's
/// `tcp-keepalive`). Does nothing to a Unix socket.
///
/// # Errors
///
/// The kernel's, when the connection is already gone; the socket may still be used.
pub fn tune_accepted(socket: &Socket, keepalive: Option<Duration>) -> io::Result<()> {
    if socket.local_addr()?.is_unix() {
        return Ok(());
    }
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    if let Some(idle) = keepalive.filter(|idle| !idle.is_zero()) {
        let interval = (idle / 3).max(Duration::from_secs(1));
        let probes = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(interval)
            .with_retries(3);
        socket.set_tcp_keepalive(&probes)?;
    }
    Ok(())
}

/// The peer's address as CLIENT LIST shows it, and the own: `ip:port`, `[v6]:port`, `/path:0`.
///
/// # Errors
///
/// The kernel's, when the connection is already gone.
pub fn address_texts(socket: &Socket) -> io::Result<(String, String)> {
    let local = socket.local_addr()?;
    // A Unix client has no name of its own; it is known by the path that it connected to.
    let peer = if local.is_unix() {
        local.clone()
    } else {
        socket.peer_addr()?
    };
    Ok((address_text(&peer), address_text(&local)))
}

/// One address as text; `?:0` for a family that has none.
fn address_text(address: &SockAddr) -> String {
    if let Some(inet) = address.as_socket() {
        inet.to_string()
    } else if address.is_unix() {
        let path = address.as_pathname().unwrap_or(Path::new(""));
        format!("{}:0", path.display())
    } else {
        "?:0".to_owned()
    }
}

fn named(error: io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    #[test]
    fn shards_share_one_tcp_address() {
        let first = tcp("127.0.0.1:0".parse().unwrap(), 16, true).unwrap();
        let address = first.local_addr().unwrap().as_socket().unwrap();
        tcp(address, 16, true).unwrap();
        let refused = tcp(address, 16, false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert!(
            refused.to_string().contains(&address.to_string()),
            "{refused}"
        );
    }

    #[test]
    fn both_families_fit_on_one_port() {
        let four = tcp("0.0.0.0:0".parse().unwrap(), 16, false).unwrap();
        let port = four.local_addr().unwrap().as_socket().unwrap().port();
        match tcp(SocketAddr::new("::".parse().unwrap(), port), 16, false) {
            Ok(six) => assert!(six.only_v6().unwrap()),
            // A host without IPv6 cannot show it.
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }

    #[test]
    fn accepted_sockets_send_at_once_and_probe_dead_peers() {
        let listener = tcp("127.0.0.1:0".parse().unwrap(), 16, false).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        tune_accepted(&accepted, Some(Duration::from_secs(300))).unwrap();
        assert!(accepted.tcp_nodelay().unwrap());
        assert_eq!(
            accepted.tcp_keepalive_time().unwrap(),
            Duration::from_secs(300)
        );
        assert_eq!(
            accepted.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(100)
        );
        let (peer, local) = address_texts(&accepted).unwrap();
        assert_eq!(peer, client.local_addr().unwrap().to_string());
        assert_eq!(local, address.to_string());
    }

    #[test]
    fn a_dead_unix_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("causet.sock");
        let live = unix(&path, Some(0o700), 16).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let client = UnixStream::connect(&path).unwrap();
        let (accepted, _) = live.accept().unwrap();
        tune_accepted(&accepted, Some(Duration::from_secs(300))).unwrap();
        let (peer, _) = address_texts(&accepted).unwrap();
        assert_eq!(peer, format!("{}:0", path.display()));
        assert_eq!(
            unix(&path, None, 16).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop((live, client));
        unix(&path, None, 16).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        fs::write(&path, "dear diary").unwrap();
        assert_eq!(
            unix(&path, None, 16).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary");
    }

    #[test]
    fn ipv6_text_has_brackets() {
        let address: SocketAddr = "[::1]:6379".parse().unwrap();
        assert_eq!(address_text(&address.into()), "[::1]:6379");
    }
}
