//! Lists: LPUSH, LPOP, LRANGE and their family.
//!
//! Every element has a number that names it for ever, so an effect says which element is meant and
//! not where it stands: pushing emits one placement for each element, numbered onwards from the
//! list's next number, and popping removes the numbers that were read. Concurrent pushes therefore
//! all stay, and an element is removed once however many pop it.
//!
//! Rule: a command that adds elements gives them consecutive numbers, so that a queue's ids stay
//! one run.

use causet_core::effect::{Data, Placement};
use causet_core::id::ElementNumber;
use causet_core::value::List;
use smallvec::SmallVec;

use super::arg::{self, Arguments};
use super::call::Work;
use super::*;

const BASE: Command = Command {
    keys: Keys::ONE,
    route: Route::Keys,
    group: "list",
    ..Command::BASE
};
const GROWS: u32 = flag::WRITE | flag::DENYOOM;

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lpush",
        arity: -3,
        flags: GROWS | flag::FAST,
        summary: "Puts elements before the first of a list. Concurrent pushes all stay.",
        complexity: "O(1) for each element",
        handler: |call, args| push(call, args, Placement::Head, true),
        ..BASE
    },
    Command {
        name: "rpush",
        arity: -3,
        flags: GROWS | flag::FAST,
        summary: "Puts elements after the last of a list. Concurrent pushes all stay.",
        complexity: "O(1) for each element",
        handler: |call, args| push(call, args, Placement::Tail, true),
        ..BASE
    },
    Command {
        name: "lpushx",
        arity: -3,
        flags: GROWS | flag::FAST,
        summary: "Puts elements before the first of a list, if there is one.",
        complexity: "O(1) for each element",
        since: "2.2.0",
        handler: |call, args| push(call, args, Placement::Head, false),
        ..BASE
    },
    Command {
        name: "rpushx",
        arity: -3,
        flags: GROWS | flag::FAST,
        summary: "Puts elements after the last of a list, if there is one.",
        complexity: "O(1) for each element",
        since: "2.2.0",
        handler: |call, args| push(call, args, Placement::Tail, false),
        ..BASE
    },
    Command {
        name: "lpop",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes and returns the first elements of a list: those that were seen.",
        complexity: "O(N) with the N elements returned",
        handler: |call, args| pop(call, args, End::Left),
        ..BASE
    },
    Command {
        name: "rpop",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        summary: "Removes and returns the last elements of a list: those that were seen.",
        complexity: "O(N) with the N elements returned",
        handler: |call, args| pop(call, args, End::Right),
        ..BASE
    },
    Command {
        name: "llen",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        summary: "Returns the number of elements of a list.",
        handler: llen,
        ..BASE
    },
    Command {
        name: "lindex",
        arity: 3,
        flags: flag::READONLY,
        summary: "Returns the element at an index of a list.",
        complexity: "O(N) with the N chunks to the element from the nearer end",
        handler: lindex,
        ..BASE
    },
    Command {
        name: "lset",
        arity: 4,
        flags: GROWS,
        summary: "Replaces the element at an index of a list. The later of two replacements wins.",
        complexity: "O(N) with the N chunks to the element from the nearer end",
        handler: lset,
        ..BASE
    },
    Command {
        name: "linsert",
        arity: 5,
        flags: GROWS,
        summary: "Puts an element beside another one of a list, wherever that moves.",
        complexity: "O(N) with the N elements up to the pivot",
        since: "2.2.0",
        handler: linsert,
        ..BASE
    },
    Command {
        name: "lrange",
        arity: 4,
        flags: flag::READONLY,
        summary: "Returns the elements of a list from one index to another.",
        complexity: "O(S+N) with the S chunks to the start and the N elements returned",
        handler: lrange,
        ..BASE
    },
    Command {
        name: "lrem",
        arity: 4,
        flags: flag::WRITE,
        summary: "Removes the elements of a list that equal a value.",
        complexity: "O(N) with the N elements of the list",
        handler: lrem,
        ..BASE
    },
    Command {
        name: "ltrim",
        arity: 4,
        flags: flag::WRITE,
        summary: "Removes all elements of a list but those from one index to another.",
        complexity: "O(N) with the N elements removed",
        handler: ltrim,
        ..BASE
    },
    Command {
        name: "lpos",
        arity: -3,
        flags: flag::READONLY,
        summary: "Returns the indexes at which a value stands in a list.",
        complexity: "O(N) with the N elements of the list",
        since: "6.0.6",
        handler: lpos,
        ..BASE
    },
    Command {
        name: "lmove",
        arity: 5,
        flags: GROWS,
        keys: Keys::TWO,
        summary: "Moves an element from an end of a list to an end of another, or of the same.",
        since: "6.2.0",
        handler: lmove,
        ..BASE
    },
    Command {
        name: "rpoplpush",
        arity: 3,
        flags: GROWS,
        keys: Keys::TWO,
        summary: "Moves the last element of a list to the head of another, or of the same.",
        since: "1.2.0",
        handler: |call, args| transfer(call, args, End::Right, End::Left),
        ..BASE
    },
];

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

