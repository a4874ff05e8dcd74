//! When keys expire: EXPIRE and its family, TTL and its family, PERSIST.
//!
//! Not how expired keys go: a key is removed where a command meets it (`State::use_entry`), and by
//! the shard's own sweep.
//!
//! The rule kept: an effect says a Unix time and never a duration, so that replaying it tomorrow
//! means the same. A time that has passed deletes at once.

use causet_core::effect::{Data, Meta};

use super::arg::{self, Arguments};
use super::flag::{FAST, NO_TOUCH, READONLY, WRITE};
use super::*;

const CHANGE: Command = Command {
    arity: -3,
    flags: WRITE | FAST,
    categories: category::KEYSPACE,
    keys: Keys::ONE,
    route: Route::Keys,
    ..Command::BASE
};

const ASK: Command = Command {
    arity: 2,
    flags: READONLY | FAST | NO_TOUCH,
    ..CHANGE
};

/// The rows. Of concurrent expiries the later wins, and PERSIST beats both.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "expire",
        summary: "Lets a key expire after some seconds.",
        handler: expire,
        ..CHANGE
    },
    Command {
        name: "pexpire",
        since: "2.6.0",
        summary: "Lets a key expire after some milliseconds.",
        handler: pexpire,
        ..CHANGE
    },
    Command {
        name: "expireat",
        since: "1.2.0",
        summary: "Lets a key expire at a Unix time in seconds.",
        handler: expireat,
        ..CHANGE
    },
    Command {
        name: "pexpireat",
        since: "2.6.0",
        summary: "Lets a key expire at a Unix time in milliseconds.",
        handler: pexpireat,
        ..CHANGE
    },
    Command {
        name: "persist",
        arity: 2,
        since: "2.2.0",
        summary: "Ends the expiry of a key.",
        handler: persist,
        ..CHANGE
    },
    Command {
        name: "ttl",
        summary: "Answers in how many seconds a key expires.",
        handler: ttl,
        ..ASK
    },
    Command {
        name: "pttl",
        since: "2.6.0",
        summary: "Answers in how many milliseconds a key expires.",
        handler: pttl,
        ..ASK
    },
    Command {
        name: "expiretime",
        since: "7.0.0",
        summary: "Answers the Unix time in seconds at which a key expires.",
        handler: expiretime,
        ..ASK
    },
    Command {
        name: "pexpiretime",
        since: "7.0.0",
        summary: "Answers the Unix time in milliseconds at which a key expires.",
        handler: pexpiretime,
        ..ASK
    },
];

/// How a command counts time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Seconds since the epoch.
    UnixSeconds,
    /// Milliseconds since the epoch.
    UnixMillis,
}

/// The Unix time in milliseconds that `count` units mean; may lie in the past, or before the epoch.
///
/// # Errors
/// "invalid expire time" where the time does not fit 63 bits.
pub fn deadline(call: &Call<'_, '_>, count: i64, unit: Unit) -> Result<i64, Failure> {
    let now_ms = call.now_ms() as i64;
    let at_ms = match unit {
        Unit::Seconds => count
            .checked_mul(1000)
            .and_then(|ms| ms.checked_add(now_ms)),
        Unit::Millis => count.checked_add(now_ms),
        Unit::UnixSeconds => count.checked_mul(1000),
        Unit::UnixMillis => Some(count),
    };
    at_ms.ok_or_else(|| invalid(call))
}

/// "invalid expire time" of the command that runs.
pub fn invalid(call: &Call<'_, '_>) -> Failure {
    Failure::from(format!(
        "ERR invalid expire time in '{}' command",
        call.command.name
    ))
}

/// NX, XX, GT and LT.
#[derive(Default)]
struct Condition {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Condition {
    fn parse(options: Args<'_>) -> Result<Self, Failure> {
        let mut condition = Condition::default();
        for option in options {
            if arg::is(option, "NX") {
                condition.absent = true;
            } else if arg::is(option, "XX") {
                condition.present = true;
            } else if arg::is(option, "GT") {
                condition.greater = true;
            } else if arg::is(option, "LT") {
                condition.less = true;
            } else {
                let mut text = b"ERR Unsupported option ".to_vec();
                text.extend_from_slice(option);
                return Err(Failure(text.into()));
            }
        }
        if condition.absent && (condition.present || condition.greater || condition.less) {
            return Err(Failure::from(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.greater && condition.less {
            return Err(Failure::from(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    /// Whether a key that expires at `old_ms`, or never, may get `new_ms`. Never is later than any.
    fn allows(&self, old_ms: Option<u64>, new_ms: i64) -> bool {
        let old = old_ms.map_or(i128::MAX, i128::from);
        let new = i128::from(new_ms);
        !(self.absent && old_ms.is_some()
            || self.present && old_ms.is_none()
            || self.greater && new <= old
            || self.less && new >= old)
    }
}

fn expire<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    expire_in(call, args, Unit::Seconds)
}

fn pexpire<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    expire_in(call, args, Unit::Millis)
}

fn expireat<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    expire_in(call, args, Unit::UnixSeconds)
}

fn pexpireat<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    expire_in(call, args, Unit::UnixMillis)
}

fn expire_in<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, unit: Unit) -> Result<(), Failure> {
    let key = args.at(1);
    let condition = Condition::parse(args.tail(3))?;
    let at_ms = deadline(call, arg::integer(args.at(2))?, unit)?;
    let old = call.peek(key).map(|entry| entry.expires_ms());
    let changes = old.is_some_and(|old_ms| condition.allows(old_ms, at_ms));
    if changes {
        let passed = at_ms <= call.now_ms() as i64;
        match u64::try_from(at_ms) {
            Ok(at_ms) if !passed => call.emit_meta(key, Meta::ExpireAt(at_ms)),
            _ => call.emit(key, Data::remove_key()),
        }
    }
    call.reply().integer(changes.into());
    Ok(())
}

fn persist<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let key = args.at(1);
    let had_expiry = call
        .peek(key)
        .is_some_and(|entry| entry.expires_ms().is_some());
    if had_expiry {
        call.emit_meta(key, Meta::Persist);
    }
    call.reply().integer(had_expiry.into());
    Ok(())
}

fn ttl<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    answer(call, args, |at_ms, now_ms| {
        (at_ms.saturating_sub(now_ms) + 500) / 1000
    })
}

fn pttl<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    answer(call, args, u64::saturating_sub)
}

