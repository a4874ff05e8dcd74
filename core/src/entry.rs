//! How one key lies in memory: a 16-byte header, the expiry if it has one, the key, the value.
//!
//! ```text
//! word 0   tip counter (48 bits) | flags (16 bits)
//! word 1   key length (16) | access (16) | value length (32)
//! [8]      expiry, Unix milliseconds, only where EXPIRES is set
//! key      inline, or a pointer to it where LONG_KEY is set
//! value    inline bytes, an i64, or a pointer, as the flags say
//! ```
//!
//! The tip of a key that only this node's stream has written is a 48-bit counter, and through the
//! log's sparse index that counter is also the place to rebuild the value from: one word serves as
//! history, version and disk address. This module knows the layout and nothing of keyspaces.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::effect::TypeTag;
use crate::id::COUNTER_MAX;
use crate::value::Collection;

/// A large string, shared with the replies that still carry it to clients.
pub type SharedBytes = Arc<Vec<u8>>;

/// Bytes of the fixed header.
pub(crate) const HEADER_BYTES: usize = 16;
/// Longest key that lies inside the entry.
pub(crate) const INLINE_KEY_MAX: usize = 1024;
/// Longest string value that lies inside the entry; longer ones are [`SharedBytes`].
pub(crate) const INLINE_VALUE_MAX: usize = 2048;

/// What the value part of an entry holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Form {
    /// The string's bytes.
    Inline = 0,
    /// A string that is a canonical integer, as an `i64`.
    Int = 1,
    /// A pointer to [`SharedBytes`].
    Shared = 2,
    /// A pointer to [`Held`].
    Collection = 3,
    /// Nothing: the value is in the log, in the effect that the tip names.
    Cold = 4,
}

/// A collection with the counter of the effect that its history in the log begins with: records of
/// this key before it are garbage, records from it on are not.
pub(crate) struct Held {
    pub base: u64,
    pub collection: Collection,
}

const FLAGS_SHIFT: u32 = 48;
const TYPE_BITS: u16 = 0b111;
const FORM_SHIFT: u32 = 3;
const FORM_BITS: u16 = 0b111 << FORM_SHIFT;
/// The entry has an expiry.
pub(crate) const EXPIRES: u16 = 1 << 6;
/// The key lies outside the entry.
pub(crate) const LONG_KEY: u16 = 1 << 7;
/// The effect that the tip names holds the whole state (a SET or a Snapshot).
pub(crate) const SELF_CONTAINED: u16 = 1 << 8;
/// The string was changed in place since it was set: OBJECT ENCODING says `raw`.
pub(crate) const RAW: u16 = 1 << 9;
const FREQUENCY_SHIFT: u32 = 10;
const FREQUENCY_BITS: u16 = 0b11 << FREQUENCY_SHIFT;

/// The parts of an entry's header that say how long it is and where its parts are.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub flags: u16,
    pub key_len: usize,
    pub value_len: usize,
}

impl Shape {
    pub fn form(self) -> Form {
        form_of(self.flags)
    }

    pub fn key_at(self) -> usize {
        HEADER_BYTES + if self.flags & EXPIRES != 0 { 8 } else { 0 }
    }

    fn value_at(self) -> usize {
        self.key_at()
            + if self.flags & LONG_KEY != 0 {
                8
            } else {
                self.key_len
            }
    }

    /// Bytes of the whole entry in the arena.
    pub fn len(self) -> usize {
        self.value_at() + stored_len(self.form(), self.value_len)
    }
}

/// Bytes that the value part takes inside the entry.
pub(crate) fn stored_len(form: Form, value_len: usize) -> usize {
    match form {
        Form::Inline => value_len,
        Form::Int | Form::Shared | Form::Collection => 8,
        Form::Cold => 0,
    }
}

fn form_of(flags: u16) -> Form {
    match (flags & FORM_BITS) >> FORM_SHIFT {
        0 => Form::Inline,
        1 => Form::Int,
        2 => Form::Shared,
        3 => Form::Collection,
        4 => Form::Cold,
        other => unreachable!("entry form {other} is never written"),
    }
}

/// Flags of a new entry.
pub(crate) fn flags(type_tag: TypeTag, form: Form, extra: u16) -> u16 {
    type_tag as u16 | (form as u16) << FORM_SHIFT | extra
}

