//! The server as a process: how it starts, whom it serves, how it refuses, how it ends.

mod common;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::*;

/// The commands of every type once, over as many shards as there are.
fn smoke(server: &Server) {
    let mut connection = server.connect();
    let c = &mut connection;
    for key in 0..100 {
        assert_eq!(ask::<String>(c, &format!("SET key:{key} {key}")), "OK");
    }
    for key in 0..100 {
        assert_eq!(ask::<u64>(c, &format!("GET key:{key}")), key);
    }
    assert_eq!(ask::<u64>(c, "DBSIZE"), 100);
    assert_eq!(ask::<i64>(c, "INCRBY counter 5"), 5);
    assert_eq!(ask::<u64>(c, "RPUSH list a b c"), 3);
    assert_eq!(ask::<Vec<String>>(c, "LRANGE list 0 -1"), ["a", "b", "c"]);
    assert_eq!(ask::<u64>(c, "HSET hash f 1 g 2"), 2);
    assert_eq!(ask::<Vec<u64>>(c, "HMGET hash f g"), [1, 2]);
    assert_eq!(ask::<u64>(c, "SADD set x y"), 2);
    assert_eq!(ask::<u64>(c, "ZADD zset 1 m 2 n"), 2);
    assert_eq!(ask::<Vec<String>>(c, "ZRANGE zset 0 -1"), ["m", "n"]);
    assert_eq!(ask::<u64>(c, "DEL key:1 key:2 key:3 absent"), 3);
    assert_eq!(ask::<u64>(c, "EXPIRE key:4 100"), 1);
    assert!(ask::<i64>(c, "TTL key:4") > 0);
    assert!(error_of(c, "INCR list").contains("WRONGTYPE"));
    assert_eq!(ask::<String>(c, "FLUSHALL"), "OK");
    assert_eq!(ask::<u64>(c, "DBSIZE"), 0);
}

#[test]
fn the_first_screen_says_where_it_serves_and_how_durable_it_is() {
    let mut server = Server::start(&["--shards", "2"]);
    let port = server.port;
    server.wait_for_output("redis-cli");
    let screen = server.output();
    assert!(screen.contains(&format!("127.0.0.1:{port}")), "{screen}");
    assert!(screen.contains(&format!("[::1]:{port}")), "{screen}");
    assert!(screen.contains("2 shards"), "{screen}");
    assert!(
        screen.contains(&server.data().display().to_string()),
        "{screen}"
    );
    assert!(screen.contains("(appendfsync always)"), "{screen}");
    assert!(!screen.contains('\x1b'), "no colours in a pipe: {screen}");
    let output = server.stop();
    assert!(output.contains("bye"), "{output}");
}

#[test]
fn every_number_of_shards_serves() {
    for shards in ["1", "2", "5"] {
        smoke(&Server::start(&["--shards", shards]));
    }
}

#[test]
fn the_epoll_driver_serves_as_io_uring_does() {
    for shards in ["1", "3"] {
        let server = Server::start(&["--shards", shards, "--io-driver", "epoll"]);
        smoke(&server);
        server.wait_for_output("driver");
        assert!(server.output().contains("epoll driver"));
    }
}

#[test]
fn a_server_without_a_log_serves_and_forgets() {
    let mut server = Server::start(&["--shards", "2", "--appendonly", "no"]);
    smoke(&server);
    ask::<()>(&mut server.connect(), "SET a 1");
    server.stop();
    server.restart();
    assert_eq!(ask::<u64>(&mut server.connect(), "DBSIZE"), 0);
}

