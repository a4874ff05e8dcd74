//! A slab arena for entries of up to 4 KiB, addressed by 32-bit slots.
//!
//! For: the keyspace's entries. A slot is half the size of a pointer, stays where it is until it is
//! freed, and becomes an address with one load from a table that fits the L1 cache.
//!
//! Not: a general allocator. Whoever frees must say the length it asked for, and payloads above
//! [`LEN_MAX`] belong outside, with a pointer in the entry.
//!
//! How: memory comes in regions of 2 MiB (aligned, so that transparent huge pages can back them),
//! cut into pages of 64 KiB. A page serves one size class; its free blocks are chained through
//! their own first bytes. Each class fills its fullest page first, so that after a wave of frees the
//! emptiest pages drain, return to the pool, and serve any other class; a region whose pages are
//! all free goes back to the system.
//!
//! The rule kept: memory of a region is always initialised and a block never crosses its page.
//! Hence [`Arena::bytes`] is safe with any slot: a stale one reads wrong bytes, never foreign memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ptr::NonNull;

/// The longest block that [`Arena::alloc`] serves, in bytes.
pub const LEN_MAX: usize = 4096;

/// What one step of a slot's number stands for.
const UNIT_BYTES: usize = 8;
const PAGE_BYTES: usize = 64 * 1024;
const PAGE_UNITS: u32 = (PAGE_BYTES / UNIT_BYTES) as u32;
const REGION_BYTES: usize = 2 * 1024 * 1024;
const REGION_UNITS_LOG2: u32 = (REGION_BYTES / UNIT_BYTES).ilog2();
const REGION_PAGES: u32 = (REGION_BYTES / PAGE_BYTES) as u32;
const REGION_LAYOUT: Layout = match Layout::from_size_align(REGION_BYTES, REGION_BYTES) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};
/// 2^32 units of 8 bytes: 32 GiB.
const REGIONS_MAX: usize = 1 << (32 - REGION_UNITS_LOG2);

/// Up to this length classes are 8 bytes apart; above, eight to each doubling.
const FINE_BYTES_MAX: usize = 256;
const FINE_CLASSES: usize = FINE_BYTES_MAX / UNIT_BYTES;
const CLASSES: usize = 64;

/// No page, no class, no free block, in the fields that hold such a number.
const NO_PAGE: u32 = u32::MAX;
const NO_CLASS: u8 = u8::MAX;
const NO_BLOCK: u16 = u16::MAX;

/// Pages with room are listed by how full they are, fullest first to be filled.
const FULLNESS_LEVELS: usize = 4;
/// The level of a page that is in no list, because it has no room.
const UNLISTED: u8 = u8::MAX;

/// What [`Arena::prefetch`] loads: an entry's header and a key of usual length, which stand in two
/// cache lines as often as not.
const PREFETCH_BYTES: usize = 32;

/// Free pages kept for the next burst before a region is given back.
const SPARE_PAGES: u32 = 2 * REGION_PAGES;

/// Where an entry lives: a number of 8-byte units from the arena's beginning, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Slot(NonZeroU32);

impl Slot {
    /// The slot with this number, unless it is 0.
    #[inline]
    pub const fn new(number: u32) -> Option<Slot> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Slot(number)),
            None => None,
        }
    }

    /// The slot's number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// What the arena knows about one page, outside of the page itself: 16 bytes for 64 KiB.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// Neighbours in the list of pages of this class and fullness.
    previous: u32,
    next: u32,
    /// First freed block, as a unit number inside the page.
    free: u16,
    /// Units from here on were never handed out since the page got its class.
    fresh: u16,
    /// Blocks in use.
    live: u16,
    class: u8,
    level: u8,
}

const FREE_PAGE: Page = Page {
    previous: NO_PAGE,
    next: NO_PAGE,
    free: NO_BLOCK,
    fresh: 0,
    live: 0,
    class: NO_CLASS,
    level: UNLISTED,
};

/// Blocks of variable size by 32-bit slot. See the module's head.
#[derive(Debug, Default)]
pub struct Arena {
    /// By region number; none where the region was given back.
    regions: Vec<Option<NonNull<u8>>>,
    /// By page number; a region's pages stand together.
    pages: Vec<Page>,
    /// By region number: one bit for each free page.
    free_pages: Vec<u32>,
    /// Regions with a free page, to take from the lowest first.
    regions_with_room: BTreeSet<u32>,
    /// Numbers of regions given back.
    regions_absent: BTreeSet<u32>,
    /// By class, by fullness: the first page with room.
    lists: Vec<[u32; FULLNESS_LEVELS]>,
    free_page_count: u32,
    allocated_bytes: usize,
    resident_pages: usize,
    /// Every live slot, to catch a double free where it happens.
    #[cfg(debug_assertions)]
    live: std::collections::HashSet<Slot>,
}

