//! The epoll driver, for hosts that forbid io_uring.
//!
//! Readiness instead of completion: sockets are non-blocking, sends are tried at once and their rest
//! when the socket drains, receives go through one buffer. It costs at least two system calls more
//! per request than the ring. It behaves as the ring does, and passes the same tests.

mod files;
mod poll;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use socket2::{SockRef, Socket};

use self::files::{FileHelper, Outcome, Request, Task};
use self::poll::{Poll, READABLE, WRITABLE};
use crate::aligned::AlignedBuf;
use crate::driver::{
    ACCEPT_PAUSE, Config, ConnId, Driver, Event, FILE_OP_BYTES_MAX, Refused, Wait,
};
use crate::error::DriverError;
use crate::send::{GATHER_PIECES_MAX, NO_PIECE, SendBuf};
use crate::table::ConnTable;
use crate::waker::{PeerHandle, Waker};

/// Bytes read from one connection before the others have their turn.
const READ_BYTES: usize = 64 << 10;
/// Connections accepted from one listener before the others have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// What a watched descriptor is: the top bits of its tag, over an index.
const KIND_CONN: u64 = 0;
const KIND_LISTENER: u64 = 1 << 32;
const KIND_BELL: u64 = 2 << 32;
const KIND_FILES: u64 = 3 << 32;
const KIND_MASK: u64 = 3 << 32;

struct Conn {
    socket: OwnedFd,
    /// What epoll watches of it now.
    watched: u32,
    paused: bool,
    /// Whether `Closed` was reported.
    ended: bool,
    /// The buffer, and the bytes of it that are sent.
    sending: Option<(SendBuf, usize)>,
    /// Whether a send is over of which `Sent` was not reported yet: it still counts as in flight.
    unreported: bool,
}

struct Listener {
    socket: Socket,
    token: u32,
    /// After a failed accept: when to try again. Not watched until then.
    retry_at: Option<Instant>,
}

/// A driver on epoll. Belongs to one thread at a time.
pub struct EpollDriver {
    poll: Poll,
    conns: ConnTable<Conn>,
    listeners: Slab<Listener>,
    files: FileHelper,
    files_bell: Waker,
    waker: Waker,
    /// Sends that are over, to be reported in the next turn; at most one per connection, plus those
    /// of connections closed since.
    sent: VecDeque<(ConnId, SendBuf, Option<io::Error>)>,
    accept_retry: Option<Instant>,
    buffer: Box<[u8]>,
}

impl EpollDriver {
    /// Opens a driver. Of `config` only `connections_max` and `file_ops_max` mean something to it.
    ///
    /// # Errors
    ///
    /// [`DriverError::Os`] when there are no descriptors or threads left.
    pub fn open(config: &Config) -> Result<Self, DriverError> {
        let poll = Poll::new()?;
        let waker = Waker::new(true)?;
        let files_bell = Waker::new(true)?;
        poll.change(waker.as_raw_fd(), 0, READABLE, KIND_BELL)?;
        poll.change(files_bell.as_raw_fd(), 0, READABLE, KIND_FILES)?;
        Ok(Self {
            poll,
            conns: ConnTable::new(config.connections_max),
            listeners: Slab::new(),
            files: FileHelper::start(config.file_ops_max as usize, files_bell.clone())?,
            files_bell,
            waker,
            sent: VecDeque::new(),
            accept_retry: None,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// Watches of a connection what it waits for now.
    fn watch(&mut self, id: ConnId) -> io::Result<()> {
        let Some(conn) = self.conns.get_mut(id) else {
            return Ok(());
        };
        let mut wanted = 0;
        if !conn.paused && !conn.ended {
            wanted |= READABLE;
        }
        if conn.sending.is_some() {
            wanted |= WRITABLE;
        }
        let tag = KIND_CONN | u64::from(id.index);
        self.poll
            .change(conn.socket.as_raw_fd(), conn.watched, wanted, tag)?;
        conn.watched = wanted;
        Ok(())
    }

    /// As [`watch`](Self::watch), where failing would mean a broken driver, not a broken socket.
    fn rewatch(&mut self, id: ConnId) {
        if let Err(error) = self.watch(id) {
            tracing::error!(%error, "epoll refused a socket that it had taken");
        }
    }

    /// Sends as much as the socket takes; a send that is over goes to `sent`.
    fn try_send(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let Some((buf, sent)) = &mut conn.sending else {
            return;
        };
        let error = loop {
            if *sent == buf.len() {
                break None;
            }
            match send_once(&conn.socket, buf, *sent) {
                Ok(bytes) => *sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rewatch(id);
                    return;
                }
                Err(error) => break Some(error),
            }
        };
        let (mut buf, _) = conn.sending.take().expect("looked at above");
        conn.unreported = true;
        buf.clear();
        self.sent.push_back((id, buf, error));
        self.rewatch(id);
    }

    fn report_sent(&mut self, handler: &mut impl FnMut(Event<'_>)) {
        while let Some((id, buf, error)) = self.sent.pop_front() {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.unreported = false;
            }
            handler(Event::Sent { conn: id, buf });
            if error.is_some() {
                self.end(id, error, handler);
            }
        }
    }

    /// Reports the end of a connection, once.
    fn end(&mut self, id: ConnId, error: Option<io::Error>, handler: &mut impl FnMut(Event<'_>)) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut conn.ended, true) {
            self.rewatch(id);
            handler(Event::Closed { conn: id, error });
        }
    }

    fn receive(&mut self, id: ConnId, handler: &mut impl FnMut(Event<'_>)) {
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if conn.paused || conn.ended {
            return;
        }
        // SAFETY: the buffer has `len` writable bytes.
        let got = unsafe {
            let start = self.buffer.as_mut_ptr().cast();
            libc::recv(conn.socket.as_raw_fd(), start, self.buffer.len(), 0)
        };
        match usize::try_from(got) {
            Ok(0) => self.end(id, None, handler),
            Ok(len) => handler(Event::Received {
                conn: id,
                data: &self.buffer[..len],
            }),
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => self.end(id, Some(error), handler),
                }
            }
        }
    }

    fn accept(&mut self, index: usize, handler: &mut impl FnMut(Event<'_>)) {
        let listener = &mut self.listeners[index];
        for _ in 0..ACCEPTS_PER_TURN {
            match listener.socket.accept() {
                Ok((socket, _)) => handler(Event::Accepted {
                    listener: listener.token,
                    socket,
                }),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        tracing::warn!(
                            listener = listener.token,
                            %error,
                            "accepting rests for {} ms",
                            ACCEPT_PAUSE.as_millis()
                        );
                        let retry_at = Instant::now() + ACCEPT_PAUSE;
                        listener.retry_at = Some(retry_at);
                        self.accept_retry =
                            Some(self.accept_retry.map_or(retry_at, |at| at.min(retry_at)));
                        self.watch_listener(index, READABLE, 0);
                        return;
                    }
                },
            }
        }
    }