#[test]
fn a_wrong_line_stops_the_start_with_its_place_and_what_is_allowed() {
    let dir = directory();
    let file = dir.path().join("causet.conf");
    std::fs::write(&file, "# a comment\nappendfsync sometimes\n").expect("a file");
    let file = file.display().to_string();
    let (code, text) = run(&[&file]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("line 2 of {file}")), "{text}");
    assert!(text.contains(">>> 'appendfsync sometimes'"), "{text}");
    for allowed in ["always", "everysec", "no"] {
        assert!(text.contains(allowed), "{text}");
    }

    let (code, text) = run(&["--port", "0", "--no-such-thing", "1"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("option 2"), "{text}");
    assert!(text.contains("no-such-thing"), "{text}");

    let (code, text) = run(&["/no/such/file.conf"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("can't open config file"), "{text}");
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_naming_the_first() {
    let server = Server::start(&["--shards", "1"]);
    let refusal = server.try_restart(&["--shards", "1"]).err();
    let refusal = refusal.expect("two servers on one directory");
    assert_eq!(refusal.status.code(), Some(1));
    assert!(
        refusal.output.contains(&server.pid().to_string()),
        "{}",
        refusal.output
    );
    assert_eq!(ask::<String>(&mut server.connect(), "PING"), "PONG");
}

#[test]
fn a_second_server_on_the_same_port_is_refused() {
    let server = Server::start(&["--shards", "2"]);
    let other = directory();
    let (code, text) = run(&[
        "--port",
        &server.port.to_string(),
        "--dir",
        &other.path().display().to_string(),
        "--shards",
        "2",
    ]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("in use"), "{text}");
    assert!(text.contains(&server.port.to_string()), "{text}");
}

#[test]
fn a_data_directory_that_cannot_be_made_stops_the_start() {
    // A file in the path refuses root as well, which a read-only mode would not.
    let dir = directory();
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let refusal = Server::try_start(dir, file.join("data"), &["--shards", "1"]).err();
    let output = refusal.expect("a start without a directory").output;
    assert!(output.contains(&file.display().to_string()), "{output}");
}

#[test]
fn a_read_only_data_directory_stops_the_start() {
    let dir = directory();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("a directory");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).expect("its owner");
    if std::fs::write(data.join("probe"), "").is_ok() {
        eprintln!("skipped: this user (root?) may write to a read-only directory");
        return;
    }
    let refusal = Server::try_start(dir, data.clone(), &["--shards", "1"]).err();
    let output = refusal.expect("a start on a read-only directory").output;
    assert!(output.contains(&data.display().to_string()), "{output}");
    assert!(output.contains("ermission denied"), "{output}");
}

#[test]
fn a_unix_socket_serves_and_goes_with_the_server() {
    let dir = directory();
    let path = dir.path().join("causet.sock");
    let shown = path.display().to_string();
    let args = [
        "--shards",
        "2",
        "--unixsocket",
        &shown,
        "--unixsocketperm",
        "700",
    ];
    let mut server = Server::start_in(dir, &args);
    let mode = std::fs::metadata(&path).expect("the socket").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    for _ in 0..4 {
        let mut socket = UnixStream::connect(&path).expect("a listening server");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.write_all(b"SET a 1\r\nGET a\r\n").expect("it reads");
        let mut reply = [0; 12];
        socket.read_exact(&mut reply).expect("it answers");
        assert_eq!(&reply, b"+OK\r\n$1\r\n1\r\n");
    }
    server.stop();
    assert!(!path.exists());
    server.restart();
    server.crash();
    assert!(
        UnixStream::connect(&path).is_ok(),
        "a stale socket is replaced"
    );
}

#[test]
fn clients_beyond_maxclients_are_told_and_later_ones_are_served() {
    let server = Server::start(&["--shards", "2", "--maxclients", "10"]);
    wait_until("room", || {
        info(&mut server.connect(), "connected_clients") == "1"
    });
    let mut served: Vec<Wire> = Vec::new();
    for _ in 0..10 {
        let mut wire = server.wire();
        wire.exchange("PING\r\n", "+PONG\r\n");
        served.push(wire);
    }
    let mut refused = server.wire();
    refused.expect("-ERR max number of clients reached\r\n");
    refused.expect_end();
    served.clear();
    wait_until("a free place", || {
        let mut wire = server.wire();
        wire.send("PING\r\n");
        wire.line() == "+PONG"
    });
}

#[test]
fn maxclients_can_grow_beyond_what_it_was_at_the_start() {
    let server = Server::start(&["--shards", "1", "--maxclients", "10"]);
    let mut first = server.wire();
    first.exchange("CONFIG SET maxclients 200\r\n", "+OK\r\n");
    let mut wires: Vec<Wire> = (0..150).map(|_| server.wire()).collect();
    for wire in &mut wires {
        wire.exchange("PING\r\n", "+PONG\r\n");
    }
    // More than any kernel lets a process open, root's included.
    first.send("CONFIG SET maxclients 4000000000\r\n");
    let error = first.line();
    let (text, most) = error.rsplit_once(' ').expect("words");
    assert_eq!(
        text,
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system \
         is not able to handle the specified number of clients, try with"
    );
    assert!(most.parse::<u64>().expect("a number") >= 200);
    first.exchange(
        "CONFIG GET maxclients\r\n",
        "*2\r\n$10\r\nmaxclients\r\n$3\r\n200\r\n",
    );
}

#[test]
fn a_password_is_asked_for() {
    let server = Server::start(&["--shards", "2", "--requirepass", "secret"]);
    let mut wire = server.wire();
    wire.exchange("GET a\r\n", "-NOAUTH Authentication required.\r\n");
    wire.send("AUTH wrong\r\n");
    assert!(wire.line().starts_with("-WRONGPASS "));
    wire.exchange("SET a 1\r\n", "-NOAUTH Authentication required.\r\n");
    // AUTH in a pipeline opens the door to what stands behind it.
    wire.exchange(
        "AUTH secret\r\nSET a 1\r\nGET a\r\n",
        "+OK\r\n+OK\r\n$1\r\n1\r\n",
    );
    server
        .wire()
        .exchange("AUTH default secret\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n");
    let mut wire = server.wire();
    wire.send("HELLO 3 AUTH default secret\r\n");
    assert!(wire.line().starts_with('%'));
    // Before that, nobody can make the server hold much memory.
    let mut wire = server.wire();
    wire.send("*100\r\n");
    wire.expect("-ERR Protocol error: unauthenticated multibulk length\r\n");
    wire.expect_end();
}

#[test]
fn outsiders_are_turned_away_while_there_is_no_password() {
    let Some(address) = outside_address() else {
        eprintln!("skipped: this machine has no address but the loopback's");
        return;
    };
    let server = Server::start(&["--shards", "1", "--bind", "0.0.0.0"]);
    let stream = std::net::TcpStream::connect((address, server.port)).expect("it listens");
    let mut wire = Wire::new(stream);
    assert!(wire.line().starts_with("-DENIED "));
    wire.expect_end();
    server.wire().exchange("PING\r\n", "+PONG\r\n");
}

/// This machine's address as others see it; asking for a route sends nothing.
fn outside_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn debug_is_refused_by_default() {
    let server = Server::start(&["--shards", "1"]);
    let mut connection = server.connect();
    assert!(error_of(&mut connection, "DEBUG JMAP").contains("not allowed"));
}

#[test]
fn shutdown_ends_the_process_and_every_connection() {
    let mut server = Server::start(&["--shards", "3"]);
    let mut others: Vec<Wire> = (0..6).map(|_| server.wire()).collect();
    for wire in &mut others {
        wire.exchange("PING\r\n", "+PONG\r\n");
    }
    let mut wire = server.wire();
    wire.send("SHUTDOWN\r\n");
    wire.expect_end();
    for wire in &mut others {
        wire.expect_end();
    }
    assert!(server.wait().success());
}

#[test]
fn replies_of_the_last_turn_leave_before_the_process_does() {
    for shards in ["1", "3"] {
        for policy in ["always", "everysec"] {
            let mut server = Server::start(&["--shards", shards, "--appendfsync", policy]);
            let mut idle = server.wire();
            idle.exchange("PING\r\n", "+PONG\r\n");
            let mut wire = server.wire();
            // In one packet, so that all of it is run in one turn.
            let mut request = String::new();
            for key in 0..20 {
                request.push_str(&format!("SET key:{key} 1\r\n"));
            }
            wire.send(request + "SHUTDOWN\r\n");
            wire.expect("+OK\r\n".repeat(20));
            wire.expect_end();
            idle.expect_end();
            assert!(server.wait().success());
        }
    }
}

#[test]
fn a_client_that_reads_nothing_does_not_hold_up_the_end() {
    let mut server = Server::start(&["--shards", "2"]);
    let mut deaf = server.wire();
    let value = vec![b'x'; 8 << 20];
    deaf.exchange(request(&[b"SET", b"big", &value]), "+OK\r\n");
    deaf.send("GET big\r\nGET big\r\n");
    server.wire().exchange("PING\r\n", "+PONG\r\n");
    let began = std::time::Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn config_rewrite_writes_what_the_next_start_reads() {
    let dir = directory();
    let file = dir.path().join("causet.conf");
    std::fs::write(&file, "# mine\nshards 2\nmaxclients 500\n").expect("a file");
    let shown = file.display().to_string();
    let mut server = Server::start_in(dir, &[&shown]);
    let mut connection = server.connect();
    let c = &mut connection;
    assert_eq!(ask::<String>(c, "CONFIG SET maxmemory 123456789"), "OK");
    assert_eq!(ask::<String>(c, "CONFIG SET slowlog-max-len 77"), "OK");
    assert_eq!(ask::<String>(c, "CONFIG REWRITE"), "OK");
    let text = std::fs::read_to_string(&file).expect("the file");
    assert!(text.contains("# mine"), "{text}");
    assert!(text.contains("maxclients 500"), "{text}");
    server.stop();
    server.restart();
    let mut connection = server.connect();
    let got: Vec<String> = ask(&mut connection, "CONFIG GET maxmemory");
    assert_eq!(got, ["maxmemory", "123456789"]);
    let got: Vec<String> = ask(&mut connection, "CONFIG GET slowlog-max-len");
    assert_eq!(got, ["slowlog-max-len", "77"]);
    let got: Vec<String> = ask(&mut connection, "CONFIG GET maxclients");
    assert_eq!(got, ["maxclients", "500"]);
    assert!(error_of(&mut connection, "CONFIG SET shards 3").contains("immutable"));
}

#[test]
fn a_tool_whose_reader_has_had_enough_ends_quietly() {
    let mut server = Server::start(&["--shards", "1", "--appendfsync", "no"]);
    let mut wire = server.wire();
    // More lines than a pipe holds.
    let sets: String = (0..5000)
        .map(|key| format!("SET key:{key} value\r\n"))
        .collect();
    wire.send(sets);
    wire.expect("+OK\r\n".repeat(5000));
    server.stop();
    for action in ["inspect", "repair"] {
        let mut tool = causet();
        tool.args(["log", action]).arg(server.data());
        let mut tool = tool
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the tool runs");
        let mut some = [0; 10];
        let mut output = tool.stdout.take().expect("it is piped");
        output.read_exact(&mut some).expect("output");
        drop(output);
        let ended = tool.wait_with_output().expect("it ends");
        assert_ne!(ended.status.code(), Some(101), "{action}: a panic");
        let text = String::from_utf8_lossy(&ended.stderr);
        assert!(text.is_empty(), "{action}: {text}");
    }
}

#[test]
fn idle_clients_leave_after_the_timeout() {
    let server = Server::start(&["--shards", "2", "--timeout", "1"]);
    let mut wire = server.wire();
    wire.exchange("PING\r\n", "+PONG\r\n");
    wire.expect_end();
}

#[test]
fn a_refused_command_is_counted_once() {
    let server = Server::start(&["--shards", "1"]);
    let mut connection = server.connect();
    error_of(&mut connection, "ECHO");
    let line = info(&mut connection, "cmdstat_echo");
    assert!(line.contains("rejected_calls=1,"), "{line}");
}

#[test]
fn a_server_at_rest_uses_no_processor() {
    let server = Server::start(&["--shards", "2"]);
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()))
            .expect("the server runs");
        let fields = stat.rsplit(')').next().expect("fields after the name");
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || {
            fields
                .next()
                .expect("a field")
                .parse::<u64>()
                .expect("ticks")
        };
        ticks() + ticks()
    };
    smoke(&server);
    std::thread::sleep(Duration::from_millis(300));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(2));
    // A thread that spins would use 200 of 100 a second; time here can only make it less.
    assert!(ticks() - before < 40, "busy while nothing is to do");
}
