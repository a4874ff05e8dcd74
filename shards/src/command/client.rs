//! CLIENT: sessions of this connection and of all others.
//!
//! A session belongs to its shard; LIST and KILL hold all shards and walk their sessions. The one
//! that runs the command is out of its place meanwhile, so it is looked at separately.

use super::arg::{Arguments, integer, is};
use super::container::{reply_help, unknown_subcommand};
use super::*;
use crate::client::{Client, ReplyMode};

/// About one's own connection.
const OWN: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;
/// About others' connections.
const OTHERS: u32 = OWN | flag::ADMIN;

const SUB: Command = Command {
    flags: OWN,
    group: "connection",
    ..Command::BASE
};

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "client",
    arity: -2,
    summary: "Commands about client connections.",
    complexity: "Depends on the sub-command.",
    since: "2.4.0",
    group: "connection",
    handler: unknown_subcommand,
    subcommands: &[
        Command {
            name: "client|id",
            arity: 2,
            summary: "Answers the connection's unique id.",
            since: "5.0.0",
            handler: id,
            ..SUB
        },
        Command {
            name: "client|info",
            arity: 2,
            summary: "Describes the connection.",
            since: "6.2.0",
            handler: info,
            ..SUB
        },
        Command {
            name: "client|list",
            arity: -2,
            flags: OTHERS,
            route: Route::AllShards,
            summary: "Describes all connections, or some of them.",
            complexity: "O(N) where N is the number of connections",
            since: "2.4.0",
            handler: list,
            ..SUB
        },
        Command {
            name: "client|kill",
            arity: -3,
            flags: OTHERS,
            route: Route::AllShards,
            summary: "Closes connections.",
            complexity: "O(N) where N is the number of connections",
            since: "2.4.0",
            handler: kill,
            ..SUB
        },
        Command {
            name: "client|setname",
            arity: 3,
            summary: "Names the connection.",
            since: "2.6.9",
            handler: set_name,
            ..SUB
        },
        Command {
            name: "client|getname",
            arity: 2,
            summary: "Answers the connection's name.",
            since: "2.6.9",
            handler: get_name,
            ..SUB
        },
        Command {
            name: "client|setinfo",
            arity: 4,
            summary: "Says which client library the connection belongs to.",
            since: "7.2.0",
            handler: set_info,
            ..SUB
        },
        Command {
            name: "client|pause",
            arity: -3,
            flags: OTHERS,
            summary: "Lets commands, or only writes, wait for some time.",
            since: "3.0.0",
            handler: pause,
            ..SUB
        },
        Command {
            name: "client|unpause",
            arity: 2,
            flags: OTHERS,
            summary: "Ends a pause.",
            complexity: "O(N) where N is the number of connections that wait",
            since: "6.2.0",
            handler: unpause,
            ..SUB
        },
        Command {
            name: "client|no-evict",
            arity: 3,
            flags: OTHERS,
            summary: "Protects the connection from being closed when memory is short.",
            since: "7.0.0",
            handler: no_evict,
            ..SUB
        },
        Command {
            name: "client|no-touch",
            arity: 3,
            summary: "Lets the connection's commands leave no trace in the keys' access times.",
            since: "7.2.0",
            handler: no_touch,
            ..SUB
        },
        Command {
            name: "client|reply",
            arity: 3,
            summary: "Turns replies off and on.",
            since: "3.2.0",
            handler: reply,
            ..SUB
        },
        Command {
            name: "client|getredir",
            arity: 2,
            summary: "Answers where invalidation messages go.",
            since: "6.0.0",
            handler: get_redirection,
            ..SUB
        },
        Command {
            name: "client|trackinginfo",
            arity: 2,
            summary: "Tells how client-side caching is set up.",
            since: "6.2.0",
            handler: tracking_info,
            ..SUB
        },
        Command {
            name: "client|unblock",
            arity: -3,
            flags: OTHERS,
            summary: "Ends the waiting of a blocked connection.",
            complexity: "O(log N) where N is the number of connections",
            since: "5.0.0",
            handler: unblock,
            ..SUB
        },
        Command {
            name: "client|help",
            arity: 2,
            flags: flag::LOADING | flag::STALE,
            summary: "Lists the sub-commands.",
            since: "5.0.0",
            handler: help,
            ..SUB
        },
    ],
    ..Command::BASE
}];

fn id<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let id = call.client.id as i64;
    call.reply().integer(id);
    Ok(())
}

