//! Commands about the connection itself: who speaks, in which protocol.

use super::arg::{Arguments, integer, is};
use super::container::wrong_arity;
use super::*;
use crate::client::{Client, ReplyMode};
use crate::config::Config;
use crate::version::REDIS_VERSION;
use causet_proto::resp::Protocol;

/// What may be called before authentication, and at any time.
const HANDSHAKE: u32 =
    flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH | flag::ALLOW_BUSY;

/// A password belongs neither into MONITOR nor into SLOWLOG.
const SECRET: u32 = flag::SKIP_MONITOR | flag::SKIP_SLOWLOG;

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ping",
        arity: -1,
        flags: flag::FAST,
        summary: "Answers PONG, or the message.",
        group: "connection",
        handler: ping,
        ..Command::BASE
    },
    Command {
        name: "echo",
        arity: 2,
        flags: flag::LOADING | flag::STALE | flag::FAST,
        summary: "Answers the message.",
        group: "connection",
        handler: echo,
        ..Command::BASE
    },
    Command {
        name: "hello",
        arity: -1,
        flags: HANDSHAKE | SECRET,
        summary: "Chooses the protocol version, and authenticates and names the connection.",
        since: "6.0.0",
        group: "connection",
        handler: hello,
        ..Command::BASE
    },
    Command {
        name: "auth",
        arity: -2,
        flags: HANDSHAKE | SECRET,
        summary: "Authenticates the connection.",
        group: "connection",
        handler: auth,
        ..Command::BASE
    },
    Command {
        name: "quit",
        arity: -1,
        flags: HANDSHAKE,
        summary: "Closes the connection after the replies before it.",
        group: "connection",
        handler: quit,
        ..Command::BASE
    },
    Command {
        name: "reset",
        arity: 1,
        flags: HANDSHAKE,
        summary: "Puts the connection into the state of a new one.",
        since: "6.2.0",
        group: "connection",
        handler: reset,
        ..Command::BASE
    },
];

fn ping<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    match args.len() {
        1 => call.reply().simple("PONG"),
        2 => call.reply().bulk(args.at(1)),
        _ => return Err(wrong_arity(call)),
    }
    Ok(())
}

fn echo<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.reply().bulk(args.at(1));
    Ok(())
}

fn hello<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let protocol = match args.get(1).map(integer) {
        None => call.client.protocol,
        Some(Ok(2)) => Protocol::Resp2,
        Some(Ok(3)) => Protocol::Resp3,
        Some(Ok(_)) => return Err(Failure::from("NOPROTO unsupported protocol version")),
        Some(Err(_)) => {
            let text = "ERR Protocol version is not an integer or out of range";
            return Err(Failure::from(text));
        }
    };
    let mut credentials = None;
    let mut name = None;
    let mut at = 2;
    while let Some(option) = args.get(at) {
        if is(option, "auth") && args.len() > at + 2 {
            credentials = Some((args.at(at + 1), args.at(at + 2)));
            at += 3;
        } else if is(option, "setname") && args.len() > at + 1 {
            name = Some(valid_name(args.at(at + 1))?);
            at += 2;
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(Failure::from(format!(
                "ERR Syntax error in HELLO option '{option}'"
            )));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(call, user, password)?;
    }
    if !call.client.authenticated {
        return Err(Failure::from(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        call.client.name = name.to_vec();
    }
    call.client.protocol = protocol;

    let id = call.client.id;
    let mut reply = call.reply();
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    });
    reply.bulk(b"id");
    reply.integer(id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

fn auth<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    match args.len() {
        2 if call.state.config.requirepass.is_empty() => {
            return Err(Failure::from(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            ));
        }
        2 => authenticate(call, b"default", args.at(1))?,
        3 => authenticate(call, args.at(1), args.at(2))?,
        _ => return Err(Failure::SYNTAX),
    }
    call.reply().ok();
    Ok(())
}

/// Marks the connection as authenticated, or says that the pair is wrong, and not which half.
fn authenticate(call: &mut Call<'_, '_>, user: &[u8], password: &[u8]) -> Result<(), Failure> {
    let required = &call.state.config.requirepass;
    let matches = required.is_empty() || same_secret(password, required);
    if user != b"default" || !matches {
        return Err(Failure::from(
            "WRONGPASS invalid username-password pair or user is disabled.",
        ));
    }
    call.client.authenticated = true;
    Ok(())
}

/// Compares in a time that depends on the length of what the client sent only, so that it learns
/// nothing of the secret by measuring.
fn same_secret(given: &[u8], secret: &[u8]) -> bool {
    let mut difference = given.len() ^ secret.len();
    for (at, byte) in given.iter().enumerate() {
        let other = secret[at % secret.len()];
        difference |= usize::from(std::hint::black_box(byte ^ other));
    }
    difference == 0
}

fn quit<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.reply().ok();
    call.client.close_after_reply = true;
    Ok(())
}