/// A value as commands see it.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A string's bytes.
    Bytes(&'a [u8]),
    /// A string that is a canonical integer.
    Int(i64),
    /// A large string; clone the handle to send it without a copy.
    Shared(SharedRef<'a>),
    /// A list, set, hash or sorted set.
    Collection(&'a Collection),
    /// Not in memory: it must be rebuilt from the log first.
    Cold,
}

/// A live entry in the arena.
///
/// Copyable like a reference; the keyspace makes sure, by borrowing, that it does not outlive the
/// entry.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    at: *mut u8,
    _keyspace: PhantomData<&'a u8>,
}

impl<'a> Entry<'a> {
    /// # Safety
    /// `at` is the start of an initialised entry that stays in place for `'a`.
    #[inline]
    pub(crate) unsafe fn new(at: *mut u8) -> Self {
        Entry {
            at,
            _keyspace: PhantomData,
        }
    }

    #[inline]
    fn word0(self) -> u64 {
        // SAFETY: the entry is initialised and arena slots are 8-aligned.
        unsafe { self.at.cast::<u64>().read() }
    }

    #[inline]
    fn set_word0(self, word: u64) {
        // SAFETY: as above; the keyspace that owns the entry is used by one thread only.
        unsafe { self.at.cast::<u64>().write(word) }
    }

    #[inline]
    fn word1(self) -> u64 {
        // SAFETY: the header is 16 bytes.
        unsafe { self.at.cast::<u64>().add(1).read() }
    }

    #[inline]
    fn set_word1(self, word: u64) {
        // SAFETY: the header is 16 bytes.
        unsafe { self.at.cast::<u64>().add(1).write(word) }
    }

    #[inline]
    pub(crate) fn flags(self) -> u16 {
        (self.word0() >> FLAGS_SHIFT) as u16
    }

    #[inline]
    pub(crate) fn set_flags(self, flags: u16) {
        self.set_word0(self.word0() & COUNTER_MAX | u64::from(flags) << FLAGS_SHIFT);
    }

    #[inline]
    pub(crate) fn shape(self) -> Shape {
        let word1 = self.word1();
        Shape {
            flags: self.flags(),
            key_len: word1 as u16 as usize,
            value_len: (word1 >> 32) as usize,
        }
    }

    #[inline]
    pub(crate) fn form(self) -> Form {
        form_of(self.flags())
    }

    /// Writes a header; what follows it is not touched.
    #[inline]
    pub(crate) fn write_header(self, tip: u64, shape: Shape, access: u16) {
        debug_assert!(tip <= COUNTER_MAX && shape.key_len <= usize::from(u16::MAX));
        self.set_word0(tip | u64::from(shape.flags) << FLAGS_SHIFT);
        self.set_word1(
            shape.key_len as u64 | u64::from(access) << 16 | (shape.value_len as u64) << 32,
        );
    }

    /// The counter of the key's last effect in this shard's stream.
    #[inline]
    pub fn tip(self) -> u64 {
        self.word0() & COUNTER_MAX
    }

    #[inline]
    pub(crate) fn set_tip(self, tip: u64) {
        self.set_word0(self.word0() & !COUNTER_MAX | tip);
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let shape = self.shape();
        if shape.flags & LONG_KEY != 0 {
            let key = self.read_word(shape.key_at()) as *const Vec<u8>;
            // SAFETY: LONG_KEY entries own a boxed key that lives as long as they do.
            return unsafe { &*key };
        }
        // SAFETY: the key lies inside the entry.
        unsafe { std::slice::from_raw_parts(self.at.add(shape.key_at()), shape.key_len) }
    }

    /// The type.
    #[inline]
    pub fn type_tag(self) -> TypeTag {
        match self.flags() & TYPE_BITS {
            0 => TypeTag::String,
            1 => TypeTag::List,
            2 => TypeTag::Set,
            3 => TypeTag::Hash,
            4 => TypeTag::SortedSet,
            other => unreachable!("entry type {other} is never written"),
        }
    }

    /// When it expires, in Unix milliseconds.
    #[inline]
    pub fn expires_ms(self) -> Option<u64> {
        if self.flags() & EXPIRES == 0 {
            return None;
        }
        // SAFETY: EXPIRES entries have 8 bytes for it behind the header.
        Some(unsafe { self.at.add(HEADER_BYTES).cast::<u64>().read() })
    }

    #[inline]
    pub(crate) fn set_expires_in_place(self, at_ms: u64) {
        debug_assert!(self.flags() & EXPIRES != 0);
        // SAFETY: EXPIRES entries have 8 bytes for it behind the header.
        unsafe { self.at.add(HEADER_BYTES).cast::<u64>().write(at_ms) }
    }

    #[inline]
    pub(crate) fn read_word(self, offset: usize) -> u64 {
        // SAFETY: callers give offsets of an 8-byte part of the entry.
        unsafe { self.at.add(offset).cast::<u64>().read_unaligned() }
    }

    #[inline]
    pub(crate) fn write_word(self, offset: usize, word: u64) {
        // SAFETY: callers give offsets of an 8-byte part of the entry.
        unsafe { self.at.add(offset).cast::<u64>().write_unaligned(word) }
    }

    #[inline]
    fn inline_bytes(self, shape: Shape) -> &'a [u8] {
        // SAFETY: inline values lie inside the entry.
        unsafe { std::slice::from_raw_parts(self.at.add(shape.value_at()), shape.value_len) }
    }

    /// The bytes of an inline value, writable.
    ///
    /// # Safety
    /// No other reference to the value is alive.
    pub(crate) unsafe fn inline_bytes_mut(self) -> &'a mut [u8] {
        let shape = self.shape();
        debug_assert_eq!(shape.form(), Form::Inline);
        // SAFETY: inside the entry; unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(shape.value_at()), shape.value_len) }
    }

    /// Writes the key behind a header that is already written.
    pub(crate) fn write_key(self, key: &[u8]) {
        let shape = self.shape();
        if shape.flags & LONG_KEY != 0 {
            self.write_word(shape.key_at(), Box::into_raw(Box::new(key.to_vec())) as u64);
        } else {
            debug_assert_eq!(key.len(), shape.key_len);
            // SAFETY: the shape reserves key_len bytes here; entry memory never overlaps a key
            // that comes from outside, nor the entry that it moves from.
            unsafe {
                self.at
                    .add(shape.key_at())
                    .copy_from_nonoverlapping(key.as_ptr(), key.len());
            }
        }
    }

    /// Takes over key and value of another entry of the same shape, the expiry apart.
    pub(crate) fn copy_parts(self, from: Entry<'_>) {
        let (to_shape, from_shape) = (self.shape(), from.shape());
        let len = from_shape.len() - from_shape.key_at();
        debug_assert_eq!(len, to_shape.len() - to_shape.key_at());
        // SAFETY: two live blocks of the arena, which do not overlap, long enough by their shapes.
        unsafe {
            self.at
                .add(to_shape.key_at())
                .copy_from_nonoverlapping(from.at.add(from_shape.key_at()), len);
        }
    }

    /// Writes an inline value behind a header that is already written.
    pub(crate) fn write_inline(self, value: &[u8]) {
        let shape = self.shape();
        debug_assert_eq!(value.len(), shape.value_len);
        // SAFETY: the shape reserves value_len bytes here. `copy` because SETRANGE and the like
        // may hand back bytes of this very entry.
        unsafe {
            self.at
                .add(shape.value_at())
                .copy_from(value.as_ptr(), value.len())
        }
    }

    /// The word of a form that holds a number or a pointer.
    #[inline]
    pub(crate) fn value_word(self) -> u64 {
        self.read_word(self.shape().value_at())
    }

    #[inline]
    pub(crate) fn set_value_word(self, word: u64) {
        self.write_word(self.shape().value_at(), word);
    }

    #[inline]
    pub(crate) fn held(self) -> *mut Held {
        debug_assert_eq!(self.form(), Form::Collection);
        self.value_word() as *mut Held
    }

    /// The value.
    #[inline]
    pub fn value(self) -> Value<'a> {
        let shape = self.shape();
        match shape.form() {
            Form::Inline => Value::Bytes(self.inline_bytes(shape)),
            Form::Int => Value::Int(self.value_word() as i64),
            Form::Shared => Value::Shared(SharedRef {
                at: self.value_word() as *const Vec<u8>,
                _entry: PhantomData,
            }),
            // SAFETY: Collection entries own a box that lives as long as they do.
            Form::Collection => Value::Collection(unsafe { &(*self.held()).collection }),
            Form::Cold => Value::Cold,
        }
    }

    /// Bytes of the value: a string's length, a collection's memory.
    pub fn value_bytes(self) -> usize {
        match self.value() {
            Value::Bytes(bytes) => bytes.len(),
            Value::Int(_) => 8,
            Value::Shared(shared) => shared.as_slice().len(),
            Value::Collection(collection) => collection.memory_bytes(),
            Value::Cold => self.shape().value_len,
        }
    }

    /// Whether the tip's effect alone rebuilds the key.
    #[inline]
    pub fn is_self_contained(self) -> bool {
        self.flags() & SELF_CONTAINED != 0
    }

    /// Whether the string was changed in place since it was set.
    pub fn is_raw(self) -> bool {
        self.flags() & RAW != 0
    }

    /// How often the key was used lately, 0 to 3.
    #[inline]
    pub fn frequency(self) -> u8 {
        ((self.flags() & FREQUENCY_BITS) >> FREQUENCY_SHIFT) as u8
    }

    #[inline]
    pub(crate) fn set_frequency(self, frequency: u8) {
        debug_assert!(frequency <= 3);
        self.set_flags(self.flags() & !FREQUENCY_BITS | u16::from(frequency) << FREQUENCY_SHIFT);
    }

    /// 16 bits that the eviction policy keeps per key: an LRU clock or an LFU counter.
    #[inline]
    pub fn access(self) -> u16 {
        (self.word1() >> 16) as u16
    }

    /// Stores the eviction policy's 16 bits.
    #[inline]
    pub(crate) fn set_access(self, access: u16) {
        self.set_word1(self.word1() & !(0xffff << 16) | u64::from(access) << 16);
    }
}

/// A large string inside an entry.
#[derive(Clone, Copy)]
pub struct SharedRef<'a> {
    at: *const Vec<u8>,
    _entry: PhantomData<&'a Vec<u8>>,
}

impl<'a> SharedRef<'a> {
    /// The bytes.
    pub fn as_slice(self) -> &'a [u8] {
        // SAFETY: the entry owns one count of the Arc for 'a.
        unsafe { &*self.at }
    }

    /// A handle that keeps the bytes alive after the entry is gone or changed: O(1), no copy.
    pub fn share(self) -> SharedBytes {
        // SAFETY: `at` came from Arc::into_raw and the entry owns a count.
        unsafe {
            Arc::increment_strong_count(self.at);
            Arc::from_raw(self.at)
        }
    }
}