    fn watch_listener(&mut self, index: usize, before: u32, after: u32) {
        let fd = self.listeners[index].socket.as_raw_fd();
        if let Err(error) = self
            .poll
            .change(fd, before, after, KIND_LISTENER | index as u64)
        {
            tracing::error!(%error, "epoll refused a listener that it had taken");
        }
    }

    fn retry_accepts(&mut self, now: Instant) {
        let indexes: Vec<usize> = self.listeners.iter().map(|(index, _)| index).collect();
        for index in indexes {
            let retry_at = &mut self.listeners[index].retry_at;
            if retry_at.is_some_and(|at| at <= now) {
                *retry_at = None;
                self.watch_listener(index, 0, READABLE);
            }
        }
        self.accept_retry = self
            .listeners
            .iter()
            .filter_map(|(_, it)| it.retry_at)
            .min();
    }

    fn begin_file(&mut self, file: &Arc<File>, task: Task, op: u64) -> Result<(), Task> {
        self.files.begin(Request {
            file: Arc::clone(file),
            task,
            op,
        })
    }
}

impl Driver for EpollDriver {
    fn attach(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        SockRef::from(&socket).set_nonblocking(true)?;
        let conn = Conn {
            socket,
            watched: 0,
            paused: false,
            ended: false,
            sending: None,
            unreported: false,
        };
        let id = self.conns.insert(conn)?;
        if let Err(error) = self.watch(id) {
            self.conns.remove(id);
            return Err(error);
        }
        Ok(id)
    }

    fn close(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(id) else {
            return;
        };
        // Explicitly, for a socket that someone else has a second descriptor of.
        let _ = self
            .poll
            .change(conn.socket.as_raw_fd(), conn.watched, 0, 0);
        if let Some((mut buf, _)) = conn.sending {
            buf.clear();
            self.sent.push_back((id, buf, None));
        }
    }