// SAFETY: the arena owns its regions alone; the raw pointers are never shared outside a borrow.
unsafe impl Send for Arena {}

/// The class that serves `len` bytes.
#[inline]
fn class_of(len: usize) -> usize {
    debug_assert!(len <= LEN_MAX);
    if len <= FINE_BYTES_MAX {
        return len.div_ceil(UNIT_BYTES).max(1) - 1;
    }
    let last = len - 1;
    let doubling = last.ilog2();
    let eighth = (last >> (doubling - 3)) & 7;
    FINE_CLASSES + (doubling - FINE_BYTES_MAX.ilog2()) as usize * 8 + eighth
}

/// The size of a class's blocks in bytes.
#[inline]
const fn class_bytes(class: usize) -> usize {
    if class < FINE_CLASSES {
        return (class + 1) * UNIT_BYTES;
    }
    let doubling = (class - FINE_CLASSES) / 8 + FINE_BYTES_MAX.ilog2() as usize;
    let eighth = (class - FINE_CLASSES) % 8;
    (8 + eighth + 1) << (doubling - 3)
}

/// By class: how many blocks a page holds. A table, because every `alloc` and `free` asks.
static PAGE_BLOCKS: [u16; CLASSES] = {
    let mut blocks = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        blocks[class] = (PAGE_BYTES / class_bytes(class)) as u16;
        class += 1;
    }
    blocks
};

impl Page {
    /// Blocks that the page holds when it is full.
    #[inline]
    fn blocks_max(&self) -> u32 {
        u32::from(PAGE_BLOCKS[self.class as usize])
    }

    /// Which list the page belongs to: 0 for the fullest quarter.
    #[inline]
    fn level_due(&self) -> u8 {
        let max = self.blocks_max();
        if u32::from(self.live) == max {
            return UNLISTED;
        }
        let empty = max - u32::from(self.live);
        ((empty - 1) * FULLNESS_LEVELS as u32 / max) as u8
    }
}

impl Arena {
    /// An empty arena; takes no memory before the first [`alloc`](Arena::alloc).
    pub fn new() -> Arena {
        Arena::default()
    }

    /// The bytes that a block asked for with `len` really has, at most 12.5 % more than `len`
    /// (below 64 bytes: at most 7 bytes more). An entry may grow in place up to it.
    ///
    /// # Panics
    /// If `len` is above [`LEN_MAX`].
    #[inline]
    pub fn capacity(len: usize) -> usize {
        assert!(len <= LEN_MAX, "no block is that long");
        class_bytes(class_of(len))
    }

    /// A block of at least `len` bytes, aligned to 8, with arbitrary contents. `None` where `len`
    /// is above [`LEN_MAX`], where all 32 GiB are in use, or where the system has no memory. O(1).
    #[inline]
    pub fn alloc(&mut self, len: usize) -> Option<Slot> {
        if len > LEN_MAX {
            return None;
        }
        let class = class_of(len);
        let number = match self.page_with_room(class) {
            Some(number) => number,
            None => self.take_page(class)?,
        };
        let page = &mut self.pages[number as usize];
        let unit = if page.free == NO_BLOCK {
            let unit = page.fresh;
            page.fresh += (class_bytes(class) / UNIT_BYTES) as u16;
            debug_assert!(u32::from(page.fresh) <= PAGE_UNITS);
            unit
        } else {
            page.free
        };
        let reused = page.free != NO_BLOCK;
        page.live += 1;
        let due = page.level_due();
        let moves = due != page.level;
        let slot = Slot::new(number * PAGE_UNITS + u32::from(unit)).expect("page 0 is never used");
        if reused {
            let link = self.bytes(slot, 2);
            let next = u16::from_ne_bytes([link[0], link[1]]);
            self.pages[number as usize].free = next;
        }
        if moves {
            self.unlist(number);
            self.list(number, due);
        }
        self.allocated_bytes += class_bytes(class);
        #[cfg(debug_assertions)]
        assert!(self.live.insert(slot), "a live block was handed out");
        Some(slot)
    }