fn info<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let line = call.client.describe(call.now_ms()) + "\n";
    call.reply().verbatim(*b"txt", line.as_bytes());
    Ok(())
}

/// Runs `visit` on every session of the process, this one included.
fn for_each_client(call: &mut Call<'_, '_>, mut visit: impl FnMut(&mut Client)) {
    visit(call.client);
    call.for_each_shard(|state| {
        for (_, client) in &mut state.clients {
            if let Some(client) = client {
                visit(client);
            }
        }
    });
}

/// What CLIENT LIST TYPE and CLIENT KILL TYPE may name. Whoever is connected is a normal client:
/// peers have links of their own, and there is no leader to be a replica of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Other,
}

impl Kind {
    fn parse(word: &[u8]) -> Result<Kind, Failure> {
        if is(word, "normal") {
            return Ok(Kind::Normal);
        }
        if ["master", "replica", "slave", "pubsub"]
            .iter()
            .any(|known| is(word, known))
        {
            return Ok(Kind::Other);
        }
        let word = String::from_utf8_lossy(word);
        Err(Failure::from(format!("ERR Unknown client type '{word}'")))
    }
}

fn list<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let mut ids = None;
    let mut kind = Kind::Normal;
    match args.get(2) {
        None => {}
        Some(option) if args.len() == 4 && is(option, "type") => kind = Kind::parse(args.at(3))?,
        Some(option) if args.len() > 3 && is(option, "id") => {
            let invalid = |_| Failure::from("ERR Invalid client ID");
            let wanted = args.tail(3).iter().map(|arg| integer(arg).map_err(invalid));
            ids = Some(wanted.collect::<Result<Vec<i64>, _>>()?);
        }
        Some(_) => return Err(Failure::SYNTAX),
    }
    let now_ms = call.now_ms();
    let mut lines = Vec::new();
    for_each_client(call, |client| {
        let wanted = ids
            .as_ref()
            .is_none_or(|ids| ids.contains(&(client.id as i64)));
        if wanted && kind == Kind::Normal {
            lines.push((client.id, client.describe(now_ms)));
        }
    });
    lines.sort_unstable();
    let text: String = lines
        .into_iter()
        .flat_map(|(_, line)| [line, "\n".into()])
        .collect();
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(())
}

/// Which connections CLIENT KILL closes: those that fit everything that was given.
#[derive(Debug, Default)]
struct Filter<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    kind: Option<Kind>,
    age_s_min: Option<u64>,
    skips_me: bool,
}

impl<'a> Filter<'a> {
    /// Reads `name value` pairs.
    fn parse(args: Args<'a>) -> Result<Filter<'a>, Failure> {
        if !args.len().is_multiple_of(2) {
            return Err(Failure::SYNTAX);
        }
        let mut filter = Filter {
            skips_me: true,
            ..Filter::default()
        };
        for at in (0..args.len()).step_by(2) {
            let (name, value) = (args.at(at), args.at(at + 1));
            if is(name, "id") {
                let id = integer(value).ok().filter(|&id| id > 0);
                let error = Failure::from("ERR client-id should be greater than 0");
                filter.id = Some(id.ok_or(error)? as u64);
            } else if is(name, "maxage") {
                let age = integer(value)
                    .map_err(|_| Failure::from("ERR maxage is not an integer or out of range"))?;
                if age <= 0 {
                    return Err(Failure::from("ERR maxage should be greater than 0"));
                }
                filter.age_s_min = Some(age as u64);
            } else if is(name, "type") {
                filter.kind = Some(Kind::parse(value)?);
            } else if is(name, "addr") {
                filter.address = Some(value);
            } else if is(name, "laddr") {
                filter.local_address = Some(value);
            } else if is(name, "user") {
                if value != b"default" {
                    let value = String::from_utf8_lossy(value);
                    return Err(Failure::from(format!("ERR No such user '{value}'")));
                }
            } else if is(name, "skipme") && is(value, "yes") {
                filter.skips_me = true;
            } else if is(name, "skipme") && is(value, "no") {
                filter.skips_me = false;
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &Client, own_id: u64, now_ms: u64) -> bool {
        let age_s = now_ms.saturating_sub(client.created_ms) / 1000;
        let is_at = |address: &String, wanted| address.as_bytes() == wanted;
        self.id.is_none_or(|id| id == client.id)
            && self
                .address
                .is_none_or(|wanted| is_at(&client.address, wanted))
            && self
                .local_address
                .is_none_or(|wanted| is_at(&client.local_address, wanted))
            && self.kind.is_none_or(|kind| kind == Kind::Normal)
            && self.age_s_min.is_none_or(|least| age_s >= least)
            && !(self.skips_me && client.id == own_id)
    }
}

fn kill<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let is_old_form = args.len() == 3;
    let filter = if is_old_form {
        Filter {
            address: Some(args.at(2)),
            ..Filter::default()
        }
    } else {
        Filter::parse(args.tail(2))?
    };
    let (own_id, now_ms) = (call.client.id, call.now_ms());
    let mut killed = 0;
    for_each_client(call, |client| {
        if !client.close_now && filter.fits(client, own_id, now_ms) {
            killed += 1;
            if client.id == own_id {
                // The caller hears the answer first.
                client.close_after_reply = true;
            } else {
                client.close_now = true;
            }
        }
    });
    if killed > 0 {
        call.state.shared.wake_all();
    }
    match (is_old_form, killed) {
        (true, 0) => return Err(Failure::from("ERR No such client")),
        (true, _) => call.reply().ok(),
        (false, _) => call.reply().integer(killed),
    }
    Ok(())
}

fn set_name<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.client.name = connection::valid_name(args.at(2))?.to_vec();
    call.reply().ok();
    Ok(())
}

fn get_name<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let name = call.client.name.clone();
    match name.is_empty() {
        true => call.reply().null(),
        false => call.reply().bulk(&name),
    }
    Ok(())
}

