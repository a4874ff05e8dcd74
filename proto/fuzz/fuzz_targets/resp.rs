//! RESP from a hostile client, cut into pieces at hostile places.
//!
//! The law: requests and replies mean the same in one piece and in any pieces; no input panics; no
//! declared length allocates. The first byte says how many of those behind it are lengths of
//! pieces; the rest is the stream.

#![no_main]

use causet_proto::resp::{
    Argv, Parsed, ProtocolError, ReplyError, ReplyParser, RequestParser, Value, parse_double,
    parse_i64, parse_u64, write_request,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let (cuts, stream) = rest.split_at(rest.len().min(usize::from(count % 32)));
    let pieces = pieces(cuts, stream);

    for is_authenticated in [true, false] {
        let whole = requests(is_authenticated, &[stream]);
        assert_eq!(requests(is_authenticated, &pieces), whole);
        written_requests_read_back(&whole.0);
    }
    // Doubles are compared by their texts, as NaN is unlike itself.
    let whole = replies(&[stream]);
    assert_eq!(format!("{:?}", replies(&pieces)), format!("{whole:?}"));

    if let Some(value) = parse_i64(stream) {
        assert_eq!(value.to_string().as_bytes(), stream);
    }
    if let Some(value) = parse_u64(stream) {
        assert_eq!(value.to_string().as_bytes(), stream);
    }
    if let Some(value) = parse_double(stream) {
        let text = causet_proto::resp::format_double(value);
        assert_eq!(parse_double(&text).map(f64::to_bits), Some(value.to_bits()));
    }
});

/// Cuts the stream after as many bytes as each length says; what remains is the last piece.
fn pieces<'a>(cuts: &[u8], mut stream: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &cut in cuts {
        let (piece, rest) = stream.split_at(stream.len().min(usize::from(cut)));
        pieces.push(piece);
        stream = rest;
    }
    pieces.push(stream);
    pieces
}

type Commands = Vec<Vec<Vec<u8>>>;

fn requests(is_authenticated: bool, pieces: &[&[u8]]) -> (Commands, Option<ProtocolError>) {
    let mut parser = RequestParser::new();
    parser.set_authenticated(is_authenticated);
    let (mut argv, mut buf, mut commands) = (Argv::new(), Vec::new(), Commands::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match parser.parse(&buf[at..], &mut argv) {
                Ok(Parsed::Complete { consumed }) => {
                    let args = argv.args(&buf[at..]);
                    commands.push(args.iter().map(<[u8]>::to_vec).collect());
                    at += consumed;
                }
                Ok(Parsed::Skipped { consumed }) => at += consumed,
                Ok(Parsed::Incomplete { need }) => {
                    assert!(need == 0 || need > buf.len() - at);
                    break;
                }
                Err(error) => return (commands, Some(error)),
            }
        }
        buf.drain(..at);
    }
    (commands, None)
}

fn written_requests_read_back(commands: &Commands) {
    let mut bytes = Vec::new();
    for args in commands {
        write_request(&mut bytes, args);
    }
    assert_eq!(&requests(true, &[&bytes]), &(commands.clone(), None));
}

fn replies(pieces: &[&[u8]]) -> (Vec<Value>, Option<ReplyError>) {
    let (mut parser, mut buf, mut values) = (ReplyParser::new(), Vec::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match parser.parse(&buf) {
                Ok(step) => {
                    buf.drain(..step.consumed);
                    match step.value {
                        Some(value) => values.push(value),
                        None => break,
                    }
                }
                Err(error) => return (values, Some(error)),
            }
        }
    }
    (values, None)
}
