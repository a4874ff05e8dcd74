//! The io_uring driver.
//!
//! Receives and accepts are multishot: armed once, they complete until something stops them, so an
//! ordinary request costs one submission (its reply) and one system call shared by all connections
//! that were ready. Zero-copy sends are not used: on loopback they copy anyway, and replies of the
//! usual size would pay a second completion for nothing.
//!
//! The rule it keeps: memory that the kernel may touch is owned by an entry of a table here, and an
//! entry leaves its table only when the kernel's last completion for it was seen, also when the
//! driver is dropped.

mod buffers;
mod conn;
mod enter;
mod ring;
mod tag;

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::{cqueue, opcode, squeue, types};
use slab::Slab;
use socket2::{SockRef, Socket};

use self::buffers::BufferRing;
use self::conn::{Conn, End, Receive};
use self::ring::Ring;
use self::tag::{GENERATION_MASK, Kind, Tag};
use crate::aligned::AlignedBuf;
use crate::driver::{
    ACCEPT_PAUSE, Config, ConnId, Driver, Event, FILE_OP_BYTES_MAX, Refused, Wait,
};
use crate::error::{DriverError, KERNEL_MIN};
use crate::send::SendBuf;
use crate::table::ConnTable;
use crate::waker::{PeerHandle, Waker};

/// How long a dropped driver waits for the kernel to let go. Cancelled sockets take microseconds;
/// a file write on a stuck disk may take for ever, and its memory is then given up instead.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

struct Listener {
    socket: OwnedFd,
    token: u32,
    armed: bool,
    closing: bool,
    /// After a failed accept: when to try again.
    retry_at: Option<Instant>,
}

struct FileOp {
    /// Open until the operation is over, so that the number cannot come to mean another file.
    _file: Arc<File>,
    buf: Option<AlignedBuf>,
    /// Whether the buffer's length is what the kernel read.
    reads: bool,
    op: u64,
}

/// All that the kernel may point into.
struct Memory {
    buffers: BufferRing,
    conns: ConnTable<Conn>,
    listeners: Slab<Listener>,
    files: Slab<FileOp>,
    /// Where the eventfd's count is read to.
    bell_count: Box<u64>,
}

/// A driver on io_uring. Belongs to the thread that opened it.
pub struct UringDriver {
    ring: Ring,
    /// None only while the driver is being dropped.
    memory: Option<Memory>,
    peer: PeerHandle,
    /// Connections whose pause ended: to be told what it held back.
    resumed: Vec<ConnId>,
    /// Connections whose receive stopped and should go on; empty between turns.
    stopped: Vec<ConnId>,
    /// The earliest `retry_at` of the listeners.
    accept_retry: Option<Instant>,
    file_ops_max: usize,
    /// Operations that the kernel holds and that own memory.
    in_flight: usize,
    /// The ring takes submissions from one thread only.
    _one_thread: PhantomData<*const ()>,
}