impl End {
    fn parse(arg: &[u8]) -> Result<End, Failure> {
        if arg::is(arg, "left") {
            Ok(End::Left)
        } else if arg::is(arg, "right") {
            Ok(End::Right)
        } else {
            Err(Failure::SYNTAX)
        }
    }

    /// The index of the `nth` element from this end, which must be there.
    #[inline]
    fn index(self, nth: usize, len: usize) -> usize {
        match self {
            End::Left => nth,
            End::Right => len - 1 - nth,
        }
    }

    fn placement(self) -> Placement {
        match self {
            End::Left => Placement::Head,
            End::Right => Placement::Tail,
        }
    }
}

/// A placement without a neighbour.
#[inline]
fn place<'a>(placement: Placement, number: u64, value: &'a [u8]) -> Data<'a> {
    Data::place(
        placement,
        ElementNumber::default(),
        ElementNumber(number),
        value,
    )
}

/// The number of element `index`, which must be there.
#[inline]
fn number_at(list: &List, index: usize) -> ElementNumber {
    let id = list.id_at(index).expect("every element has an id");
    ElementNumber(id.number)
}

fn push<'a>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    placement: Placement,
    makes: bool,
) -> Result<(), Failure> {
    let key = args.at(1);
    let (len, first) = match call.list(key)? {
        Some(list) => (list.len(), list.next_number()),
        None if makes => (0, call.first_number(key)),
        None => {
            call.reply().integer(0);
            return Ok(());
        }
    };
    for (number, value) in (first..).zip(args.iter().skip(2)) {
        call.emit(key, place(placement, number, value));
    }
    call.reply().integer((len + args.len() - 2) as i64);
    Ok(())
}

fn pop<'a>(call: &mut Call<'_, 'a>, args: Args<'a>, end: End) -> Result<(), Failure> {
    if args.len() > 3 {
        return Err(arg::wrong_number(call.command));
    }
    let count = args.get(2).map(arg::count).transpose()?;
    match (call.work_list(args.at(1))?, count) {
        ((None, mut work), None) => work.reply().null(),
        ((None, mut work), Some(_)) => work.reply().null_array(),
        ((Some(list), mut work), None) => {
            let index = end.index(0, list.len());
            work.reply()
                .bulk(list.get(index).expect("a key's list is not empty"));
            work.emit(Data::remove_number(number_at(list, index)));
        }
        ((Some(list), mut work), Some(count)) => {
            let len = list.len();
            let count = count.min(len);
            let range = match end {
                End::Left => 0..count,
                End::Right => len - count..len,
            };
            let mut reply = work.reply();
            reply.array(count);
            match end {
                End::Left => list.iter(range.clone()).for_each(|value| reply.bulk(value)),
                End::Right => list
                    .iter(range.clone())
                    .rev()
                    .for_each(|value| reply.bulk(value)),
            }
            remove(&mut work, list, range, end);
        }
    }
    Ok(())
}

/// Emits the removal of the elements of `range`, which begins or ends where the list does: at
/// `end`. The outermost go first, so that each is found at once when it is removed.
fn remove(work: &mut Work<'_, '_>, list: &List, range: std::ops::Range<usize>, end: End) {
    if range.len() == list.len() {
        work.emit(Data::remove_key());
        return;
    }
    let numbers = list
        .entries_in(range)
        .map(|(id, _)| ElementNumber(id.number));
    match end {
        End::Left => numbers.for_each(|number| work.emit(Data::remove_number(number))),
        End::Right => {
            let numbers: SmallVec<[ElementNumber; 16]> = numbers.collect();
            for &number in numbers.iter().rev() {
                work.emit(Data::remove_number(number));
            }
        }
    }
}