    /// Gives back the block at `slot`, which was asked for with `len` or another length of the
    /// same [`capacity`](Arena::capacity). O(1).
    ///
    /// # Panics
    /// In debug builds, where the block is not live. In any build, where `len` is of another class.
    #[inline]
    pub fn free(&mut self, slot: Slot, len: usize) {
        let class = class_of(len);
        let number = slot.get() / PAGE_UNITS;
        #[cfg(debug_assertions)]
        {
            assert!(self.live.remove(&slot), "a block was freed twice");
            self.bytes_mut(slot, class_bytes(class)).fill(0xA5);
        }
        let page = &mut self.pages[number as usize];
        assert!(
            page.class as usize == class,
            "a block was freed with another length"
        );
        let link = page.free.to_ne_bytes();
        page.free = (slot.get() % PAGE_UNITS) as u16;
        page.live -= 1;
        let (live, due, level) = (page.live, page.level_due(), page.level);
        self.bytes_mut(slot, 2).copy_from_slice(&link);
        self.allocated_bytes -= class_bytes(class);
        if live == 0 {
            self.unlist(number);
            self.give_page(number);
        } else if due != level {
            self.unlist(number);
            self.list(number, due);
        }
    }

    /// The usable bytes of a live block. One load from the page table.
    #[inline]
    pub fn block_bytes(&self, slot: Slot) -> usize {
        class_bytes(usize::from(
            self.pages[(slot.get() / PAGE_UNITS) as usize].class,
        ))
    }

    /// [`free`](Arena::free) for a caller that does not know the length. O(1).
    #[inline]
    pub fn free_block(&mut self, slot: Slot) {
        self.free(slot, self.block_bytes(slot));
    }

    /// The address of a block; valid while the block is. One load beside the arithmetic.
    ///
    /// # Panics
    /// Where the slot's region does not exist, which no live slot's can.
    #[inline]
    pub fn ptr(&self, slot: Slot) -> *mut u8 {
        let region = self.regions[(slot.get() >> REGION_UNITS_LOG2) as usize];
        let unit = slot.get() & ((1 << REGION_UNITS_LOG2) - 1);
        let base = region.expect("a live slot's region exists");
        // SAFETY: `unit` is less than the units of a region, so the address is inside of it.
        unsafe { base.as_ptr().add(unit as usize * UNIT_BYTES) }
    }

    /// The first `len` bytes of a block.
    ///
    /// # Panics
    /// Where that would leave the block's page; or, as for [`ptr`](Arena::ptr), for a stale slot.
    #[inline]
    pub fn bytes(&self, slot: Slot, len: usize) -> &[u8] {
        Self::check(slot, len);
        // SAFETY: `ptr` is inside a region that lives as long as the arena keeps it, which needs
        // `&mut self`; `check` keeps the range inside the page; regions are initialised as a whole;
        // and nobody writes through another path while `&self` is held.
        unsafe { std::slice::from_raw_parts(self.ptr(slot), len) }
    }

    /// As [`bytes`](Arena::bytes), to write.
    #[inline]
    pub fn bytes_mut(&mut self, slot: Slot, len: usize) -> &mut [u8] {
        Self::check(slot, len);
        // SAFETY: as in `bytes`, and `&mut self` makes this the only path to the region.
        unsafe { std::slice::from_raw_parts_mut(self.ptr(slot), len) }
    }

    /// Starts loading the first [`PREFETCH_BYTES`] of the block. Any slot may be given.
    #[inline]
    pub fn prefetch(&self, slot: Slot) {
        let number = (slot.get() >> REGION_UNITS_LOG2) as usize;
        if let Some(Some(base)) = self.regions.get(number) {
            let unit = slot.get() & ((1 << REGION_UNITS_LOG2) - 1);
            let start = base.as_ptr().wrapping_add(unit as usize * UNIT_BYTES);
            super::prefetch_line(start);
            super::prefetch_line(start.wrapping_add(PREFETCH_BYTES - 1));
        }
    }

    /// Bytes of all live blocks, each counted with its capacity.
    pub fn allocated_bytes(&self) -> usize {
        self.allocated_bytes
    }

    /// Bytes of all pages that hold a live block, plus the arena's own tables. Free pages are not
    /// counted: most were never touched.
    pub fn resident_bytes(&self) -> usize {
        self.resident_pages * PAGE_BYTES
            + self.pages.capacity() * size_of::<Page>()
            + self.regions.capacity() * size_of::<Option<NonNull<u8>>>()
            + self.free_pages.capacity() * size_of::<u32>()
            + self.lists.capacity() * size_of::<[u32; FULLNESS_LEVELS]>()
    }

