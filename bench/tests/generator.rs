//! The generator against a responder inside this process: no other program is needed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use causet_bench::error::Error;
use causet_bench::generator::{Address, Generator, Limit, Load, Pace};
use causet_bench::keys::Keys;
use causet_bench::reply::Scanner;
use causet_bench::schedule::Schedule;
use causet_bench::template::{Mix, Template};

/// Answers each request with `reply`, after `stall` before the `stall_at`th of a connection.
#[derive(Clone, Copy)]
struct Responder {
    reply: &'static [u8],
    stall_at: u64,
    stall: Duration,
}

impl Responder {
    fn steady(reply: &'static [u8]) -> Responder {
        Responder {
            reply,
            stall_at: u64::MAX,
            stall: Duration::ZERO,
        }
    }

    /// Serves on a free port until the process ends.
    fn start(self) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for connection in listener.incoming() {
                thread::spawn(move || self.serve(connection.unwrap()));
            }
        });
        Address::Tcp(address.to_string())
    }

    fn serve(self, mut connection: TcpStream) {
        // Requests are RESP arrays, so that the reply scanner counts them as well.
        let mut scanner = Scanner::default();
        let mut buffer = [0; 4096];
        let mut served = 0;
        while let Ok(bytes @ 1..) = connection.read(&mut buffer) {
            let requests = scanner.scan(&buffer[..bytes]).unwrap().replies;
            if (served..served + requests).contains(&self.stall_at) {
                thread::sleep(self.stall);
            }
            served += requests;
            if connection
                .write_all(&self.reply.repeat(requests as usize))
                .is_err()
            {
                return;
            }
        }
    }
}

fn load(address: Address, connections: usize, depth: usize) -> Load {
    Load {
        address,
        connections,
        depth,
        mix: Mix::single(Template::new(&["SET", "key:__rand_int__", "value"])),
        keys: Keys::uniform(1000),
        seed: 1,
    }
}

fn requests(count: u64) -> Limit {
    Limit {
        requests: Some(count),
        duration: None,
    }
}

#[test]
fn a_closed_loop_sends_exactly_what_was_asked() {
    let address = Responder::steady(b"+OK\r\n").start();
    let mut generator = Generator::connect(&load(address, 7, 16)).unwrap();
    // Not a multiple of the pipeline: the last batches are short. Twice: connections are reused.
    for _ in 0..2 {
        let outcome = generator
            .run(Pace::Closed, requests(10_007))
            .unwrap()
            .checked()
            .unwrap();
        assert_eq!(outcome.requests, 10_007);
        assert_eq!(outcome.latency.count(), 10_007);
        assert_eq!((outcome.errors, outcome.empty, outcome.unsent), (0, 0, 0));
    }
}

#[test]
fn a_mix_of_commands_is_answered_whole() {
    let address = Responder::steady(b"$2\r\nhi\r\n").start();
    let mut load = load(address, 3, 8);
    load.mix = Mix::weighted(vec![
        (Template::new(&["GET", "key:__rand_int__"]), 3),
        (
            Template::new(&["SET", "key:__rand_int__", "longer value"]),
            1,
        ),
    ]);
    let outcome = Generator::connect(&load)
        .unwrap()
        .run(Pace::Closed, requests(5_000))
        .unwrap();
    assert_eq!(outcome.checked().unwrap().requests, 5_000);
}

#[test]
fn a_duration_ends_the_run_and_every_reply_is_awaited() {
    let address = Responder::steady(b"*-1\r\n").start();
    let limit = Limit {
        requests: None,
        duration: Some(Duration::from_millis(100)),
    };
    let outcome = Generator::connect(&load(address, 2, 4))
        .unwrap()
        .run(Pace::Closed, limit)
        .unwrap();
    assert!(outcome.requests > 0);
    assert_eq!(outcome.empty, outcome.requests);
    assert!(outcome.elapsed < Duration::from_secs(5));
}

#[test]
fn error_replies_fail_the_run_with_the_first_text() {
    let address = Responder::steady(b"-OOM not now\r\n").start();
    let mut generator = Generator::connect(&load(address, 2, 1)).unwrap();
    let outcome = generator.run(Pace::Closed, requests(10)).unwrap();
    let Err(Error::ErrorReplies { count, first }) = outcome.checked() else {
        panic!("errors were taken for replies");
    };
    assert_eq!((count, first.as_str()), (10, "OOM not now"));
}

#[test]
fn an_open_loop_counts_a_stall_for_every_request_that_met_it() {
    let stalling = Responder {
        reply: b"+OK\r\n",
        stall_at: 100,
        stall: Duration::from_millis(200),
    };
    // One connection, 1000 requests a second, 500 of them: about 200 start during the stall and
    // wait 100 ms on average. A closed loop would have seen a single slow request.
    let mut generator = Generator::connect(&load(stalling.start(), 1, 1)).unwrap();
    let outcome = generator
        .run(Pace::open(Schedule::even(1000.0)), requests(500))
        .unwrap();
    assert_eq!(outcome.requests, 500);
    let percentiles = outcome.latency.percentiles();
    assert!(percentiles.max_ns >= 195_000_000, "{percentiles:?}");
    assert!(percentiles.p90_ns >= 100_000_000, "{percentiles:?}");
    assert!(outcome.elapsed >= Duration::from_millis(495));
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let address = Responder::steady(b"+OK\r\n").start();
    let limit = Limit {
        requests: None,
        duration: Some(Duration::from_millis(500)),
    };
    let mut generator = Generator::connect(&load(address, 4, 4)).unwrap();
    let outcome = generator
        .run(Pace::open(Schedule::even(2000.0)), limit)
        .unwrap();
    assert_eq!(outcome.requests, 1000);
    assert_eq!(outcome.unsent, 0);
}

#[test]
fn bursts_come_in_whole_pipelines_at_the_rate_of_their_requests() {
    let address = Responder::steady(b"+OK\r\n").start();
    let limit = Limit {
        requests: None,
        duration: Some(Duration::from_millis(500)),
    };
    let mut generator = Generator::connect(&load(address, 4, 16)).unwrap();
    // 250 bursts a second of 16 requests each, the first of them at once.
    let outcome = generator.run(Pace::bursts(4000.0, 16), limit).unwrap();
    assert_eq!(outcome.requests, 125 * 16);
    assert_eq!(outcome.latency.count(), outcome.requests);
    assert_eq!(outcome.unsent, 0);
}

#[test]
fn a_stall_is_counted_for_every_request_of_a_burst() {
    let stalling = Responder {
        reply: b"+OK\r\n",
        stall_at: 160,
        stall: Duration::from_millis(200),
    };
    // 100 bursts a second, 50 of them: those that start during the stall wait for it.
    let mut generator = Generator::connect(&load(stalling.start(), 1, 10)).unwrap();
    let outcome = generator
        .run(Pace::bursts(1000.0, 10), requests(495))
        .unwrap();
    assert_eq!(outcome.requests, 495, "the last burst is cut short");
    assert!(outcome.latency.percentiles().p90_ns >= 100_000_000);
}

#[test]
fn a_server_that_hangs_up_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string());
    thread::spawn(move || drop(listener.accept().unwrap()));
    let mut generator = Generator::connect(&load(address, 1, 1)).unwrap();
    assert!(matches!(
        generator.run(Pace::Closed, requests(1)),
        Err(Error::Io { .. })
    ));
}
