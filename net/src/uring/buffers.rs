//! The receive buffers that all connections of a ring share.
//!
//! The kernel takes a buffer only when bytes have arrived, so ten thousand silent connections cost no
//! buffer at all. It is not a pool that lends: a buffer is the kernel's until a completion names it,
//! the driver's during that completion's callback, and the kernel's again after it.
//!
//! Whole buffers are consumed, not parts of them (IOU_PBUF_RING_INC): since each goes back as soon as
//! its callback is over, sharing one among several receives would save nothing.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The one buffer group in use.
pub(super) const GROUP: u16 = 0;

pub(super) struct BufferRing {
    entries: Mapping,
    memory: Mapping,
    count: u16,
    buffer_bytes: u32,
    tail: u16,
}

impl BufferRing {
    /// Registers `count` buffers of `buffer_bytes` with the ring behind `submitter`.
    pub(super) fn register(
        submitter: &Submitter<'_>,
        count: u16,
        buffer_bytes: u32,
    ) -> io::Result<Self> {
        assert!(
            count.is_power_of_two() && count <= 1 << 15,
            "a power of two of at most 32768"
        );
        assert!(buffer_bytes > 0);
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(usize::from(count) * buffer_bytes as usize)?;
        let mut ring = Self {
            entries,
            memory,
            count,
            buffer_bytes,
            tail: 0,
        };
        for id in 0..count {
            ring.give_back(id);
        }
        // SAFETY: the mapping is page-aligned, holds `count` entries, and outlives the registration:
        // the driver unregisters, or leaks this, before it is unmapped.
        unsafe {
            let address = ring.entries.start.as_ptr().addr() as u64;
            submitter.register_buf_ring_with_flags(address, count, GROUP, 0)?;
        }
        ring.publish();
        Ok(ring)
    }

    /// The first `len` bytes of buffer `id`, which a completion has just named.
    ///
    /// # Safety
    ///
    /// The kernel filled them, and `id` was not given back since.
    pub(super) unsafe fn filled(&self, id: u16, len: usize) -> &[u8] {
        assert!(id < self.count && len <= self.buffer_bytes as usize);
        // SAFETY: inside the mapping by the assertion; the kernel wrote it and does not own it now.
        unsafe { std::slice::from_raw_parts(self.buffer(id), len) }
    }

    /// Makes buffer `id` ready for the kernel, which sees it after [`publish`](Self::publish).
    pub(super) fn give_back(&mut self, id: u16) {
        assert!(id < self.count);
        let address = self.buffer(id).addr() as u64;
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is inside the mapping of `count` entries. The kernel does not read an entry
        // at or behind the published tail. The fields are set one by one because the first entry's
        // reserved field is the tail itself.
        let entry = unsafe {
            &mut *self
                .entries
                .start
                .as_ptr()
                .cast::<BufRingEntry>()
                .add(place)
        };
        entry.set_addr(address);
        entry.set_len(self.buffer_bytes);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel all buffers given back so far.
    pub(super) fn publish(&mut self) {
        // SAFETY: the base is the address of the first, initialised entry, whose reserved field is
        // the tail by the kernel's definition; it is aligned to two bytes and lives as long as the
        // mapping. The kernel reads it concurrently, hence the atomic.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.entries.start.as_ptr().cast());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    fn buffer(&self, id: u16) -> *mut u8 {
        // SAFETY: callers keep `id` below `count`, so the offset is inside the mapping.
        unsafe {
            self.memory
                .start
                .as_ptr()
                .add(usize::from(id) * self.buffer_bytes as usize)
        }
    }
}

/// Anonymous memory of whole pages: zeroed, and touched only when used.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping replaces nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap never maps at zero unasked");
        Ok(Self { start, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone and nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