impl UringDriver {
    /// Opens a driver for the calling thread.
    ///
    /// # Errors
    ///
    /// See [`DriverError`].
    ///
    /// # Panics
    ///
    /// When `recv_buffers` is not a power of two of at most 32768.
    pub fn open(config: &Config) -> Result<Self, DriverError> {
        let ring = Ring::open(config)?;
        let buffers = BufferRing::register(
            &ring.submitter(),
            config.recv_buffers,
            config.recv_buffer_bytes,
        )
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => DriverError::KernelTooOld {
                feature: "buffer rings",
                since: KERNEL_MIN,
            },
            _ => DriverError::Os(error),
        })?;
        let address = if ring.message_ring() {
            Some(ring.descriptor()?)
        } else {
            None
        };
        let peer = PeerHandle::new(address, Waker::new(false)?);
        let memory = Memory {
            buffers,
            conns: ConnTable::new(config.connections_max),
            listeners: Slab::new(),
            files: Slab::new(),
            bell_count: Box::new(0),
        };
        let mut driver = Self {
            ring,
            memory: Some(memory),
            peer,
            resumed: Vec::new(),
            stopped: Vec::new(),
            accept_retry: None,
            file_ops_max: config.file_ops_max as usize,
            in_flight: 0,
            _one_thread: PhantomData,
        };
        driver.arm_bell();
        Ok(driver)
    }

    fn memory(&mut self) -> &mut Memory {
        self.memory
            .as_mut()
            .expect("only dropping takes the memory")
    }

    /// Queues a request that points into the memory of a table's entry.
    fn push_owned(&mut self, entry: squeue::Entry, tag: Tag) {
        self.in_flight += 1;
        // SAFETY: every caller built `entry` over memory that `self.memory` owns until the
        // completion with this tag; see the rule of the module.
        unsafe { self.ring.push(entry.user_data(tag.pack())) };
    }

    /// Queues a request that points to no memory and of which only failure is reported.
    fn push_aside(&mut self, entry: squeue::Entry) {
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: the entry points to no memory.
        unsafe {
            self.ring
                .push(entry.user_data(Tag::new(Kind::Aside, 0).pack()))
        };
    }

    fn cancel(&mut self, tag: Tag) {
        let which = types::CancelBuilder::user_data(tag.pack());
        self.push_aside(opcode::AsyncCancel2::new(which).build());
    }

    fn arm_bell(&mut self) {
        let bell = types::Fd(self.peer.waker().as_raw_fd());
        let count: *mut u64 = &mut *self.memory().bell_count;
        let entry = opcode::Read::new(bell, count.cast(), 8).build();
        self.push_owned(entry, Tag::new(Kind::Bell, 0));
    }

    fn arm_receive(&mut self, id: ConnId) {
        let Some(conn) = self.memory().conns.get_mut(id) else {
            return;
        };
        if conn.wants_receive() {
            let entry = conn.receive_entry();
            self.push_owned(entry, recv_tag(id));
        }
    }

    fn arm_accept(&mut self, index: usize) {
        let listener = &mut self.memory().listeners[index];
        assert!(!listener.armed);
        listener.armed = true;
        listener.retry_at = None;
        let socket = types::Fd(listener.socket.as_raw_fd());
        let entry = opcode::AcceptMulti::new(socket)
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.push_owned(entry, Tag::new(Kind::Accept, index as u32));
    }

    /// Frees a connection that is closing and of which the kernel holds nothing any more.
    fn release_if_settled(&mut self, id: ConnId) {
        let conns = &mut self.memory().conns;
        if conns
            .get_mut(id)
            .is_some_and(|conn| conn.closing && conn.is_settled())
        {
            conns.remove(id);
        }
    }

    fn begin_file(
        &mut self,
        file: &Arc<File>,
        mut buf: Option<AlignedBuf>,
        reads: bool,
        op: u64,
        entry: impl FnOnce(types::Fd, *mut u8) -> squeue::Entry,
    ) -> Result<(), Option<AlignedBuf>> {
        let file_ops_max = self.file_ops_max;
        let files = &mut self.memory().files;
        if files.len() >= file_ops_max {
            return Err(buf);
        }
        // The memory stays where it is when the buffer is moved into the table.
        let start = buf
            .as_mut()
            .map_or(std::ptr::null_mut(), AlignedBuf::as_raw);
        let entry = entry(types::Fd(file.as_raw_fd()), start);
        let index = files.insert(FileOp {
            _file: Arc::clone(file),
            buf,
            reads,
            op,
        });
        self.push_owned(entry, Tag::new(Kind::File, index as u32));
        Ok(())
    }

    fn dispatch(&mut self, completion: cqueue::Entry, handler: &mut impl FnMut(Event<'_>)) {
        let Some(tag) = Tag::unpack(completion.user_data()) else {
            tracing::error!(
                tag = completion.user_data(),
                "a completion that nobody asked for"
            );
            return;
        };
        let more = cqueue::more(completion.flags());
        let owned = !matches!(tag.kind, Kind::Rung | Kind::Aside);
        if owned && !more {
            self.in_flight -= 1;
        }
        let result = match completion.result() {
            errno if errno < 0 => Err(io::Error::from_raw_os_error(-errno)),
            count => Ok(count as usize),
        };
        match tag.kind {
            Kind::Recv => {
                let buffer = cqueue::buffer_select(completion.flags());
                self.on_receive(tag, result, buffer, more, handler);
            }
            Kind::Send => self.on_send(tag, result, handler),
            Kind::Accept => self.on_accept(tag, completion.result(), more, handler),
            Kind::File => self.on_file(tag, result, handler),
            Kind::Bell => {
                handler(Event::Woken);
                self.arm_bell();
            }
            Kind::Rung => handler(Event::Woken),
            // A cancellation that found its operation already over, or a ring to a peer that is gone.
            Kind::Aside => {}
        }
    }

    fn on_receive(
        &mut self,
        tag: Tag,
        result: io::Result<usize>,
        buffer: Option<u16>,
        more: bool,
        handler: &mut impl FnMut(Event<'_>),
    ) {
        let memory = self
            .memory
            .as_mut()
            .expect("only dropping takes the memory");
        let (id, conn) = memory
            .conns
            .at(tag.index)
            .expect("a receive keeps its connection");
        debug_assert_eq!(id.generation & GENERATION_MASK, tag.generation);
        if !more {
            conn.receive = Receive::Idle;
        }
        if let Some(buffer) = buffer {
            let len = *result.as_ref().unwrap_or(&0);
            // SAFETY: this completion names the buffer and the bytes in it.
            let data = unsafe { memory.buffers.filled(buffer, len) };
            if data.is_empty() || conn.closing || matches!(conn.end, End::Told) {
                // Nobody is there to hear of it.
            } else if conn.paused || !conn.stash.is_empty() {
                conn.stash.extend_from_slice(data);
            } else {
                handler(Event::Received { conn: id, data });
            }
            memory.buffers.give_back(buffer);
        }
        if more {
            return;
        }
        let over = match result {
            Ok(0) => Some(None),
            Ok(_) => None,
            Err(error) => match error.raw_os_error() {
                // No buffer was free: by the next turn they all are. The others are cancellations,
                // by a pause that may be over already.
                Some(libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN) => None,
                _ => Some(Some(error)),
            },
        };
        match over {
            Some(error) if !conn.closing && matches!(conn.end, End::Open) => {
                if conn.paused || !conn.stash.is_empty() {
                    conn.end = End::Untold(error);
                } else {
                    conn.end = End::Told;
                    handler(Event::Closed { conn: id, error });
                }
            }
            _ => {}
        }
        if conn.closing {
            self.release_if_settled(id);
        } else if conn.wants_receive() {
            self.stopped.push(id);
        }
    }

    fn on_send(
        &mut self,
        tag: Tag,
        result: io::Result<usize>,
        handler: &mut impl FnMut(Event<'_>),
    ) {
        let (id, conn) = self
            .memory()
            .conns
            .at(tag.index)
            .expect("a send keeps its connection");
        debug_assert_eq!(id.generation & GENERATION_MASK, tag.generation);
        let failed = match result {
            Ok(bytes) => {
                let done = conn.sent(bytes);
                if !done && !conn.closing {
                    let entry = conn.send_entry();
                    self.push_owned(entry, send_tag(id));
                    return;
                }
                None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted && !conn.closing => {
                let entry = conn.send_entry();
                self.push_owned(entry, send_tag(id));
                return;
            }
            Err(error) => Some(error),
        };
        let buf = conn.end_send();
        handler(Event::Sent { conn: id, buf });
        if conn.closing {
            self.release_if_settled(id);
        } else if failed.is_some() && !matches!(conn.end, End::Told) {
            // Even in a pause: what is sent from here on is lost, and the shard should know.
            conn.end = End::Told;
            conn.stash = Vec::new();
            handler(Event::Closed {
                conn: id,
                error: failed,
            });
        }
    }

    fn on_accept(
        &mut self,
        tag: Tag,
        result: i32,
        more: bool,
        handler: &mut impl FnMut(Event<'_>),
    ) {
        let index = tag.index as usize;
        let listener = &mut self.memory().listeners[index];
        let (token, closing) = (listener.token, listener.closing);
        if result >= 0 {
            // SAFETY: the kernel made this descriptor for this completion; nobody else owns it.
            let socket = Socket::from(unsafe { owned(result) });
            if !closing {
                handler(Event::Accepted {
                    listener: token,
                    socket,
                });
            }
        }
        if more {
            return;
        }
        listener.armed = false;
        if closing {
            self.memory().listeners.remove(index);
        } else if result >= 0 || result == -libc::ECONNABORTED || result == -libc::EINTR {
            self.arm_accept(index);
        } else {
            tracing::warn!(
                listener = token,
                error = %io::Error::from_raw_os_error(-result),
                "accepting rests for {} ms",
                ACCEPT_PAUSE.as_millis()
            );
            let retry_at = Instant::now() + ACCEPT_PAUSE;
            listener.retry_at = Some(retry_at);
            self.accept_retry = Some(self.accept_retry.map_or(retry_at, |at| at.min(retry_at)));
        }
    }

    fn on_file(
        &mut self,
        tag: Tag,
        result: io::Result<usize>,
        handler: &mut impl FnMut(Event<'_>),
    ) {
        let FileOp {
            mut buf, reads, op, ..
        } = self.memory().files.remove(tag.index as usize);
        if reads && let Some(buf) = &mut buf {
            let len = *result.as_ref().unwrap_or(&0);
            // SAFETY: the kernel wrote this many bytes from the start.
            unsafe { buf.set_len(len) };
        }
        handler(Event::File { op, result, buf });
    }

    /// Reports what arrived during a pause that is over.
    fn tell_held_back(&mut self, id: ConnId, handler: &mut impl FnMut(Event<'_>)) {
        let Some(conn) = self.memory().conns.get_mut(id) else {
            return;
        };
        if conn.paused || conn.closing {
            return;
        }
        if !conn.stash.is_empty() {
            let stash = std::mem::take(&mut conn.stash);
            handler(Event::Received {
                conn: id,
                data: &stash,
            });
        }
        if let End::Untold(error) = &mut conn.end {
            let error = error.take();
            conn.end = End::Told;
            handler(Event::Closed { conn: id, error });
        }
    }

    /// Accepts again on the listeners whose rest is over.
    fn retry_accepts(&mut self, now: Instant) {
        self.accept_retry = None;
        let due: Vec<usize> = self
            .memory()
            .listeners
            .iter()
            .filter(|(_, listener)| listener.retry_at.is_some_and(|at| at <= now))
            .map(|(index, _)| index)
            .collect();
        for index in due {
            self.arm_accept(index);
        }
        let resting = self
            .memory()
            .listeners
            .iter()
            .filter_map(|(_, it)| it.retry_at)
            .min();
        self.accept_retry = resting;
    }
}

impl Driver for UringDriver {
    fn attach(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        // The kernel answers EAGAIN at once on a non-blocking socket instead of waiting for it.
        SockRef::from(&socket).set_nonblocking(false)?;
        let id = self.memory().conns.insert(Conn::new(socket))?;
        self.arm_receive(id);
        Ok(id)
    }

    fn close(&mut self, id: ConnId) {
        let Some(conn) = self.memory().conns.get_mut(id) else {
            return;
        };
        if conn.closing {
            return;
        }
        conn.closing = true;
        let (receive, sending) = (conn.receive, conn.is_sending());
        if receive == Receive::Armed {
            conn.receive = Receive::Cancelling;
            self.cancel(recv_tag(id));
        }
        if sending {
            self.cancel(send_tag(id));
        }
        self.release_if_settled(id);
    }

    fn pause(&mut self, id: ConnId) {
        let Some(conn) = self.memory().conns.get_mut(id) else {
            return;
        };
        conn.paused = true;
        if conn.receive == Receive::Armed {
            conn.receive = Receive::Cancelling;
            self.cancel(recv_tag(id));
        }
    }

    fn resume(&mut self, id: ConnId) {
        let Some(conn) = self.memory().conns.get_mut(id) else {
            return;
        };
        if std::mem::take(&mut conn.paused) {
            self.resumed.push(id);
        }
    }

    fn send(&mut self, id: ConnId, buf: SendBuf) -> Result<(), Refused<SendBuf>> {
        let Some(conn) = self.memory().conns.get_mut(id) else {
            return Err(Refused(buf));
        };
        if conn.closing || conn.is_sending() {
            return Err(Refused(buf));
        }
        conn.begin_send(buf);
        let entry = conn.send_entry();
        self.push_owned(entry, send_tag(id));
        Ok(())
    }

    fn listen(&mut self, socket: OwnedFd, token: u32) -> io::Result<()> {
        let listeners = &mut self.memory().listeners;
        if listeners
            .iter()
            .any(|(_, it)| it.token == token && !it.closing)
        {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        SockRef::from(&socket).set_nonblocking(false)?;
        let listener = Listener {
            socket,
            token,
            armed: false,
            closing: false,
            retry_at: None,
        };
        let index = listeners.insert(listener);
        self.arm_accept(index);
        Ok(())
    }

    fn unlisten(&mut self, token: u32) {
        let listeners = &mut self.memory().listeners;
        let found = listeners
            .iter_mut()
            .find(|(_, it)| it.token == token && !it.closing);
        let Some((index, listener)) = found else {
            return;
        };
        listener.closing = true;
        if listener.armed {
            self.cancel(Tag::new(Kind::Accept, index as u32));
        } else {
            listeners.remove(index);
        }
    }

    fn write(
        &mut self,
        file: &Arc<File>,
        buf: AlignedBuf,
        offset: u64,
        dsync: bool,
        op: u64,
    ) -> Result<(), Refused<AlignedBuf>> {
        let len = buf.len();
        assert!(len <= FILE_OP_BYTES_MAX);
        let flags = if dsync { libc::RWF_DSYNC } else { 0 };
        self.begin_file(file, Some(buf), false, op, |descriptor, start| {
            opcode::Write::new(descriptor, start, len as u32)
                .offset(offset)
                .rw_flags(flags)
                .build()
        })
        .map_err(|buf| Refused(buf.expect("it was given above")))
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
        self.begin_file(file, Some(buf), true, op, |descriptor, start| {
            opcode::Read::new(descriptor, start, len as u32)
                .offset(offset)
                .build()
        })
        .map_err(|buf| Refused(buf.expect("it was given above")))
    }

    fn fdatasync(&mut self, file: &Arc<File>, op: u64) -> Result<(), Refused<()>> {
        self.begin_file(file, None, false, op, |descriptor, _| {
            opcode::Fsync::new(descriptor)
                .flags(types::FsyncFlags::DATASYNC)
                .build()
        })
        .map_err(|_| Refused(()))
    }

    fn waker(&self) -> Waker {
        self.peer.waker().clone()
    }

    fn peer(&self) -> PeerHandle {
        self.peer.clone()
    }

    fn wake(&mut self, peer: &PeerHandle) {
        match peer.ring() {
            Some(ring) if self.ring.message_ring() => {
                let ring = types::Fd(ring.as_raw_fd());
                let rung = Tag::new(Kind::Rung, 0).pack();
                self.push_aside(opcode::MsgRingData::new(ring, 0, rung, None).build());
            }
            _ => peer.waker().wake(),
        }
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
        while let Some(id) = self.resumed.pop() {
            self.tell_held_back(id, handler);
            self.arm_receive(id);
            // The shard may have something to do now.
            wait = Wait::Poll;
        }
        self.ring.enter(wait)?;
        // Bounded, so that a peer that rings without pause cannot keep the shard in here.
        for _ in 0..self.ring.completions_max() {
            let Some(completion) = self.ring.next() else {
                break;
            };
            self.dispatch(completion, handler);
        }
        self.memory().buffers.publish();
        // Goes out with the next turn's submission, by when every buffer is the kernel's again.
        while let Some(id) = self.stopped.pop() {
            self.arm_receive(id);
        }
        Ok(())
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        for id in self.memory().conns.ids() {
            self.close(id);
        }
        let give_up_at = Instant::now() + DROP_PATIENCE;
        while self.in_flight > 0 && Instant::now() < give_up_at {
            let everything = types::CancelBuilder::any().all();
            self.push_aside(opcode::AsyncCancel2::new(everything).build());
            let wait = Wait::Until(Instant::now() + Duration::from_millis(10));
            if self.ring.enter(wait).is_err() {
                break;
            }
            while let Some(completion) = self.ring.next() {
                self.settle(completion);
            }
        }
        if self.in_flight > 0 {
            tracing::warn!(
                operations = self.in_flight,
                "the kernel still works for a closed driver"
            );
            // It may yet write into this memory, so the memory must never be used for anything else.
            std::mem::forget(self.memory.take());
        } else {
            let _ = self.ring.submitter().unregister_buf_ring(buffers::GROUP);
        }
    }
}

impl UringDriver {
    /// Counts a completion that nobody wants any more, and closes the socket that it may bring.
    fn settle(&mut self, completion: cqueue::Entry) {
        let Some(tag) = Tag::unpack(completion.user_data()) else {
            return;
        };
        if matches!(tag.kind, Kind::Rung | Kind::Aside) {
            return;
        }
        if tag.kind == Kind::Accept && completion.result() >= 0 {
            // SAFETY: the kernel made this descriptor for this completion; nobody else owns it.
            drop(unsafe { owned(completion.result()) });
        }
        if !cqueue::more(completion.flags()) {
            self.in_flight -= 1;
        }
    }
}

fn recv_tag(id: ConnId) -> Tag {
    Tag::with_generation(Kind::Recv, id.index, id.generation)
}

fn send_tag(id: ConnId) -> Tag {
    Tag::with_generation(Kind::Send, id.index, id.generation)
}

/// # Safety
///
/// `fd` is open and nobody else owns it.
unsafe fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
}