fn expiretime<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    answer(call, args, |at_ms, _| (at_ms + 500) / 1000)
}

fn pexpiretime<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    answer(call, args, |at_ms, _| at_ms)
}

/// Replies -2 where there is no key, -1 where it does not expire, else what `count` makes of the
/// expiry and the present.
fn answer<'a>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    count: fn(u64, u64) -> u64,
) -> Result<(), Failure> {
    let now_ms = call.now_ms();
    let reply = match call.entry(args.at(1)).map(|entry| entry.expires_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => count(at_ms, now_ms) as i64,
    };
    call.reply().integer(reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    #[test]
    fn a_key_expires_when_its_time_has_come() {
        let mut h = Harness::new();
        h.expect(&[
            ("expire k 10", ":0\r\n"),
            ("set k v", "+OK\r\n"),
            ("ttl k", ":-1\r\n"),
            ("pexpiretime k", ":-1\r\n"),
            ("ttl none", ":-2\r\n"),
            ("expiretime none", ":-2\r\n"),
            ("expire k 10", ":1\r\n"),
            ("ttl k", ":10\r\n"),
            ("pttl k", ":10000\r\n"),
            ("expiretime k", ":1000010\r\n"),
            ("pexpiretime k", ":1000010000\r\n"),
            ("persist k", ":1\r\n"),
            ("persist k", ":0\r\n"),
            ("persist none", ":0\r\n"),
            ("pexpire k 1600", ":1\r\n"),
            ("ttl k", ":2\r\n"),
        ]);
        h.advance_ms(1599);
        h.expect(&[
            ("ttl k", ":0\r\n"),
            ("pttl k", ":1\r\n"),
            ("get k", "$1\r\nv\r\n"),
        ]);
        h.advance_ms(1);
        h.expect(&[
            ("get k", "$-1\r\n"),
            ("ttl k", ":-2\r\n"),
            ("dbsize", ":0\r\n"),
        ]);
    }

    #[test]
    fn a_time_that_has_passed_deletes_at_once() {
        let mut h = Harness::new();
        for line in [
            "expire k 0",
            "expire k -1",
            "pexpire k -5",
            "expireat k 1",
            "pexpireat k -9",
        ] {
            h.expect(&[
                ("set k v", "+OK\r\n"),
                (line, ":1\r\n"),
                ("dbsize", ":0\r\n"),
                (line, ":0\r\n"),
            ]);
        }
    }

    #[test]
    fn conditions_compare_with_the_present_expiry() {
        let mut h = Harness::new();
        h.expect(&[
            ("set k v", "+OK\r\n"),
            ("expire k 100 xx", ":0\r\n"),
            ("expire k 100 gt", ":0\r\n"),
            ("expire k 100 lt", ":1\r\n"),
            ("expire k 100 nx", ":0\r\n"),
            ("expire k 50 gt", ":0\r\n"),
            ("expire k 200 gt", ":1\r\n"),
            ("expire k 200 gt", ":0\r\n"),
            ("expire k 200 lt", ":0\r\n"),
            ("expire k 150 lt xx", ":1\r\n"),
            ("ttl k", ":150\r\n"),
            ("expire k -1 lt", ":1\r\n"),
            ("exists k", ":0\r\n"),
        ]);
    }

    #[test]
    fn errors_are_those_of_redis() {
        let mut h = Harness::new();
        h.expect(&[
            (
                "expire k x",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("expire k 1 foo", "-ERR Unsupported option foo\r\n"),
            (
                "expire k 1 nx xx",
                "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n",
            ),
            (
                "expire k 1 gt lt",
                "-ERR GT and LT options at the same time are not compatible\r\n",
            ),
            (
                "expire k 9223372036854775807",
                "-ERR invalid expire time in 'expire' command\r\n",
            ),
            (
                "pexpire k 9223372036854775807",
                "-ERR invalid expire time in 'pexpire' command\r\n",
            ),
        ]);
    }
}