fn reset<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    super::server::stop_monitoring(call);
    let client = &mut *call.client;
    client.authenticated = starts_authenticated(&call.state.config);
    client.protocol = Protocol::Resp2;
    client.db = 0;
    client.name.clear();
    client.reply_mode = ReplyMode::On;
    client.no_evict = false;
    client.no_touch = false;
    call.reply().simple("RESET");
    Ok(())
}

/// Whether a new connection may run commands at once.
pub fn starts_authenticated(config: &Config) -> bool {
    config.requirepass.is_empty()
}

/// A name of a connection: printable and without spaces, so that CLIENT LIST stays one line of
/// `key=value` words for each client.
pub fn valid_name(name: &[u8]) -> Result<&[u8], Failure> {
    if !Client::is_word(name) {
        return Err(Failure::from(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::harness::Harness;
    use super::*;

    fn with_password() -> Harness {
        let mut harness = Harness::new();
        let changed = harness
            .state
            .config
            .set(&[("requirepass", "secret")], false);
        harness.state.config = Arc::new(changed.expect("is valid").config);
        harness.client.authenticated = false;
        harness
    }

    #[test]
    fn ping_and_echo_answer_what_they_are_told() {
        Harness::new().expect(&[
            ("ping", "+PONG\r\n"),
            ("PING hi", "$2\r\nhi\r\n"),
            (
                "ping a b",
                "-ERR wrong number of arguments for 'ping' command\r\n",
            ),
            ("echo hi", "$2\r\nhi\r\n"),
            (
                "echo",
                "-ERR wrong number of arguments for 'echo' command\r\n",
            ),
        ]);
    }

    #[test]
    fn hello_switches_the_protocol_only_when_all_of_it_is_right() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("hello 1", "-NOPROTO unsupported protocol version\r\n"),
            (
                "hello x",
                "-ERR Protocol version is not an integer or out of range\r\n",
            ),
            (
                "hello 3 auth",
                "-ERR Syntax error in HELLO option 'auth'\r\n",
            ),
            ("hello 3 foo", "-ERR Syntax error in HELLO option 'foo'\r\n"),
            (
                "hello 3 auth a b",
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            ),
        ]);
        assert_eq!(harness.client.protocol, Protocol::Resp2);
        let reply = harness.text("hello 3 setname me");
        assert_eq!(
            reply,
            "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n\
             :3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\n\
             master\r\n$7\r\nmodules\r\n*0\r\n"
        );
        assert_eq!(harness.client.name, b"me");
        assert!(harness.text("hello 2").starts_with("*14\r\n"));
    }

    #[test]
    fn a_password_is_asked_for_and_checked() {
        let mut harness = with_password();
        harness.expect(&[
            ("ping", "-NOAUTH Authentication required.\r\n"),
            (
                "auth no",
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            ),
            (
                "auth foo secret",
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            ),
            ("auth a b c", "-ERR syntax error\r\n"),
        ]);
        assert!(
            harness
                .text("hello 3")
                .starts_with("-NOAUTH HELLO must be called")
        );
        harness.expect(&[
            ("auth secret", "+OK\r\n"),
            ("ping", "+PONG\r\n"),
            ("reset", "+RESET\r\n"),
            ("ping", "-NOAUTH Authentication required.\r\n"),
        ]);
        assert!(
            harness
                .text("hello 2 auth default secret")
                .starts_with("*14\r\n")
        );
        Harness::new().expect(&[
            ("auth default anything", "+OK\r\n"),
            (
                "auth x",
                "-ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?\r\n",
            ),
        ]);
    }

    #[test]
    fn secrets_are_the_same_only_whole() {
        assert!(same_secret(b"abc", b"abc"));
        for wrong in [&b""[..], b"ab", b"abcabc", b"abd", b"abcd"] {
            assert!(!same_secret(wrong, b"abc"));
        }
    }

    #[test]
    fn quit_answers_and_closes() {
        let mut harness = Harness::new();
        harness.expect(&[("quit", "+OK\r\n")]);
        assert!(harness.client.close_after_reply);
    }
}