fn llen<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let len = call.list(args.at(1))?.map_or(0, List::len);
    call.reply().integer(len as i64);
    Ok(())
}

/// The place of `index`, which counts from the end where negative.
fn resolve(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 {
        index.checked_add(len as i64)?
    } else {
        index
    };
    usize::try_from(index).ok().filter(|&index| index < len)
}

fn lindex<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (list, mut output) = call.split_list(args.at(1))?;
    let value = match list {
        None => None,
        Some(list) => {
            resolve(arg::integer(args.at(2))?, list.len()).and_then(|index| list.get(index))
        }
    };
    match value {
        Some(value) => output.reply().bulk(value),
        None => output.reply().null(),
    }
    Ok(())
}

fn lset<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (list, mut work) = call.work_list(args.at(1))?;
    let list = list.ok_or(Failure::NO_SUCH_KEY)?;
    let index = resolve(arg::integer(args.at(2))?, list.len()).ok_or(Failure::OUT_OF_RANGE)?;
    let number = number_at(list, index);
    work.emit(place(Placement::Itself, number.0, args.at(3)));
    work.reply().ok();
    Ok(())
}

fn linsert<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let placement = if arg::is(args.at(2), "before") {
        Placement::Before
    } else if arg::is(args.at(2), "after") {
        Placement::After
    } else {
        return Err(Failure::SYNTAX);
    };
    let (list, mut work) = call.work_list(args.at(1))?;
    let Some(list) = list else {
        work.reply().integer(0);
        return Ok(());
    };
    let pivot = args.at(3);
    match list.iter(0..list.len()).position(|value| value == pivot) {
        None => work.reply().integer(-1),
        Some(index) => {
            let number = ElementNumber(list.next_number());
            work.emit(Data::place(
                placement,
                number_at(list, index),
                number,
                args.at(4),
            ));
            work.reply().integer(list.len() as i64 + 1);
        }
    }
    Ok(())
}

fn lrange<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (start, end) = (arg::integer(args.at(2))?, arg::integer(args.at(3))?);
    let (list, mut output) = call.split_list(args.at(1))?;
    let mut reply = output.reply();
    match list {
        None => reply.array(0),
        Some(list) => {
            let values = list.iter(arg::index_range(start, end, list.len()));
            reply.array(values.len());
            values.for_each(|value| reply.bulk(value));
        }
    }
    Ok(())
}

fn lrem<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let count = arg::integer(args.at(2))?;
    let value = args.at(3);
    let (list, mut work) = call.work_list(args.at(1))?;
    let Some(list) = list else {
        work.reply().integer(0);
        return Ok(());
    };
    let same = |other: &&[u8]| *other == value;
    let wanted = if count == 0 {
        usize::MAX
    } else {
        count.unsigned_abs() as usize
    };
    // The last ones are those behind the others, so that the walk is the same either way.
    let spared = if count < 0 {
        list.iter(0..list.len())
            .filter(same)
            .count()
            .saturating_sub(wanted)
    } else {
        0
    };
    let matching = list.entries().filter(|(_, other)| same(other));
    let mut removed = 0;
    for (id, _) in matching.skip(spared).take(wanted) {
        work.emit(Data::remove_number(ElementNumber(id.number)));
        removed += 1;
    }
    work.reply().integer(removed);
    Ok(())
}

fn ltrim<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (start, end) = (arg::integer(args.at(2))?, arg::integer(args.at(3))?);
    let (list, mut work) = call.work_list(args.at(1))?;
    if let Some(list) = list {
        let kept = arg::index_range(start, end, list.len());
        if kept.is_empty() {
            work.emit(Data::remove_key());
        } else {
            remove(&mut work, list, 0..kept.start, End::Left);
            remove(&mut work, list, kept.end..list.len(), End::Right);
        }
    }
    work.reply().ok();
    Ok(())
}

