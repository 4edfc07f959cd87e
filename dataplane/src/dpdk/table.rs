//! Large tables of atomics: zero when made, resident only where written, on huge pages where the kernel gives them.

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

mod sealed {
    /// # Safety
    /// All zero bits are a value, and nothing needs dropping.
    pub unsafe trait Zeroed {}
}

use sealed::Zeroed;

// SAFETY: an atomic has its integer's representation.
unsafe impl Zeroed for AtomicU8 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU16 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {}

/// A fixed number of atomics, zero at first. Tables of at least 2 MiB are aligned to huge pages.
#[derive(Debug)]
pub struct Table<T> {
    map: NonNull<c_void>,
    map_octets: usize,
    start: NonNull<T>,
    length: usize,
}

// SAFETY: a table owns its memory, as a boxed slice would.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Table<T> {}

const HUGE_PAGE: usize = 2 << 20;

impl<T: Zeroed> Table<T> {
    /// # Errors
    /// The kernel has no such room in this process's address space.
    pub fn new(length: usize) -> io::Result<Self> {
        let octets = length.saturating_mul(size_of::<T>()).max(1);
        let huge = octets >= HUGE_PAGE;
        let map_octets = if huge {
            octets.saturating_add(HUGE_PAGE)
        } else {
            octets
        };
        let size = NonZeroUsize::new(map_octets).ok_or(io::ErrorKind::InvalidInput)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a fresh anonymous mapping, at an address of the kernel's choice, aliases nothing.
        let map = unsafe {
            mmap_anonymous(
                None,
                size,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                flags,
            )?
        };
        let offset = if huge {
            map.cast::<u8>().as_ptr().align_offset(HUGE_PAGE)
        } else {
            0
        };
        // SAFETY: `offset` is below HUGE_PAGE, by which the mapping was made larger.
        let start = unsafe { map.byte_add(offset) };
        if huge {
            // SAFETY: the range lies in the mapping, and the advice changes no content. A kernel without transparent
            // huge pages refuses it, which costs speed and nothing else.
            let _ = unsafe { madvise(start, octets, MmapAdvise::MADV_HUGEPAGE) };
        }
        Ok(Self {
            map,
            map_octets,
            start: start.cast(),
            length,
        })
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `length` values lie from `start` on, in the mapping, and zero bits are values (`Zeroed`).
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this table's alone, and nothing borrows it any more.
        let _ = unsafe { munmap(self.map, self.map_octets) };
    }
}