fn set_info<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (option, value) = (args.at(2), args.at(3));
    let is_name = is(option, "lib-name");
    if !is_name && !is(option, "lib-ver") {
        let option = String::from_utf8_lossy(option);
        return Err(Failure::from(format!("ERR Unrecognized option '{option}'")));
    }
    if !Client::is_word(value) {
        let option = if is_name { "lib-name" } else { "lib-ver" };
        return Err(Failure::from(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    if is_name {
        call.client.library = value.to_vec();
    } else {
        call.client.library_version = value.to_vec();
    }
    call.reply().ok();
    Ok(())
}

fn pause<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let all = match args.get(3) {
        None => true,
        Some(mode) if args.len() == 4 && is(mode, "all") => true,
        Some(mode) if args.len() == 4 && is(mode, "write") => false,
        Some(_) if args.len() == 4 => {
            return Err(Failure::from("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
        Some(_) => return Err(Failure::SYNTAX),
    };
    let now_ms = call.now_ms();
    let until_ms = now_ms.saturating_add(timeout_ms(args.at(2))?);
    call.state.shared.pause(now_ms, until_ms, all);
    call.reply().ok();
    Ok(())
}

/// A time-out in milliseconds, with the errors that Redis has for it.
pub fn timeout_ms(arg: &[u8]) -> Result<u64, Failure> {
    let millis =
        integer(arg).map_err(|_| Failure::from("ERR timeout is not an integer or out of range"))?;
    u64::try_from(millis).map_err(|_| Failure::from("ERR timeout is negative"))
}

fn unpause<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.state.shared.unpause();
    call.reply().ok();
    Ok(())
}

/// `on` or `off`.
fn switch(arg: &[u8]) -> Result<bool, Failure> {
    match (is(arg, "on"), is(arg, "off")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Failure::SYNTAX),
    }
}

fn no_evict<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.client.no_evict = switch(args.at(2))?;
    call.reply().ok();
    Ok(())
}

fn no_touch<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    call.client.no_touch = switch(args.at(2))?;
    call.reply().ok();
    Ok(())
}

fn reply<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let mode = args.at(2);
    if is(mode, "on") {
        call.client.reply_mode = ReplyMode::On;
        call.reply().ok();
    } else if is(mode, "off") {
        call.client.reply_mode = ReplyMode::Off;
    } else if is(mode, "skip") {
        // Off is stronger: it lasts until ON.
        if call.client.reply_mode != ReplyMode::Off {
            call.client.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Failure::SYNTAX);
    }
    Ok(())
}

fn get_redirection<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    call.reply().integer(-1);
    Ok(())
}

fn tracking_info<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    let mut reply = call.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(1);
    reply.bulk(b"off");
    reply.bulk(b"redirect");
    reply.integer(-1);
    reply.bulk(b"prefixes");
    reply.array(0);
    Ok(())
}

