//! Where keys live: slots of 32 bytes in pages that are locked in memory, left out of core dumps and not handed to
//! forked children.
//!
//! The pages are few and never given back: 512 keys share 16 KiB, and the lock limit is often 8 MiB. Where the
//! system refuses to lock, keys live in ordinary memory of the same layout and [`memory_protection`] says so. The
//! expanded forms that ciphers keep (AES schedules, HMAC states) lie on the ordinary heap and are wiped when dropped;
//! against dumps of those, the process itself turns dumps off.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

const SLOT_BYTES: usize = 32;
const CHUNK_BYTES: usize = 16 * 1024;
const SLOTS_PER_CHUNK: usize = CHUNK_BYTES / SLOT_BYTES;
/// At least the page size of every platform with 4 KiB pages; larger pages lock more than asked, never less.
const CHUNK_ALIGNMENT: usize = 4096;

/// Whether keys are kept from swap and dumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryProtection {
    /// Every key so far is in locked pages.
    Locked,
    /// The system refused to lock, or to leave out of dumps, the pages of some keys: raise the limit of locked memory
    /// (`ulimit -l`, `LimitMEMLOCK=`).
    Incomplete,
}

/// How the keys of this process are kept, so that a server can warn at its start.
pub fn memory_protection() -> MemoryProtection {
    if arena().incomplete { MemoryProtection::Incomplete } else { MemoryProtection::Locked }
}

/// 32 bytes of the arena, owned by one holder; zero at first, wiped when dropped.
pub(crate) struct Slot(NonNull<[u8; SLOT_BYTES]>);

struct Arena {
    /// Slots that nobody owns.
    free: Vec<Slot>,
    incomplete: bool,
}

static ARENA: Mutex<Arena> = Mutex::new(Arena { free: Vec::new(), incomplete: false });

// SAFETY: a slot is the only owner of its 32 bytes (each pointer is made once in `Arena::grow` and moves between the
// free list and one holder), they are plain bytes, and they are never unmapped.
unsafe impl Send for Slot {}
// SAFETY: a shared slot only gives shared references to its bytes; writing takes `&mut`.
unsafe impl Sync for Slot {}

impl Slot {
    pub(crate) fn zeroed() -> Self {
        arena().take()
    }

    pub(crate) fn bytes(&self) -> &[u8; SLOT_BYTES] {
        // SAFETY: the pointer is to initialised memory that is never unmapped, and this slot is its only owner, so
        // nobody writes while the reference, which borrows the slot, lives.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; SLOT_BYTES] {
        // SAFETY: as in `bytes`, and `&mut self` makes the reference the only one.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        arena().free.push(Self(self.0));
    }
}

fn arena() -> MutexGuard<'static, Arena> {
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arena {
    fn take(&mut self) -> Slot {
        loop {
            match self.free.pop() {
                Some(slot) => return slot,
                None => self.grow(),
            }
        }
    }

    fn grow(&mut self) {
        let (chunk, protected) = match map_protected() {
            Some(mapped) => mapped,
            None => (allocate_ordinary(), false),
        };
        self.incomplete |= !protected;
        for index in 0..SLOTS_PER_CHUNK {
            // SAFETY: `index * SLOT_BYTES + SLOT_BYTES` is at most CHUNK_BYTES, the size of the chunk, which is zeroed
            // memory that lives for ever; slots do not overlap.
            let slot = unsafe { chunk.add(index * SLOT_BYTES) };
            self.free.push(Slot(slot.cast()));
        }
    }
}

/// A chunk of mapped, zeroed memory, and whether all protections hold. None if the system gives no memory.
#[cfg(unix)]
fn map_protected() -> Option<(NonNull<u8>, bool)> {
    use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous};
    // SAFETY: a new private mapping at an address of the system's choice touches no memory in use.
    let mapped = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            CHUNK_BYTES,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    let chunk = NonNull::new(mapped.ok()?)?;
    // SAFETY: the range is the mapping just made; locking does not change its contents.
    let locked = unsafe { mlock(chunk.as_ptr(), CHUNK_BYTES) }.is_ok();
    let hidden = hide_from_dumps_and_children(chunk);
    Some((chunk.cast(), locked && hidden))
}

#[cfg(not(unix))]
fn map_protected() -> Option<(NonNull<u8>, bool)> {
    None
}

/// A forked child gets no copy at all: with zeroed pages (MADV_WIPEONFORK) it would go on with keys of zeros.
#[cfg(target_os = "linux")]
fn hide_from_dumps_and_children(chunk: NonNull<std::ffi::c_void>) -> bool {
    use rustix::mm::{Advice, madvise};
    [Advice::LinuxDontDump, Advice::LinuxDontFork].into_iter().all(|advice| {
        // SAFETY: the range is a whole mapping of this module; neither advice changes its contents in this process.
        unsafe { madvise(chunk.as_ptr(), CHUNK_BYTES, advice) }.is_ok()
    })
}

#[cfg(all(unix, not(target_os = "linux")))]
fn hide_from_dumps_and_children(_chunk: NonNull<std::ffi::c_void>) -> bool {
    false
}

fn allocate_ordinary() -> NonNull<u8> {
    let Ok(layout) = Layout::from_size_align(CHUNK_BYTES, CHUNK_ALIGNMENT) else {
        handle_alloc_error(Layout::new::<[u8; CHUNK_BYTES]>())
    };
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_apart_zero_at_first_and_wiped() {
        let mut slots: Vec<Slot> = (0..2 * SLOTS_PER_CHUNK).map(|_| Slot::zeroed()).collect();
        for (index, slot) in slots.iter_mut().enumerate() {
            assert_eq!(slot.bytes(), &[0; 32]);
            slot.bytes_mut().fill(index as u8);
        }
        for (index, slot) in slots.iter().enumerate() {
            assert_eq!(slot.bytes(), &[index as u8; 32]);
        }
        drop(slots);
        assert_eq!(Slot::zeroed().bytes(), &[0; 32]);
    }

    #[test]
    fn ordinary_memory_serves_where_mapping_fails() {
        let chunk = allocate_ordinary();
        assert_eq!(chunk.as_ptr() as usize % CHUNK_ALIGNMENT, 0);
        // SAFETY: the chunk is CHUNK_BYTES of zeroed memory that is never freed.
        assert!(
            unsafe { std::slice::from_raw_parts(chunk.as_ptr(), CHUNK_BYTES) }.iter().all(|byte| *byte == 0)
        );
    }

    /// What the kernel says of the page a key is on: lo = locked, dd = not dumped, dc = not copied on fork.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_agrees() {
        let slot = Slot::zeroed();
        let address = slot.bytes().as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut here = false;
        for line in maps.lines() {
            let range = line.split_whitespace().next().and_then(|range| range.split_once('-'));
            if let Some((Ok(start), Ok(end))) =
                range.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)))
            {
                here = (start..end).contains(&address);
            }
            if let (true, Some(flags)) = (here, line.strip_prefix("VmFlags:")) {
                let has = |flag| flags.split_whitespace().any(|held| held == flag);
                assert!(has("dd") && has("dc"), "{flags}");
                assert_eq!(has("lo"), memory_protection() == MemoryProtection::Locked, "{flags}");
                return;
            }
        }
        panic!("the key's page is not in the list of mappings");
    }
}
