//! One connection as the ring sees it: what is in flight, and what waits to be told.
//!
//! The rule it keeps: at most one receive and one send are in flight, and the entry is freed only
//! when neither is.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{opcode, squeue, types};

use super::buffers::GROUP;
use crate::send::{GATHER_PIECES_MAX, NO_PIECE, SendBuf};

/// What the connection's multishot receive is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    /// Not in the kernel.
    Idle,
    /// In the kernel.
    Armed,
    /// In the kernel, with a cancellation on its way to it.
    Cancelling,
}

/// How receiving ended, until the shard was told.
#[derive(Debug)]
pub(super) enum End {
    /// It has not.
    Open,
    /// It has, during a pause: told at the resume.
    Untold(Option<io::Error>),
    /// It has, and the shard knows.
    Told,
}

/// A send that the kernel works on.
struct Sending {
    buf: SendBuf,
    sent: usize,
}

/// Memory of a gathered send: the header and the pieces that it points to.
struct Gather {
    header: libc::msghdr,
    pieces: [libc::iovec; GATHER_PIECES_MAX],
}

pub(super) struct Conn {
    socket: OwnedFd,
    pub(super) receive: Receive,
    pub(super) paused: bool,
    pub(super) closing: bool,
    pub(super) end: End,
    /// What arrived between a pause and the end of its cancellation; bounded by the receive buffers
    /// that one batch of completions can name.
    pub(super) stash: Vec<u8>,
    sending: Option<Sending>,
    /// Boxed, because the kernel reads it while the table may move the connection.
    gather: Option<Box<Gather>>,
}

impl Conn {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            receive: Receive::Idle,
            paused: false,
            closing: false,
            end: End::Open,
            stash: Vec::new(),
            sending: None,
            gather: None,
        }
    }

    /// Whether the kernel holds nothing of it.
    pub(super) fn is_settled(&self) -> bool {
        self.receive == Receive::Idle && self.sending.is_none()
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Whether a receive should be in flight and is not.
    pub(super) fn wants_receive(&self) -> bool {
        self.receive == Receive::Idle
            && !self.paused
            && !self.closing
            && matches!(self.end, End::Open)
    }

    /// A receive that goes on until it is cancelled or runs out of buffers.
    pub(super) fn receive_entry(&mut self) -> squeue::Entry {
        assert!(self.receive == Receive::Idle);
        self.receive = Receive::Armed;
        opcode::RecvMulti::new(self.descriptor(), GROUP).build()
    }

    /// Owns `buf` until [`sent`](Self::sent) returns it.
    pub(super) fn begin_send(&mut self, buf: SendBuf) {
        assert!(self.sending.is_none());
        self.sending = Some(Sending { buf, sent: 0 });
    }

    /// The request for what is left of the send. Its memory stays valid until `end_send`.
    pub(super) fn send_entry(&mut self) -> squeue::Entry {
        let descriptor = self.descriptor();
        let sending = self.sending.as_ref().expect("a send was begun");
        // The kernel goes on by itself after a partial send; only an interruption comes back short.
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        if let Some(bytes) = sending.buf.contiguous() {
            let rest = &bytes[sending.sent..];
            // What is longer than the request's field goes in a further request.
            let len = u32::try_from(rest.len()).unwrap_or(1 << 31);
            return opcode::Send::new(descriptor, rest.as_ptr(), len)
                .flags(flags)
                .build();
        }
        let gather = self.gather.get_or_insert_with(|| {
            // SAFETY: a header of zeros is a valid empty one.
            let header = unsafe { std::mem::zeroed() };
            Box::new(Gather {
                header,
                pieces: [NO_PIECE; GATHER_PIECES_MAX],
            })
        });
        let count = sending.buf.gather(sending.sent, &mut gather.pieces);
        gather.header.msg_iov = gather.pieces.as_mut_ptr();
        gather.header.msg_iovlen = count as _;
        opcode::SendMsg::new(descriptor, &gather.header)
            .flags(flags as u32)
            .build()
    }

    /// Counts `bytes` as sent; whether that was all.
    pub(super) fn sent(&mut self, bytes: usize) -> bool {
        let sending = self.sending.as_mut().expect("a send completed");
        sending.sent += bytes;
        assert!(sending.sent <= sending.buf.len());
        sending.sent == sending.buf.len()
    }

    /// Ends the send and returns its buffer, cleared.
    pub(super) fn end_send(&mut self) -> SendBuf {
        let mut buf = self.sending.take().expect("a send completed").buf;
        buf.clear();
        buf
    }

    fn descriptor(&self) -> types::Fd {
        types::Fd(self.socket.as_raw_fd())
    }
}