fn lpos<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (mut rank, mut count, mut len_max) = (1, None, 0);
    let mut rest = args.iter().skip(3);
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or(Failure::SYNTAX)?;
        if arg::is(name, "rank") {
            rank = arg::integer(value)?;
            if rank == 0 {
                return Err(Failure::from(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                     second ... or use negative to start from the end of the list",
                ));
            }
        } else if arg::is(name, "count") {
            count = Some(arg::count(value).map_err(|_| "ERR COUNT can't be negative")?);
        } else if arg::is(name, "maxlen") {
            len_max = arg::count(value).map_err(|_| "ERR MAXLEN can't be negative")?;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    let (list, mut output) = call.split_list(args.at(1))?;
    let found: SmallVec<[usize; 16]> = match list {
        None => SmallVec::new(),
        Some(list) => {
            let compared = if len_max == 0 { usize::MAX } else { len_max };
            let wanted = match count {
                None => 1,
                Some(0) => usize::MAX,
                Some(count) => count,
            };
            let (len, value) = (list.len(), args.at(2));
            let passed = rank.unsigned_abs() as usize - 1;
            let matches = |(index, other): (usize, &[u8])| (other == value).then_some(index);
            let all = list.iter(0..len).enumerate();
            if rank > 0 {
                all.take(compared)
                    .filter_map(matches)
                    .skip(passed)
                    .take(wanted)
                    .collect()
            } else {
                all.rev()
                    .take(compared)
                    .filter_map(matches)
                    .skip(passed)
                    .take(wanted)
                    .collect()
            }
        }
    };
    let mut reply = output.reply();
    if count.is_some() {
        reply.array(found.len());
        found.iter().for_each(|&index| reply.integer(index as i64));
    } else {
        match found.first() {
            Some(&index) => reply.integer(index as i64),
            None => reply.null(),
        }
    }
    Ok(())
}

fn lmove<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let (from, to) = (End::parse(args.at(3))?, End::parse(args.at(4))?);
    transfer(call, args, from, to)
}

