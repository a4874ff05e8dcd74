//! What every driver must do, run against each of them.
//!
//! A test is a generic function over `Driver`; `both!` runs it on io_uring and on epoll. Clients are
//! plain blocking sockets on other threads, so that nothing of a driver is tested with itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use causet_net::{
    AlignedBuf, AnyDriver, BLOCK_BYTES, Config, ConnId, Driver, EpollDriver, Event, IoDriver,
    SendBuf, UringDriver, Wait, listener,
};
use socket2::{SockRef, Socket};

/// Far above what any test needs; reached only by a driver that lost something.
const PATIENCE: Duration = Duration::from_secs(30);

macro_rules! both {
    ($($(#[$doc:meta])* fn $name:ident<D: Driver>($open:ident: fn(&Config) -> D) $body:block)*) => {
        mod generic {
            use super::*;
            $($(#[$doc])* pub fn $name<D: Driver + 'static>($open: fn(&Config) -> D) $body)*
        }
        mod uring {
            use super::*;
            fn open(config: &Config) -> UringDriver {
                UringDriver::open(config).unwrap()
            }
            $(#[test] fn $name() { generic::$name(open); })*
        }
        mod epoll {
            use super::*;
            fn open(config: &Config) -> EpollDriver {
                EpollDriver::open(config).unwrap()
            }
            $(#[test] fn $name() { generic::$name(open); })*
        }
    };
}

/// An event that outlives its turn.
#[derive(Debug)]
enum Seen {
    Accepted(u32, Socket),
    Received(ConnId, Vec<u8>),
    Closed(ConnId, Option<io::ErrorKind>),
    Sent(ConnId, SendBuf),
    File(u64, io::Result<usize>, Option<AlignedBuf>),
    Woken,
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Accepted { listener, socket } => Self::Accepted(listener, socket),
            Event::Received { conn, data } => {
                assert!(!data.is_empty());
                Self::Received(conn, data.to_vec())
            }
            Event::Closed { conn, error } => Self::Closed(conn, error.map(|error| error.kind())),
            Event::Sent { conn, buf } => {
                assert!(buf.is_empty(), "a returned buffer is cleared");
                Self::Sent(conn, buf)
            }
            Event::File { op, result, buf } => Self::File(op, result, buf),
            Event::Woken => Self::Woken,
        }
    }
}

/// One turn of at most `millis`.
fn turn(driver: &mut impl Driver, millis: u64) -> Vec<Seen> {
    let mut seen = Vec::new();
    let wait = match millis {
        0 => Wait::Poll,
        _ => Wait::Until(Instant::now() + Duration::from_millis(millis)),
    };
    driver
        .turn(wait, &mut |event| seen.push(event.into()))
        .unwrap();
    seen
}

/// Turns until `done` says so, which is asked after every turn with that turn's events.
fn turn_until<D: Driver>(driver: &mut D, mut done: impl FnMut(&mut D, Vec<Seen>) -> bool) {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        let seen = turn(driver, 100);
        if done(driver, seen) {
            return;
        }
        assert!(Instant::now() < give_up_at, "the driver owes an event");
    }
}

/// Turns for `millis`; everything that happened.
fn turn_for(driver: &mut impl Driver, millis: u64) -> Vec<Seen> {
    let end = Instant::now() + Duration::from_millis(millis);
    let mut seen = Vec::new();
    while Instant::now() < end {
        seen.extend(turn(driver, 10));
    }
    seen
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    (client, listener.accept().unwrap().0)
}

fn connected(driver: &mut impl Driver) -> (TcpStream, ConnId) {
    let (client, server) = tcp_pair();
    let conn = driver.attach(OwnedFd::from(server)).unwrap();
    (client, conn)
}

/// Turns until `len` bytes of one connection arrived.
fn receive(driver: &mut impl Driver, conn: ConnId, len: usize) -> Vec<u8> {
    let mut got = Vec::new();
    turn_until(driver, |_, seen| {
        for event in seen {
            match event {
                Seen::Received(from, data) if from == conn => got.extend(data),
                other => panic!("unexpected {other:?}"),
            }
        }
        got.len() >= len
    });
    got
}

/// Bytes of which a misplaced, lost or doubled one shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(0x9e37_79b1) >> 24) as u8)
        .collect()
}

both! {
    fn a_large_reply_reaches_a_slow_reader_whole<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        let bytes = pattern(64 << 20);
        let expected = bytes.clone();
        let reader = thread::spawn(move || {
            let mut got = vec![0; expected.len()];
            for piece in got.chunks_mut(1 << 20) {
                client.read_exact(piece).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
            assert!(got == expected);
            client
        });
        driver.send(conn, bytes.into()).unwrap();
        assert!(driver.send(conn, SendBuf::new()).is_err(), "one send at a time");
        turn_until(&mut driver, |_, seen| {
            seen.iter().any(|event| matches!(event, Seen::Sent(sent, _) if *sent == conn))
        });
        drop(reader.join().unwrap());
    }

    fn pieces_built_and_shared_leave_in_order<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        let value: Arc<[u8]> = pattern(100_000).into();
        let mut buf = SendBuf::new();
        let mut expected = Vec::new();
        // More pieces than one gathered system call takes.
        for i in 0..500 {
            let head = format!("${}-{i}\r\n", value.len());
            buf.extend_from_slice(head.as_bytes());
            buf.splice(Arc::clone(&value));
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&value);
        }
        let reader = thread::spawn(move || {
            let mut got = vec![0; expected.len()];
            client.read_exact(&mut got).unwrap();
            assert!(got == expected);
        });
        driver.send(conn, buf).unwrap();
        turn_until(&mut driver, |_, seen| {
            seen.iter().any(|event| matches!(event, Seen::Sent(..)))
        });
        assert_eq!(Arc::strong_count(&value), 1, "the driver keeps no share");
        reader.join().unwrap();
    }

    fn the_vector_comes_back_for_re_use<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        let mut buf = SendBuf::from(Vec::with_capacity(16 << 10));
        let start = buf.tail().as_ptr();
        for round in 0..100u8 {
            buf.extend_from_slice(&[round; 100]);
            driver.send(conn, buf).unwrap();
            let mut back = None;
            turn_until(&mut driver, |_, seen| {
                for event in seen {
                    if let Seen::Sent(_, buf) = event {
                        back = Some(buf);
                    }
                }
                back.is_some()
            });
            buf = back.unwrap();
            assert_eq!(buf.tail().as_ptr(), start);
            let mut got = [0; 100];
            client.read_exact(&mut got).unwrap();
            assert_eq!(got, [round; 100]);
        }
    }

    fn echo_keeps_every_byte_of_many_connections<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let mut clients = Vec::new();
        for _ in 0..20 {
            let (mut client, _) = connected(&mut driver);
            clients.push(thread::spawn(move || {
                let bytes = pattern(300_000);
                let mut writer = client.try_clone().unwrap();
                let sent = bytes.clone();
                let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
                let mut got = vec![0; bytes.len()];
                client.read_exact(&mut got).unwrap();
                assert!(got == bytes);
                writing.join().unwrap();
            }));
        }
        let mut waiting = std::collections::HashMap::<ConnId, Vec<u8>>::new();
        let mut over = 0;
        turn_until(&mut driver, |driver, seen| {
            for event in seen {
                match event {
                    Seen::Received(conn, data) => waiting.entry(conn).or_default().extend(data),
                    Seen::Closed(conn, _) => {
                        driver.close(conn);
                        over += 1;
                    }
                    _ => {}
                }
            }
            for (conn, bytes) in &mut waiting {
                if let Err(refused) = driver.send(*conn, std::mem::take(bytes).into()) {
                    *bytes = refused.0.into_vec();
                }
            }
            waiting.retain(|_, bytes| !bytes.is_empty());
            over == clients.len()
        });
        for client in clients {
            client.join().unwrap();
        }
    }

    fn a_pause_holds_back_and_loses_nothing<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        let bytes = pattern(8 << 20);
        let expected = bytes.clone();
        let writer = thread::spawn(move || {
            client.write_all(&bytes).unwrap();
            client
        });
        let mut got = Vec::new();
        while got.len() < expected.len() {
            got.extend(receive(&mut driver, conn, 1));
            driver.pause(conn);
            // Long pauses at first, so that the peer's window fills up; later many short ones.
            let millis = if got.len() < 1 << 20 { 20 } else { 1 };
            let seen = turn_for(&mut driver, millis);
            assert!(seen.is_empty(), "{seen:?} in a pause");
            if got.len() % 3 == 0 {
                // Without a turn in between, and twice.
                driver.resume(conn);
                driver.pause(conn);
            }
            driver.resume(conn);
        }
        assert!(got == expected);
        drop(writer.join().unwrap());
        turn_until(&mut driver, |_, seen| {
            seen.iter().any(|event| matches!(event, Seen::Closed(closed, None) if *closed == conn))
        });
    }

    fn the_end_that_comes_in_a_pause_is_told_after_it<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        turn(&mut driver, 0);
        driver.pause(conn);
        client.write_all(b"last words").unwrap();
        drop(client);
        assert!(turn_for(&mut driver, 30).is_empty());
        driver.resume(conn);
        let mut words = Vec::new();
        turn_until(&mut driver, |_, seen| {
            let mut closed = false;
            for event in seen {
                match event {
                    Seen::Received(_, data) => words.extend(data),
                    Seen::Closed(_, error) => {
                        assert_eq!(error, None);
                        closed = true;
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
            closed
        });
        assert_eq!(words, b"last words");
    }

    fn a_half_closed_peer_still_gets_its_reply<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        client.write_all(b"PING").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut closed = 0;
        let mut request = Vec::new();
        turn_until(&mut driver, |_, seen| {
            for event in seen {
                match event {
                    Seen::Received(_, data) => request.extend(data),
                    Seen::Closed(_, None) => closed += 1,
                    other => panic!("unexpected {other:?}"),
                }
            }
            closed > 0
        });
        assert_eq!(request, b"PING");
        driver.send(conn, b"+PONG\r\n".to_vec().into()).unwrap();
        let seen = turn_for(&mut driver, 50);
        assert!(matches!(seen[..], [Seen::Sent(..)]), "{seen:?}");
        driver.close(conn);
        turn(&mut driver, 10);
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).unwrap();
        assert_eq!(reply, b"+PONG\r\n");
    }

    fn a_reset_is_told_once_with_its_error<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (client, conn) = connected(&mut driver);
        turn(&mut driver, 0);
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let seen = turn_for(&mut driver, 100);
        assert!(
            matches!(seen[..], [Seen::Closed(_, Some(io::ErrorKind::ConnectionReset))]),
            "{seen:?}"
        );
        // Sending into the broken connection returns the buffer and tells nothing twice.
        driver.send(conn, vec![1; 100].into()).unwrap();
        let seen = turn_for(&mut driver, 50);
        assert!(matches!(seen[..], [Seen::Sent(..)]), "{seen:?}");
        driver.close(conn);
    }

    fn a_peer_that_never_reads_is_closed_with_its_buffer_returned<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        driver.send(conn, pattern(64 << 20).into()).unwrap();
        assert!(turn_for(&mut driver, 20).is_empty());
        driver.close(conn);
        let seen = turn_for(&mut driver, 50);
        assert!(matches!(seen[..], [Seen::Sent(..)]), "{seen:?}");
        client.read_to_end(&mut Vec::new()).unwrap();
    }

    fn nothing_is_told_of_a_closed_connection<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let mut clients = Vec::new();
        for _ in 0..50 {
            let (mut client, conn) = connected(&mut driver);
            client.write_all(&pattern(1000)).unwrap();
            clients.push(client);
            driver.close(conn);
            driver.close(conn);
            driver.pause(conn);
            driver.resume(conn);
            assert!(driver.send(conn, SendBuf::new()).is_err());
        }
        let seen = turn_for(&mut driver, 50);
        assert!(seen.is_empty(), "{seen:?}");
        for mut client in clients {
            // End of stream, or a reset since the server never read: over in any case.
            let _ = client.read_to_end(&mut Vec::new()).inspect_err(|error| {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            });
        }
    }

    fn a_thousand_connections_come_and_go<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let socket = listener::tcp("127.0.0.1:0".parse().unwrap(), 511, true).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        driver.listen(socket.into(), 7).unwrap();
        let clients = thread::spawn(move || {
            for _ in 0..10 {
                let mut batch = Vec::new();
                for _ in 0..100 {
                    batch.push(TcpStream::connect(address).unwrap());
                }
                for client in &mut batch {
                    client.write_all(b"hello").unwrap();
                }
                for client in &mut batch {
                    let mut reply = [0; 5];
                    client.read_exact(&mut reply).unwrap();
                    assert_eq!(&reply, b"hello");
                }
            }
        });
        let (mut accepted, mut closed) = (0, 0);
        turn_until(&mut driver, |driver, seen| {
            for event in seen {
                match event {
                    Seen::Accepted(token, socket) => {
                        assert_eq!(token, 7);
                        listener::tune_accepted(&socket, None).unwrap();
                        driver.attach(socket.into()).unwrap();
                        accepted += 1;
                    }
                    Seen::Received(conn, data) => driver.send(conn, data.into()).unwrap(),
                    Seen::Closed(conn, _) => {
                        driver.close(conn);
                        closed += 1;
                    }
                    Seen::Sent(..) => {}
                    other => panic!("unexpected {other:?}"),
                }
            }
            closed == 1000
        });
        assert_eq!(accepted, 1000);
        clients.join().unwrap();
    }

    fn shards_share_a_unix_listener_until_they_stop_listening<D: Driver>(open: fn(&Config) -> D) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let socket = listener::unix(&path, None, 64).unwrap();
        let (mut first, mut second) = (open(&Config::default()), open(&Config::default()));
        first.listen(socket.try_clone().unwrap().into(), 1).unwrap();
        second.listen(socket.into(), 2).unwrap();
        assert!(first.listen(tcp_pair().0.into(), 1).is_err(), "the token is taken");
        let connect = || std::os::unix::net::UnixStream::connect(&path).unwrap();
        let _clients: Vec<_> = (0..20).map(|_| connect()).collect();
        let mut accepted = 0;
        while accepted < 20 {
            accepted += turn(&mut first, 10).len() + turn(&mut second, 10).len();
        }
        first.unlisten(1);
        assert!(turn_for(&mut first, 20).is_empty());
        let _client = connect();
        turn_until(&mut second, |_, seen| {
            seen.iter().any(|event| matches!(event, Seen::Accepted(2, _)))
        });
        assert!(turn(&mut first, 10).is_empty());
    }

    fn few_receive_buffers_serve_many_senders<D: Driver>(open: fn(&Config) -> D) {
        let config = Config { recv_buffers: 2, recv_buffer_bytes: 512, ..Config::default() };
        let mut driver = open(&config);
        let bytes = pattern(200_000);
        let mut got = std::collections::HashMap::<ConnId, Vec<u8>>::new();
        for _ in 0..16 {
            let (mut client, conn) = connected(&mut driver);
            got.insert(conn, Vec::new());
            let bytes = bytes.clone();
            thread::spawn(move || client.write_all(&bytes).unwrap());
        }
        let mut closed = 0;
        turn_until(&mut driver, |driver, seen| {
            for event in seen {
                match event {
                    Seen::Received(conn, data) => got.get_mut(&conn).unwrap().extend(data),
                    Seen::Closed(conn, None) => {
                        driver.close(conn);
                        closed += 1;
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
            closed == 16
        });
        assert!(got.values().all(|all| *all == bytes));
    }

    fn more_requests_than_the_queue_holds_all_go_out<D: Driver>(open: fn(&Config) -> D) {
        let config = Config { submission_entries: 2, ..Config::default() };
        let mut driver = open(&config);
        let mut pairs: Vec<_> = (0..100).map(|_| connected(&mut driver)).collect();
        for (client, conn) in &mut pairs {
            client.write_all(b"question").unwrap();
            driver.send(*conn, b"answer".to_vec().into()).unwrap();
        }
        let (mut sent, mut received) = (0, 0);
        turn_until(&mut driver, |_, seen| {
            for event in seen {
                match event {
                    Seen::Sent(..) => sent += 1,
                    Seen::Received(_, data) => received += data.len(),
                    other => panic!("unexpected {other:?}"),
                }
            }
            sent == 100 && received == 100 * b"question".len()
        });
        for (client, _) in &mut pairs {
            let mut answer = [0; 6];
            client.read_exact(&mut answer).unwrap();
        }
    }

    fn connections_above_the_limit_are_refused<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config { connections_max: 1, ..Config::default() });
        let (_client, conn) = connected(&mut driver);
        let (_other, server) = tcp_pair();
        let refused = driver.attach(server.try_clone().unwrap().into()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
        driver.close(conn);
        turn_for(&mut driver, 20);
        driver.attach(server.into()).unwrap();
    }

    fn files_are_written_flushed_and_read_back<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config { file_ops_max: 4, ..Config::default() });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        // Some file systems of test machines refuse O_DIRECT; the rest is the same there.
        let file = options
            .clone()
            .custom_flags(libc::O_DIRECT)
            .open(&path)
            .or_else(|_| options.open(&path))
            .unwrap();
        let file = Arc::new(file);
        let block = |byte: u8| {
            let mut buf = AlignedBuf::with_capacity(BLOCK_BYTES);
            buf.resize(BLOCK_BYTES, byte);
            buf
        };
        for op in 0..4u64 {
            let dsync = op % 2 == 0;
            driver.write(&file, block(op as u8), op * BLOCK_BYTES as u64, dsync, op).unwrap();
        }
        let refused = driver.write(&file, block(9), 0, false, 9).unwrap_err();
        assert_eq!(refused.0[..], block(9)[..]);
        let mut done = Vec::new();
        turn_until(&mut driver, |_, seen| {
            for event in seen {
                let Seen::File(op, result, buf) = event else { panic!("unexpected {event:?}") };
                assert_eq!(result.unwrap(), BLOCK_BYTES);
                assert_eq!(buf.unwrap()[..], block(op as u8)[..]);
                done.push(op);
            }
            done.len() == 4
        });
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3]);

        driver.fdatasync(&file, 10).unwrap();
        driver.read(&file, block(0xff), BLOCK_BYTES, 2 * BLOCK_BYTES as u64, 11).unwrap();
        driver.read(&file, block(0xff), BLOCK_BYTES, 1 << 30, 12).unwrap();
        let read_only = Arc::new(File::open(&path).unwrap());
        driver.write(&read_only, block(1), 0, false, 13).unwrap();
        let mut left = 4;
        turn_until(&mut driver, |_, seen| {
            for event in seen {
                left -= 1;
                match event {
                    Seen::File(10, result, None) => assert_eq!(result.unwrap(), 0),
                    Seen::File(11, result, Some(buf)) => {
                        assert_eq!(result.unwrap(), BLOCK_BYTES);
                        assert_eq!(buf[..], block(2)[..]);
                    }
                    Seen::File(12, result, Some(buf)) => {
                        assert_eq!((result.unwrap(), buf.len()), (0, 0), "behind the end");
                    }
                    Seen::File(13, result, Some(_)) => {
                        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
            left == 0
        });
    }

    fn any_thread_ends_the_wait<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        // A ring before the wait counts.
        driver.waker().wake();
        let mut woken = 0;
        driver.turn(Wait::Forever, &mut |event| woken += matches!(event, Event::Woken) as u32).unwrap();
        assert_eq!(woken, 1);
        let waker = driver.waker();
        let ringer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            waker.wake();
        });
        let start = Instant::now();
        woken = 0;
        while woken == 0 {
            let heard = &mut |event: Event<'_>| woken += matches!(event, Event::Woken) as u32;
            driver.turn(Wait::Forever, heard).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        ringer.join().unwrap();
    }

    fn peers_wake_each_other<D: Driver>(open: fn(&Config) -> D) {
        const ROUNDS: u32 = 1000;
        let (give_address, address) = mpsc::channel();
        let (give_back, back) = mpsc::channel();
        let peer = thread::spawn(move || {
            let mut driver = open(&Config::default());
            give_address.send(driver.peer()).unwrap();
            let caller: causet_net::PeerHandle = back.recv().unwrap();
            for _ in 0..ROUNDS {
                hear(&mut driver);
                driver.wake(&caller);
            }
            turn(&mut driver, 0);
        });
        let mut driver = open(&Config::default());
        let callee = address.recv().unwrap();
        give_back.send(driver.peer()).unwrap();
        for _ in 0..ROUNDS {
            driver.wake(&callee);
            hear(&mut driver);
        }
        peer.join().unwrap();
        // A peer that is gone is nobody's trouble.
        driver.wake(&callee);
        assert!(turn_for(&mut driver, 20).is_empty());
    }

    fn a_wait_ends_in_time<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let start = Instant::now();
        assert!(turn(&mut driver, 20).is_empty());
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(20) && waited < Duration::from_secs(5), "{waited:?}");
        let start = Instant::now();
        turn(&mut driver, 0);
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    fn a_driver_dropped_in_the_middle_closes_its_sockets<D: Driver>(open: fn(&Config) -> D) {
        let mut driver = open(&Config::default());
        let (mut client, conn) = connected(&mut driver);
        let (mut idle, _) = connected(&mut driver);
        driver.send(conn, pattern(64 << 20).into()).unwrap();
        turn(&mut driver, 0);
        let _address = driver.peer();
        let start = Instant::now();
        drop(driver);
        assert!(start.elapsed() < Duration::from_secs(2));
        client.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    }
}

/// Waits until the driver's bell rings.
fn hear(driver: &mut impl Driver) {
    turn_until(driver, |_, seen| {
        seen.iter().any(|event| matches!(event, Seen::Woken))
    });
}

#[test]
fn auto_prefers_io_uring_and_says_why_not() {
    let (driver, reason) = AnyDriver::open(IoDriver::Auto, &Config::default()).unwrap();
    assert_eq!(driver.name() == "epoll", reason.is_some());
    let (driver, reason) = AnyDriver::open(IoDriver::Epoll, &Config::default()).unwrap();
    assert_eq!((driver.name(), reason.is_none()), ("epoll", true));
}
