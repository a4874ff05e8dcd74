//! The least that a server can be on a driver, to measure what the driver itself costs.
//!
//! It counts the lines of RESP arrays, looks at no argument, and answers `+PONG` to each. What it
//! burns per request is the floor for the real server.
//!
//! ```text
//! cargo run --release -p causet-net --example pong -- 7777 uring
//! redis-benchmark -p 7777 -t ping_mbulk -c 50 -n 1000000
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use causet_net::{
    AnyDriver, Config, ConnId, Driver, DriverError, Event, IoDriver, SendBuf, Wait, listener,
};
use socket2::Socket;

/// Where a connection is in the request that it is sending, and what it is owed.
#[derive(Default)]
struct Client {
    /// Lines until the request is complete; zero between requests.
    lines_left: usize,
    /// Arguments announced so far by an array line that is not complete, if inside one.
    announced: Option<usize>,
    replies: SendBuf,
    sending: bool,
}

impl Client {
    fn take(&mut self, data: &[u8]) {
        for &byte in data {
            match (byte, self.announced) {
                (b'*', None) if self.lines_left == 0 => self.announced = Some(0),
                (b'0'..=b'9', Some(count)) => {
                    self.announced = Some(count * 10 + usize::from(byte - b'0'));
                }
                // Every argument is a line with its length and a line with itself.
                (b'\n', Some(count)) => {
                    self.announced = None;
                    self.lines_left = count * 2;
                }
                (b'\n', None) => {
                    self.lines_left = self.lines_left.saturating_sub(1);
                    if self.lines_left == 0 {
                        self.replies.extend_from_slice(b"+PONG\r\n");
                    }
                }
                _ => {}
            }
        }
    }
}

/// A server and its clients, by the index of their connection.
pub struct Pong<D> {
    driver: D,
    clients: Vec<Client>,
    /// What the last turn left to do.
    accepted: Vec<Socket>,
    closed: Vec<ConnId>,
    touched: Vec<ConnId>,
}

impl<D: Driver> Pong<D> {
    /// Listens on `address`.
    pub fn new(mut driver: D, address: SocketAddr) -> std::io::Result<Self> {
        driver.listen(listener::tcp(address, 511, true)?.into(), 0)?;
        Ok(Self {
            driver,
            clients: Vec::new(),
            accepted: Vec::new(),
            closed: Vec::new(),
            touched: Vec::new(),
        })
    }

    /// Waits for requests and answers them.
    pub fn turn(&mut self) -> std::io::Result<()> {
        let Self {
            driver,
            clients,
            accepted,
            closed,
            touched,
        } = self;
        driver.turn(Wait::Forever, &mut |event| match event {
            Event::Received { conn, data } => {
                clients[conn.index()].take(data);
                touched.push(conn);
            }
            Event::Sent { conn, buf } => {
                let client = &mut clients[conn.index()];
                client.sending = false;
                if client.replies.is_empty() {
                    client.replies = buf;
                } else {
                    touched.push(conn);
                }
            }
            Event::Accepted { socket, .. } => accepted.push(socket),
            Event::Closed { conn, .. } => closed.push(conn),
            Event::File { .. } | Event::Woken => {}
        })?;
        for conn in touched.drain(..) {
            let client = &mut clients[conn.index()];
            if !client.sending && !client.replies.is_empty() {
                client.sending = driver
                    .send(conn, std::mem::take(&mut client.replies))
                    .is_ok();
            }
        }
        for conn in closed.drain(..) {
            driver.close(conn);
        }
        for socket in accepted.drain(..) {
            listener::tune_accepted(&socket, Some(Duration::from_secs(300)))?;
            let conn = driver.attach(socket.into())?;
            let index = conn.index();
            if clients.len() <= index {
                clients.resize_with(index + 1, Client::default);
            }
            clients[index] = Client::default();
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(7777), |port| port.parse())?;
    let wanted = match arguments.next().as_deref() {
        Some("uring") => IoDriver::Uring,
        Some("epoll") => IoDriver::Epoll,
        _ => IoDriver::Auto,
    };
    let (driver, reason): (_, Option<DriverError>) = AnyDriver::open(wanted, &Config::default())?;
    if let Some(reason) = reason {
        eprintln!("{reason}");
    }
    println!("{} on port {port}", driver.name());
    let mut pong = Pong::new(driver, SocketAddr::from(([127, 0, 0, 1], port)))?;
    loop {
        pong.turn()?;
    }
}