fn unblock<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    match args.get(3) {
        None => {}
        Some(_) if args.len() > 4 => return Err(Failure::SYNTAX),
        Some(reason) if is(reason, "timeout") || is(reason, "error") => {}
        Some(_) => {
            let text = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
            return Err(Failure::from(text));
        }
    }
    integer(args.at(2))?;
    // No command blocks, so no client is blocked.
    call.reply().integer(0);
    Ok(())
}

fn help<'a>(call: &mut Call<'_, 'a>, _: Args<'a>) -> Result<(), Failure> {
    reply_help(
        call,
        &[
            "GETNAME",
            "    Answers the connection's name.",
            "GETREDIR",
            "    Answers the id that invalidation messages go to, -1 without tracking.",
            "ID",
            "    Answers the connection's id.",
            "INFO",
            "    Describes the connection.",
            "KILL <ip:port>",
            "    Closes the connection from that address.",
            "KILL <option> <value> [<option> <value> ...]",
            "    Closes the connections that fit all options:",
            "    * ADDR (<ip:port>|<unixsocket>:0)",
            "    * LADDR (<ip:port>|<unixsocket>:0)",
            "    * ID <client-id>",
            "    * MAXAGE <seconds>: connected at least so long.",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "    * USER <username>",
            "    * SKIPME (YES|NO): spares this connection (default: yes).",
            "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <client-id> ...]",
            "    Describes connections.",
            "NO-EVICT (ON|OFF)",
            "    Protects the connection from being closed when memory is short.",
            "NO-TOUCH (ON|OFF)",
            "    Lets the connection's commands leave the keys' access times alone.",
            "PAUSE <milliseconds> [WRITE|ALL]",
            "    Lets all commands, or only writes, wait.",
            "REPLY (ON|OFF|SKIP)",
            "    Turns replies off and on.",
            "SETINFO (LIB-NAME|LIB-VER) <value>",
            "    Says which client library this is.",
            "SETNAME <name>",
            "    Names the connection.",
            "TRACKINGINFO",
            "    Tells how client-side caching is set up.",
            "UNBLOCK <client-id> [TIMEOUT|ERROR]",
            "    Ends the waiting of a blocked connection.",
            "UNPAUSE",
            "    Ends a pause.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::harness::Harness;
    use super::*;

    fn crowd() -> Harness {
        let mut harness = Harness::new();
        harness.client.address = "10.0.0.1:1".into();
        for id in 2..5 {
            let address = format!("10.0.0.{id}:1");
            let client = Client {
                id,
                address,
                created_ms: 1_000_000_000,
                ..Client::default()
            };
            harness.state.clients.insert(Some(Box::new(client)));
        }
        harness
    }

    fn killed(harness: &Harness) -> Vec<u64> {
        let clients = harness
            .state
            .clients
            .iter()
            .filter_map(|(_, client)| client.as_ref());
        clients
            .filter(|client| client.close_now)
            .map(|client| client.id)
            .collect()
    }

    #[test]
    fn all_clients_are_listed_once_in_order() {
        let mut harness = crowd();
        let ids = |text: String| {
            let lines = text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
            let words = lines.iter().filter_map(|line| line.strip_prefix("id="));
            words
                .map(|rest| rest.split(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(harness.text("client list")), ["1", "2", "3", "4"]);
        assert_eq!(ids(harness.text("client list id 3 1 77")), ["1", "3"]);
        assert_eq!(ids(harness.text("client list type normal")).len(), 4);
        harness.expect(&[
            ("client list type pubsub", "$0\r\n\r\n"),
            ("client list type foo", "-ERR Unknown client type 'foo'\r\n"),
            ("client list id", "-ERR syntax error\r\n"),
            ("client list id a", "-ERR Invalid client ID\r\n"),
            ("client list foo", "-ERR syntax error\r\n"),
            (
                "client foo",
                "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n",
            ),
            (
                "client",
                "-ERR wrong number of arguments for 'client' command\r\n",
            ),
            (
                "client id 1",
                "-ERR wrong number of arguments for 'client|id' command\r\n",
            ),
            ("client id", ":1\r\n"),
        ]);
        assert!(
            harness
                .text("client info")
                .contains("cmd=client|info user=default")
        );
    }

    #[test]
    fn kill_closes_who_fits_all_options() {
        let mut harness = crowd();
        harness.expect(&[
            ("client kill 1.2.3.4:5", "-ERR No such client\r\n"),
            (
                "client kill id abc",
                "-ERR client-id should be greater than 0\r\n",
            ),
            (
                "client kill id 0",
                "-ERR client-id should be greater than 0\r\n",
            ),
            ("client kill type foo", "-ERR Unknown client type 'foo'\r\n"),
            ("client kill user nobody", "-ERR No such user 'nobody'\r\n"),
            ("client kill addr a b", "-ERR syntax error\r\n"),
            ("client kill skipme maybe id 3", "-ERR syntax error\r\n"),
            ("client kill id 99", ":0\r\n"),
            ("client kill type pubsub", ":0\r\n"),
            ("client kill 10.0.0.2:1", "+OK\r\n"),
            ("client kill 10.0.0.2:1", "-ERR No such client\r\n"),
            ("client kill id 3 addr 10.0.0.2:1", ":0\r\n"),
            ("client kill id 3 addr 10.0.0.3:1", ":1\r\n"),
            ("client kill maxage 10 id 4", ":0\r\n"),
            ("client kill id 1", ":0\r\n"),
        ]);
        assert_eq!(killed(&harness), [2, 3]);
        assert!(!harness.client.close_after_reply);
        harness.expect(&[("client kill type normal skipme no", ":2\r\n")]);
        assert_eq!(killed(&harness), [2, 3, 4]);
        assert!(harness.client.close_after_reply);
    }

    #[test]
    fn names_are_set_read_and_refused() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("client getname", "$-1\r\n"),
            ("client setname me", "+OK\r\n"),
            ("client getname", "$2\r\nme\r\n"),
            ("client setinfo lib-name py", "+OK\r\n"),
            ("client setinfo LIB-VER 1.2", "+OK\r\n"),
            ("client setinfo foo x", "-ERR Unrecognized option 'foo'\r\n"),
        ]);
        let reply = harness.run(&[b"client", b"setname", b"a b"]);
        assert!(reply.starts_with(b"-ERR Client names cannot contain spaces"));
        let reply = harness.run(&[b"client", b"setinfo", b"lib-ver", b"a b"]);
        assert!(reply.starts_with(b"-ERR lib-ver cannot contain spaces"));
        assert!(
            harness
                .text("client info")
                .contains(" lib-name=py lib-ver=1.2\n")
        );
        harness.expect(&[
            ("client setname ", "+OK\r\n"),
            ("client getname", "$-1\r\n"),
        ]);
    }

    #[test]
    fn a_pause_is_only_made_longer_and_wider() {
        let mut harness = Harness::new();
        let pause = |harness: &Harness| {
            let shared = &harness.state.shared;
            let until_ms = shared.pause_until_ms.load(Ordering::Relaxed);
            (until_ms, shared.pause_all.load(Ordering::Relaxed))
        };
        harness.expect(&[
            ("client pause 500", "+OK\r\n"),
            ("client pause 100 write", "+OK\r\n"),
        ]);
        assert_eq!(pause(&harness), (1_000_000_500, true));
        harness.expect(&[
            ("client unpause", "+OK\r\n"),
            ("client pause 9 WRITE", "+OK\r\n"),
        ]);
        assert_eq!(pause(&harness), (1_000_000_009, false));
        harness.expect(&[
            (
                "client pause a",
                "-ERR timeout is not an integer or out of range\r\n",
            ),
            ("client pause -1", "-ERR timeout is negative\r\n"),
            (
                "client pause 1 foo",
                "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n",
            ),
        ]);
    }

    #[test]
    fn switches_and_reply_modes_are_kept() {
        let mut harness = Harness::new();
        harness.expect(&[
            ("client no-evict on", "+OK\r\n"),
            ("client no-touch ON", "+OK\r\n"),
            ("client no-evict foo", "-ERR syntax error\r\n"),
            ("client reply foo", "-ERR syntax error\r\n"),
            ("client reply skip", ""),
        ]);
        assert!(harness.client.no_evict && harness.client.no_touch);
        assert_eq!(harness.client.reply_mode, ReplyMode::SkipNext);
        harness.expect(&[("client reply off", ""), ("client reply skip", "")]);
        assert_eq!(harness.client.reply_mode, ReplyMode::Off);
        harness.expect(&[("client reply on", "+OK\r\n")]);
    }

    #[test]
    fn what_is_not_in_use_says_so() {
        Harness::new().expect(&[
            ("client getredir", ":-1\r\n"),
            (
                "client trackinginfo",
                "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\n\
                 prefixes\r\n*0\r\n",
            ),
            ("client unblock 1", ":0\r\n"),
            (
                "client unblock a",
                "-ERR value is not an integer or out of range\r\n",
            ),
            (
                "client unblock 1 foo",
                "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n",
            ),
        ]);
    }
}
