//! A burst: up to [`BURST_MAX`] packet buffers that travel together.

use std::mem::{self, MaybeUninit};
use std::{hint, slice};

use dpdk_sys::rte_mbuf;

use super::Mbuf;

/// The most packets that one burst holds.
pub const BURST_MAX: usize = 64;

/// Up to [`BURST_MAX`] packet buffers in order. Dropped or cleared, all are freed in one call.
pub struct Burst {
    /// The first `length` are initialised.
    mbufs: [MaybeUninit<Mbuf>; BURST_MAX],
    length: usize,
}

impl Burst {
    /// An empty burst.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mbufs: [const { MaybeUninit::uninit() }; BURST_MAX],
            length: 0,
        }
    }

    /// The number of packets in it.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        // SAFETY: no method lets `length` pass BURST_MAX. The compiler is told, so that a loop over a burst may walk arrays
        // of that length without checks.
        unsafe { hint::assert_unchecked(self.length <= BURST_MAX) };
        self.length
    }

    /// Whether it holds none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether it takes no more.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.length == BURST_MAX
    }

    /// The packets in it.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[Mbuf] {
        // SAFETY: the first `length` are initialised.
        unsafe { slice::from_raw_parts(self.mbufs.as_ptr().cast(), self.len()) }
    }

    /// As [`Burst::as_slice`], to write.
    #[inline]
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [Mbuf] {
        // SAFETY: as for `as_slice`; `self` is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.mbufs.as_mut_ptr().cast(), self.len()) }
    }

    /// Octets of all frames.
    #[inline]
    #[must_use]
    pub fn octets(&self) -> u64 {
        // Together they fit 32 bits: no pool is larger. By eights, so that there are few jumps.
        let sum = |mbufs: &[Mbuf]| mbufs.iter().map(Mbuf::frame_octets).sum::<u32>();
        let (eights, last) = self.as_slice().as_chunks::<8>();
        u64::from(eights.iter().map(|eight| sum(eight)).sum::<u32>() + sum(last))
    }

    /// Appends a packet.
    ///
    /// # Errors
    /// Gives the packet back if the burst is full.
    #[inline]
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        match self.mbufs.get_mut(self.length) {
            Some(slot) => {
                slot.write(mbuf);
                self.length += 1;
                Ok(())
            }
            None => Err(mbuf),
        }
    }

    /// Takes all packets out, in order.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_> {
        let length = mem::take(&mut self.length);
        Drain {
            burst: self,
            next: 0,
            length,
        }
    }

    /// Moves the packets whose bits are set in `places` to `into`, in order; the others close ranks. What `into` held
    /// before is freed. Without a branch on the bits: they may be as good as random.
    pub fn part(&mut self, places: u64, into: &mut Self) {
        into.clear();
        let length = mem::take(&mut self.length).min(BURST_MAX);
        let (mut kept, mut gone) = (0, 0);
        let (slots, gone_slots) = (self.as_raw(), into.as_raw());
        for place in 0..length {
            let goes = usize::from(places >> place & 1 != 0);
            // SAFETY: `place`, and `kept` and `gone`, which never exceed it, lie within a burst. Every pointer is copied to
            // both sides, and stays on the one whose count grows: the other is overwritten, or lies behind the end.
            unsafe {
                let mbuf = slots.add(place).read();
                slots.add(kept).write(mbuf);
                gone_slots.add(gone).write(mbuf);
            }
            kept += 1 - goes;
            gone += goes;
        }
        self.length = kept;
        into.length = gone;
    }

    /// Frees all packets in one call.
    #[inline]
    pub fn clear(&mut self) {
        if self.length > 0 {
            let length = mem::take(&mut self.length);
            // SAFETY: the first `length` were owned here and no longer are; a burst holds far fewer than u32::MAX.
            unsafe { dpdk_sys::shim_mbuf_free_bulk(self.as_raw(), length as u32) };
        }
    }

    /// The slots as DPDK takes them.
    #[inline]
    pub(super) fn as_raw(&mut self) -> *mut *mut rte_mbuf {
        // An Mbuf is a transparent wrapper of a pointer.
        self.mbufs.as_mut_ptr().cast()
    }

    /// # Safety
    /// The first `length` slots are initialised and owned by nobody else.
    #[inline]
    pub(super) unsafe fn set_len(&mut self, length: usize) {
        debug_assert!(length <= BURST_MAX);
        self.length = length;
    }

    /// Gives up the first `count` packets, which now belong to another owner, and moves the rest forward.
    ///
    /// # Safety
    /// The first `count` were taken over.
    #[inline]
    pub(super) unsafe fn forget_front(&mut self, count: usize) {
        let rest = self.length - count;
        if rest > 0 {
            let slots = self.mbufs.as_mut_ptr();
            // SAFETY: both ranges lie within the first `length` slots.
            unsafe { slots.copy_from(slots.add(count), rest) };
        }
        self.length = rest;
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The packets of a burst on their way out of it; those not taken are freed.
pub struct Drain<'a> {
    burst: &'a mut Burst,
    next: usize,
    length: usize,
}

impl Iterator for Drain<'_> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.next == self.length {
            return None;
        }
        // SAFETY: the slots from `next` to `length` are initialised, and each is read once.
        let mbuf = unsafe { self.burst.mbufs.get_unchecked(self.next).assume_init_read() };
        self.next += 1;
        Some(mbuf)
    }
}

impl Drop for Drain<'_> {
    #[inline]
    fn drop(&mut self) {
        for _ in self.by_ref() {}
    }
}
