//! LCS: the longest common subsequence of two strings.
//!
//! The rule kept: its table of lengths is transient memory, bounded by `proto-max-bulk-len` as a
//! client's largest request is.

use super::arg::{self, Arguments};
use super::flag::READONLY;
use super::*;

/// The rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "lcs",
    arity: -3,
    flags: READONLY,
    keys: Keys::TWO,
    route: Route::Keys,
    since: "7.0.0",
    group: "string",
    summary: "Finds the longest common subsequence of two strings.",
    complexity: "O(N*M) where N and M are the lengths of the strings.",
    handler: lcs,
    ..Command::BASE
}];

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: usize,
}

impl Options {
    fn parse(words: Args<'_>) -> Result<Self, Failure> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if arg::is(word, "LEN") {
                options.len = true;
            } else if arg::is(word, "IDX") {
                options.idx = true;
            } else if arg::is(word, "WITHMATCHLEN") {
                options.with_match_len = true;
            } else if arg::is(word, "MINMATCHLEN") {
                let len = arg::integer(words.next().ok_or(Failure::SYNTAX)?)?;
                options.min_match_len = usize::try_from(len).unwrap_or(0);
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        if options.len && options.idx {
            return Err(Failure::from(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// For each pair of beginnings of two strings the length of their longest common subsequence.
struct Lengths {
    columns: usize,
    cells: Vec<u32>,
}

impl Lengths {
    /// Fills the table. O(N*M).
    fn new(a: &[u8], b: &[u8]) -> Self {
        let columns = b.len() + 1;
        let mut cells = vec![0u32; (a.len() + 1) * columns];
        for (i, byte) in a.iter().enumerate() {
            let (above, row) = cells[i * columns..(i + 2) * columns].split_at_mut(columns);
            for (j, other) in b.iter().enumerate() {
                row[j + 1] = if byte == other {
                    above[j] + 1
                } else {
                    above[j + 1].max(row[j])
                };
            }
        }
        Lengths { columns, cells }
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.columns + j]
    }
}

/// A run that both strings have: where it starts in each, and its length.
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

/// The subsequence, and the runs it is made of from the last to the first. O(N+M).
fn trace(lengths: &Lengths, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Run>) {
    let (mut i, mut j) = (a.len(), b.len());
    let mut common = Vec::with_capacity(lengths.at(i, j) as usize);
    let mut runs: Vec<Run> = Vec::new();
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            common.push(a[i - 1]);
            match runs.last_mut() {
                Some(run) if run.a == i && run.b == j => {
                    *run = Run {
                        a: i - 1,
                        b: j - 1,
                        len: run.len + 1,
                    };
                }
                _ => runs.push(Run {
                    a: i - 1,
                    b: j - 1,
                    len: 1,
                }),
            }
            (i, j) = (i - 1, j - 1);
        } else if lengths.at(i - 1, j) > lengths.at(i, j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    common.reverse();
    (common, runs)
}

fn lcs<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let mut read = |at| match call.string(args.at(at)) {
        Ok(text) => Ok(text
            .map(|text| text.bytes().into_owned())
            .unwrap_or_default()),
        Err(_) => Err(Failure::from(
            "ERR The specified keys must contain string values",
        )),
    };
    let (a, b) = (read(1)?, read(2)?);
    let options = Options::parse(args.tail(3))?;
    let table_bytes = (a.len() as u64 + 1)
        .saturating_mul(b.len() as u64 + 1)
        .saturating_mul(4);
    if table_bytes > call.state.config.proto_max_bulk_len {
        return Err(Failure::from(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let lengths = Lengths::new(&a, &b);
    let len = i64::from(lengths.at(a.len(), b.len()));
    if options.len {
        call.reply().integer(len);
        return Ok(());
    }
    let (common, mut runs) = trace(&lengths, &a, &b);
    let mut reply = call.reply();
    if !options.idx {
        reply.bulk(&common);
        return Ok(());
    }
    runs.retain(|run| run.len >= options.min_match_len);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(runs.len());
    for run in runs {
        reply.array(2 + usize::from(options.with_match_len));
        for start in [run.a, run.b] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer((start + run.len - 1) as i64);
        }
        if options.with_match_len {
            reply.integer(run.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::harness::Harness;

    #[test]
    fn the_subsequence_its_length_and_its_runs() {
        let mut h = Harness::new();
        h.expect(&[
            ("mset a ohmytext b mynewtext", "+OK\r\n"),
            ("lcs a b", "$6\r\nmytext\r\n"),
            ("lcs a b len", ":6\r\n"),
            (
                "lcs a b idx",
                "*4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n\
                 *2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n$3\r\nlen\r\n:6\r\n",
            ),
            (
                "lcs a b idx minmatchlen 4 withmatchlen",
                "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n\
                 $3\r\nlen\r\n:6\r\n",
            ),
            ("lcs a none", "$0\r\n\r\n"),
            ("lcs a none len", ":0\r\n"),
        ]);
    }

    #[test]
    fn errors_are_those_of_redis() {
        let mut h = Harness::new();
        let z = crate::command::dump::tests::ZSET_PAYLOAD;
        h.run(&[b"restore", b"z", b"0", z]);
        h.expect(&[
            (
                "lcs a z",
                "-ERR The specified keys must contain string values\r\n",
            ),
            (
                "lcs a b len idx",
                "-ERR If you want both the length and indexes, please just use IDX.\r\n",
            ),
            ("lcs a b foo", "-ERR syntax error\r\n"),
            ("lcs a b minmatchlen", "-ERR syntax error\r\n"),
        ]);
    }
}