    #[inline]
    fn check(slot: Slot, len: usize) {
        let offset = (slot.get() % PAGE_UNITS) as usize * UNIT_BYTES;
        assert!(len <= PAGE_BYTES - offset, "a block never leaves its page");
    }

    /// The fullest page of a class that still has room.
    #[inline]
    fn page_with_room(&self, class: usize) -> Option<u32> {
        let lists = self.lists.get(class)?;
        lists.iter().copied().find(|&first| first != NO_PAGE)
    }

    fn list(&mut self, number: u32, level: u8) {
        self.pages[number as usize].level = level;
        if level == UNLISTED {
            return;
        }
        let class = self.pages[number as usize].class as usize;
        let next = std::mem::replace(&mut self.lists[class][level as usize], number);
        self.pages[number as usize].previous = NO_PAGE;
        self.pages[number as usize].next = next;
        if next != NO_PAGE {
            self.pages[next as usize].previous = number;
        }
    }

    fn unlist(&mut self, number: u32) {
        let page = self.pages[number as usize];
        if page.level == UNLISTED {
            return;
        }
        if page.previous == NO_PAGE {
            self.lists[page.class as usize][page.level as usize] = page.next;
        } else {
            self.pages[page.previous as usize].next = page.next;
        }
        if page.next != NO_PAGE {
            self.pages[page.next as usize].previous = page.previous;
        }
        self.pages[number as usize].level = UNLISTED;
    }

    /// Takes a page out of the pool for `class`, from the lowest region so that high ones empty.
    #[cold]
    fn take_page(&mut self, class: usize) -> Option<u32> {
        if self.lists.is_empty() {
            self.lists = vec![[NO_PAGE; FULLNESS_LEVELS]; CLASSES];
        }
        let region = match self.regions_with_room.first() {
            Some(&region) => region,
            None => self.add_region()?,
        };
        let free = &mut self.free_pages[region as usize];
        let number = region * REGION_PAGES + free.trailing_zeros();
        *free &= *free - 1;
        if *free == 0 {
            self.regions_with_room.remove(&region);
        }
        self.free_page_count -= 1;
        self.resident_pages += 1;
        let page = &mut self.pages[number as usize];
        debug_assert!(page.class == NO_CLASS && page.live == 0);
        page.class = class as u8;
        let due = page.level_due();
        self.list(number, due);
        Some(number)
    }

    /// Returns an empty page to the pool, and its region to the system where there is enough spare.
    #[cold]
    fn give_page(&mut self, number: u32) {
        let region = number / REGION_PAGES;
        self.pages[number as usize] = FREE_PAGE;
        self.free_pages[region as usize] |= 1 << (number % REGION_PAGES);
        self.regions_with_room.insert(region);
        self.free_page_count += 1;
        self.resident_pages -= 1;
        // Region 0 never is wholly free: its first page is held back to keep slot 0 unused.
        let all_free = self.free_pages[region as usize] == u32::MAX;
        if all_free && self.free_page_count > SPARE_PAGES {
            let base = self.regions[region as usize].take();
            // SAFETY: the region was allocated with this layout and none of its pages is in use.
            unsafe {
                dealloc(
                    base.expect("a region with pages exists").as_ptr(),
                    REGION_LAYOUT,
                )
            };
            self.free_pages[region as usize] = 0;
            self.free_page_count -= REGION_PAGES;
            self.regions_with_room.remove(&region);
            self.regions_absent.insert(region);
        }
    }