    fn pause(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.paused = true;
            self.rewatch(id);
        }
    }

    fn resume(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.paused = false;
            self.rewatch(id);
        }
    }

    fn send(&mut self, id: ConnId, buf: SendBuf) -> Result<(), Refused<SendBuf>> {
        match self.conns.get_mut(id) {
            Some(conn) if conn.sending.is_none() && !conn.unreported => {
                conn.sending = Some((buf, 0));
            }
            _ => return Err(Refused(buf)),
        }
        self.try_send(id);
        Ok(())
    }

    fn listen(&mut self, socket: OwnedFd, token: u32) -> io::Result<()> {
        if self.listeners.iter().any(|(_, it)| it.token == token) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        SockRef::from(&socket).set_nonblocking(true)?;
        let entry = self.listeners.vacant_entry();
        let tag = KIND_LISTENER | entry.key() as u64;
        self.poll.change(socket.as_raw_fd(), 0, READABLE, tag)?;
        entry.insert(Listener {
            socket: Socket::from(socket),
            token,
            retry_at: None,
        });
        Ok(())
    }

    fn unlisten(&mut self, token: u32) {
        let found = self.listeners.iter().find(|(_, it)| it.token == token);
        let Some((index, listener)) = found else {
            return;
        };
        if listener.retry_at.is_none() {
            self.watch_listener(index, READABLE, 0);
        }
        self.listeners.remove(index);
    }

    fn write(
        &mut self,
        file: &Arc<File>,
        buf: AlignedBuf,
        offset: u64,
        dsync: bool,
        op: u64,
    ) -> Result<(), Refused<AlignedBuf>> {
        assert!(buf.len() <= FILE_OP_BYTES_MAX);
        self.begin_file(file, Task::Write { buf, offset, dsync }, op)
            .map_err(refused_buf)
    }

    fn read(
        &mut self,
        file: &Arc<File>,
        buf: AlignedBuf,
        len: usize,
        offset: u64,
        op: u64,
    ) -> Result<(), Refused<AlignedBuf>> {
        assert!(len <= buf.capacity() && len <= FILE_OP_BYTES_MAX);
        self.begin_file(file, Task::Read { buf, len, offset }, op)
            .map_err(refused_buf)
    }

    fn fdatasync(&mut self, file: &Arc<File>, op: u64) -> Result<(), Refused<()>> {
        self.begin_file(file, Task::Flush, op)
            .map_err(|_| Refused(()))
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn peer(&self) -> PeerHandle {
        PeerHandle::new(None, self.waker.clone())
    }

    fn wake(&mut self, peer: &PeerHandle) {
        peer.waker().wake();
    }

    fn turn(&mut self, wait: Wait, handler: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        let mut wait = wait;
        if let Some(retry_at) = self.accept_retry {
            let now = Instant::now();
            if retry_at <= now {
                self.retry_accepts(now);
            }
            wait = self.accept_retry.map_or(wait, |at| wait.at_most(at));
        }
        if !self.sent.is_empty() {
            self.report_sent(handler);
            wait = Wait::Poll;
        }
        let patience = match wait {
            Wait::Poll => Some(Duration::ZERO),
            Wait::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Wait::Forever => None,
        };
        for ready in 0..self.poll.wait(patience)? {
            let (tag, state) = self.poll.ready(ready);
            match tag & KIND_MASK {
                KIND_BELL => {
                    if self.waker.silence() {
                        handler(Event::Woken);
                    }
                }
                KIND_FILES => {
                    self.files_bell.silence();
                    while let Some(Outcome { op, result, buf }) = self.files.finished() {
                        handler(Event::File { op, result, buf });
                    }
                }
                KIND_LISTENER => self.accept((tag & !KIND_MASK) as usize, handler),
                _ => {
                    // Nobody closes a connection inside a turn, so the index still means the same.
                    let Some((id, _)) = self.conns.at(tag as u32) else {
                        continue;
                    };
                    // A hang-up or an error shows itself in whichever call is tried.
                    if state & !WRITABLE != 0 {
                        self.receive(id, handler);
                    }
                    if state & !READABLE != 0 {
                        self.try_send(id);
                    }
                }
            }
        }
        self.report_sent(handler);
        Ok(())
    }
}

/// One system call's worth of sending from byte `from` on.
fn send_once(socket: &OwnedFd, buf: &SendBuf, from: usize) -> io::Result<usize> {
    let fd = socket.as_raw_fd();
    let sent = match buf.contiguous() {
        Some(bytes) => {
            let rest = &bytes[from..];
            // SAFETY: `rest` is readable for its length.
            unsafe { libc::send(fd, rest.as_ptr().cast(), rest.len(), libc::MSG_NOSIGNAL) }
        }
        None => {
            let mut pieces = [NO_PIECE; GATHER_PIECES_MAX];
            let count = buf.gather(from, &mut pieces);
            // SAFETY: a header of zeros is a valid empty one.
            let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
            header.msg_iov = pieces.as_mut_ptr();
            header.msg_iovlen = count as _;
            // SAFETY: the pieces point into `buf`, which is borrowed past the call.
            unsafe { libc::sendmsg(fd, &header, libc::MSG_NOSIGNAL) }
        }
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn refused_buf(task: Task) -> Refused<AlignedBuf> {
    match task {
        Task::Write { buf, .. } | Task::Read { buf, .. } => Refused(buf),
        Task::Flush => unreachable!("a flush has no buffer to refuse"),
    }
}