/// Moves one element from a list's end `from` to the end `to` of another list or the same one.
fn transfer<'a>(
    call: &mut Call<'_, 'a>,
    args: Args<'a>,
    from: End,
    to: End,
) -> Result<(), Failure> {
    let (source, destination) = (args.at(1), args.at(2));
    let (list, mut work) = call.work_list(source)?;
    let Some(list) = list else {
        work.reply().null();
        return Ok(());
    };
    let index = from.index(0, list.len());
    let value = work.keep(list.get(index).expect("a key's list is not empty"));
    let gone = number_at(list, index);
    let number = match call.list(destination)? {
        Some(list) => list.next_number(),
        None => call.first_number(destination),
    };
    // The new element first: a list of one that is moved onto itself keeps its key and expiry.
    call.emit(destination, place(to.placement(), number, value));
    call.emit(source, Data::remove_number(gone));
    call.reply().bulk(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use causet_core::effect::{Effect, Meta, Payload};
    use causet_core::entry::Value;
    use causet_core::value::Collection;

    use super::super::harness::Harness;

    #[test]
    fn pushes_and_pops_answer_as_redis_does() {
        Harness::new().expect(&[
            ("RPUSH k a b c", ":3\r\n"),
            ("LPUSH k z y", ":5\r\n"),
            (
                "LRANGE k 0 -1",
                "*5\r\n$1\r\ny\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
            ),
            ("LPOP k", "$1\r\ny\r\n"),
            ("RPOP k 2", "*2\r\n$1\r\nc\r\n$1\r\nb\r\n"),
            ("RPOP k 9", "*2\r\n$1\r\na\r\n$1\r\nz\r\n"),
            ("LPOP k", "$-1\r\n"),
            ("LPOP k 1", "*-1\r\n"),
            ("LPUSHX k a", ":0\r\n"),
            ("RPUSHX k a", ":0\r\n"),
            ("LPUSH k a", ":1\r\n"),
            ("RPUSHX k b c", ":3\r\n"),
            ("LPOP k 0", "*0\r\n"),
            (
                "LPOP k -1",
                "-ERR value is out of range, must be positive\r\n",
            ),
            (
                "LPOP k x",
                "-ERR value is out of range, must be positive\r\n",
            ),
            (
                "LPOP k 1 2",
                "-ERR wrong number of arguments for 'lpop' command\r\n",
            ),
            ("LLEN k", ":3\r\n"),
            ("LLEN none", ":0\r\n"),
        ]);
    }

    #[test]
    fn reads_and_replacements_find_elements_from_either_end() {
        Harness::new().expect(&[
            ("RPUSH k a b c d e", ":5\r\n"),
            ("LINDEX k 0", "$1\r\na\r\n"),
            ("LINDEX k -1", "$1\r\ne\r\n"),
            ("LINDEX k 5", "$-1\r\n"),
            ("LINDEX k x", "-ERR value is not an integer or out of range\r\n"),
            ("LINDEX none x", "$-1\r\n"),
            ("LRANGE k 1 3", "*3\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n"),
            ("LRANGE k -2 -1", "*2\r\n$1\r\nd\r\n$1\r\ne\r\n"),
            ("LRANGE k 3 1", "*0\r\n"),
            ("LRANGE none x 1", "-ERR value is not an integer or out of range\r\n"),
            ("LSET k -1 E", "+OK\r\n"),
            ("LSET k 0 A", "+OK\r\n"),
            ("LSET k 5 x", "-ERR index out of range\r\n"),
            ("LSET k -6 x", "-ERR index out of range\r\n"),
            ("LSET none 0 x", "-ERR no such key\r\n"),
            ("LINSERT k BEFORE A 0", ":6\r\n"),
            ("LINSERT k AFTER E f", ":7\r\n"),
            ("LINSERT k after c c2", ":8\r\n"),
            ("LINSERT k BEFORE none x", ":-1\r\n"),
            ("LINSERT none BEFORE a x", ":0\r\n"),
            ("LINSERT k BESIDE a x", "-ERR syntax error\r\n"),
            ("LRANGE k 0 -1", "*8\r\n$1\r\n0\r\n$1\r\nA\r\n$1\r\nb\r\n$1\r\nc\r\n$2\r\nc2\r\n$1\r\nd\r\n$1\r\nE\r\n$1\r\nf\r\n"),
        ]);
    }

    #[test]
    fn removals_take_the_elements_that_are_meant() {
        Harness::new().expect(&[
            ("RPUSH k a b a c a b a", ":7\r\n"),
            ("LREM k 2 a", ":2\r\n"),
            ("LREM k -1 a", ":1\r\n"),
            ("LREM k 0 b", ":2\r\n"),
            ("LRANGE k 0 -1", "*2\r\n$1\r\nc\r\n$1\r\na\r\n"),
            ("LREM k 0 none", ":0\r\n"),
            ("LREM none 1 a", ":0\r\n"),
            (
                "LREM k x a",
                "-ERR value is not an integer or out of range\r\n",
            ),
            ("RPUSH k 1 2 3 4 5", ":7\r\n"),
            ("LTRIM k 1 -2", "+OK\r\n"),
            (
                "LRANGE k 0 -1",
                "*5\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n",
            ),
            ("LTRIM k 5 1", "+OK\r\n"),
            ("LRANGE k 0 -1", "*0\r\n"),
            ("LTRIM none 0 1", "+OK\r\n"),
            (
                "LTRIM k x 1",
                "-ERR value is not an integer or out of range\r\n",
            ),
        ]);
    }

    #[test]
    fn positions_are_found_by_rank_count_and_length() {
        Harness::new().expect(&[
            ("RPUSH k a b c 1 2 3 c c", ":8\r\n"),
            ("LPOS k c", ":2\r\n"),
            ("LPOS k c RANK 2", ":6\r\n"),
            ("LPOS k c RANK -1", ":7\r\n"),
            ("LPOS k c COUNT 2", "*2\r\n:2\r\n:6\r\n"),
            ("LPOS k c COUNT 0 RANK -2", "*2\r\n:6\r\n:2\r\n"),
            ("LPOS k c COUNT 0 MAXLEN 7", "*2\r\n:2\r\n:6\r\n"),
            ("LPOS k c RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list\r\n"),
            ("LPOS k c COUNT -1", "-ERR COUNT can't be negative\r\n"),
            ("LPOS k c MAXLEN -1", "-ERR MAXLEN can't be negative\r\n"),
            ("LPOS k c RANK", "-ERR syntax error\r\n"),
            ("LPOS k none", "$-1\r\n"),
            ("LPOS k none COUNT 0", "*0\r\n"),
            ("LPOS none c", "$-1\r\n"),
        ]);
    }

    #[test]
    fn moves_keep_every_element() {
        Harness::new().expect(&[
            ("RPUSH k a b c", ":3\r\n"),
            ("LMOVE k k RIGHT LEFT", "$1\r\nc\r\n"),
            ("LRANGE k 0 -1", "*3\r\n$1\r\nc\r\n$1\r\na\r\n$1\r\nb\r\n"),
            ("LMOVE k l LEFT RIGHT", "$1\r\nc\r\n"),
            ("RPOPLPUSH k l", "$1\r\nb\r\n"),
            ("RPOPLPUSH k k", "$1\r\na\r\n"),
            ("LRANGE l 0 -1", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("LMOVE none l LEFT LEFT", "$-1\r\n"),
            ("LMOVE k l UP LEFT", "-ERR syntax error\r\n"),
            ("SADD s x", ":1\r\n"),
            (
                "LMOVE k s LEFT LEFT",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            (
                "LMOVE s k LEFT LEFT",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
            ("LRANGE k 0 -1", "*1\r\n$1\r\na\r\n"),
            (
                "LPUSH s x",
                "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            ),
        ]);
    }

    fn numbers(harness: &Harness, key: &[u8]) -> Vec<u64> {
        let space = harness.state.engine.space(0);
        let slot = space.find(space.key(key)).expect("the key is there");
        match space.entry(slot).value() {
            Value::Collection(Collection::List(list)) => {
                list.entries().map(|(id, _)| id.number).collect()
            }
            _ => panic!("no list"),
        }
    }

    #[test]
    fn numbers_begin_at_the_effect_that_makes_the_list_and_are_never_given_twice() {
        let mut harness = Harness::new();
        harness.text("SADD other x");
        harness.text("RPUSH k a b c");
        assert_eq!(numbers(&harness, b"k"), [2, 3, 4]);
        harness.text("LPUSH k d e");
        assert_eq!(numbers(&harness, b"k"), [6, 5, 2, 3, 4]);
        harness.text("LINSERT k AFTER a x");
        harness.text("LSET k 0 changed");
        assert_eq!(numbers(&harness, b"k"), [6, 5, 2, 7, 3, 4]);
        harness.text("LTRIM k 1 0");
        harness.text("RPUSH k a");
        assert_eq!(
            numbers(&harness, b"k"),
            [harness.state.engine.last_offset().counter()]
        );
        harness.text("LMOVE k k LEFT RIGHT");
        harness.text("RPUSH k b");
        let numbers = numbers(&harness, b"k");
        assert!(numbers[0] > 8 && numbers[1] > numbers[0], "{numbers:?}");
    }

    #[test]
    fn a_list_moved_onto_itself_keeps_its_expiry() {
        let mut harness = Harness::new();
        harness.text("RPUSH k a");
        let expires = Payload::Meta(Meta::ExpireAt(harness.state.now.unix_ms() + 1000));
        let effect = Effect {
            db: 0,
            key: b"k",
            payload: expires,
        };
        let state = &mut harness.state;
        state
            .engine
            .commit(&mut state.journal, state.now, &[effect], false);
        harness.text("RPOPLPUSH k k");
        assert_eq!(harness.text("LLEN k"), ":1\r\n");
        harness.advance_ms(1000);
        assert_eq!(harness.text("LLEN k"), ":0\r\n");
        assert_eq!(harness.text("LPUSH k b"), ":1\r\n");
    }

    #[test]
    fn a_long_list_is_cut_at_both_ends() {
        let mut harness = Harness::new();
        for number in 0..5000 {
            harness.text(&format!("RPUSH k element:{number}"));
        }
        harness.text("LTRIM k 2000 2002");
        let want = "*3\r\n$12\r\nelement:2000\r\n$12\r\nelement:2001\r\n$12\r\nelement:2002\r\n";
        assert_eq!(harness.text("LRANGE k 0 -1"), want);
    }
}