    fn add_region(&mut self) -> Option<u32> {
        if self.regions_absent.is_empty() && self.regions.len() == REGIONS_MAX {
            return None;
        }
        // Zeroed, because `bytes` promises initialised memory. The server's allocator takes fresh
        // regions from the system, which zeroes page by page on first touch.
        // SAFETY: the layout's size is not 0.
        let base = NonNull::new(unsafe { alloc_zeroed(REGION_LAYOUT) })?;
        let region = self.regions_absent.pop_first().unwrap_or_else(|| {
            let region = self.regions.len() as u32;
            self.regions.push(None);
            self.free_pages.push(0);
            self.pages
                .extend(std::iter::repeat_n(FREE_PAGE, REGION_PAGES as usize));
            region
        });
        self.regions[region as usize] = Some(base);
        let held_back = u32::from(region == 0);
        self.free_pages[region as usize] = !held_back;
        self.free_page_count += REGION_PAGES - held_back;
        self.regions_with_room.insert(region);
        Some(region)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for base in self.regions.iter().flatten() {
            // SAFETY: every region present was allocated with this layout.
            unsafe { dealloc(base.as_ptr(), REGION_LAYOUT) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn classes_hold_their_lengths_and_waste_little() {
        for len in 0..=LEN_MAX {
            let bytes = Arena::capacity(len);
            assert!(bytes >= len && bytes.is_multiple_of(UNIT_BYTES));
            assert!(bytes - len < UNIT_BYTES.max(len / 8 + 1) + usize::from(len == 0));
            assert_eq!(class_of(bytes), class_of(len));
        }
        assert_eq!(class_of(LEN_MAX), CLASSES - 1);
        assert_eq!(class_bytes(CLASSES - 1), LEN_MAX);
    }

    #[test]
    fn too_long_is_refused() {
        assert_eq!(Arena::new().alloc(LEN_MAX + 1), None);
    }

    #[test]
    fn an_emptied_arena_serves_another_class_from_the_same_memory() {
        let mut arena = Arena::new();
        let count = 8 * REGION_BYTES / 64;
        let slots: Vec<Slot> = (0..count).map(|_| arena.alloc(64).unwrap()).collect();
        let regions = arena.regions.len();
        assert_eq!(arena.allocated_bytes(), count * 64);
        for slot in slots {
            arena.free(slot, 64);
        }
        assert_eq!(arena.allocated_bytes(), 0);
        assert_eq!(arena.resident_pages, 0);
        assert!(arena.free_page_count <= SPARE_PAGES, "memory is given back");
        for _ in 0..7 * REGION_BYTES / 1024 {
            arena.alloc(1024).unwrap();
        }
        assert!(arena.regions.len() <= regions);
    }

    #[test]
    fn fuller_pages_are_filled_first() {
        let mut arena = Arena::new();
        let per_page = PAGE_BYTES / 64;
        let slots: Vec<Slot> = (0..3 * per_page)
            .map(|_| arena.alloc(64).unwrap())
            .collect();
        // Page A loses one block, page B nearly all.
        arena.free(slots[0], 64);
        for &slot in &slots[per_page..2 * per_page - 1] {
            arena.free(slot, 64);
        }
        assert_eq!(arena.alloc(64).unwrap(), slots[0]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "freed twice")]
    fn a_double_free_is_caught_in_debug() {
        let mut arena = Arena::new();
        let slot = arena.alloc(10).unwrap();
        let _keeps_the_page = arena.alloc(10).unwrap();
        arena.free(slot, 10);
        arena.free(slot, 10);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn blocks_keep_their_contents_and_never_overlap(
            steps in prop::collection::vec((any::<u16>(), 0usize..1500, 0u8..10), 1..3000),
        ) {
            let mut arena = Arena::new();
            let mut live: BTreeMap<u32, (usize, u8)> = BTreeMap::new();
            for (pick, len, what) in steps {
                // Phases of growth and of shrinking, by the position of the pick.
                if what < 6 || live.is_empty() {
                    let slot = arena.alloc(len).unwrap();
                    let stamp = pick as u8;
                    arena.bytes_mut(slot, len).fill(stamp);
                    let first = slot.get() as usize * UNIT_BYTES;
                    if let Some((&before, &(len_before, _))) = live.range(..slot.get()).next_back() {
                        prop_assert!(before as usize * UNIT_BYTES + Arena::capacity(len_before) <= first);
                    }
                    if let Some((&after, _)) = live.range(slot.get()..).next() {
                        prop_assert!(first + Arena::capacity(len) <= after as usize * UNIT_BYTES);
                    }
                    live.insert(slot.get(), (len, stamp));
                } else {
                    let number = *live.keys().nth(pick as usize % live.len()).unwrap();
                    let (len, stamp) = live.remove(&number).unwrap();
                    let slot = Slot::new(number).unwrap();
                    prop_assert!(arena.bytes(slot, len).iter().all(|&byte| byte == stamp));
                    arena.free(slot, len);
                }
            }
            let sum: usize = live.values().map(|&(len, _)| Arena::capacity(len)).sum();
            prop_assert_eq!(arena.allocated_bytes(), sum);
            prop_assert!(arena.resident_bytes() >= sum);
            for (number, (len, stamp)) in live {
                let slot = Slot::new(number).unwrap();
                prop_assert!(arena.bytes(slot, len).iter().all(|&byte| byte == stamp));
            }
        }
    }
}
