//! Pools of packet buffers.

use std::ffi::c_int;
use std::ptr::NonNull;

use dpdk_sys::rte_mempool;
use thiserror::Error;

use super::{Eal, Errno, Mbuf, c_string};

/// Octets before a fresh buffer's data.
const HEADROOM: u16 = dpdk_sys::shim_layout::SHIM_PKTMBUF_HEADROOM as u16;

/// Why a pool could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no memory for {mbufs} packet buffers of {data_room} octets ({errno}). Ask for fewer (`backlog`, `mbufs` or `count` in \
     [workers]), give more memory (`memory-mib` in [eal]), or reserve more huge pages (sysctl vm.nr_hugepages)"
)]
pub struct MempoolError {
    mbufs: u32,
    data_room: u16,
    errno: Errno,
}

/// A pool of packet buffers of one size.
#[derive(Debug)]
pub struct Mempool {
    raw: NonNull<rte_mempool>,
    mbufs: u32,
}

// SAFETY: DPDK's pools are for all threads.
unsafe impl Send for Mempool {}
// SAFETY: as above.
unsafe impl Sync for Mempool {}

impl Mempool {
    /// What a buffer with this room for data takes in all: its header, the headroom, and the pool's header, padding and at
    /// most two places in the ring of free ones.
    #[must_use]
    pub fn object_octets(data_room: u16) -> u32 {
        const MBUF_AND_POOL_OCTETS: u32 = 128 + 64 + 64 + 16;
        u32::from(data_room) + u32::from(HEADROOM) + MBUF_AND_POOL_OCTETS
    }

    /// Makes a pool of `mbufs` buffers with `data_room` octets for a frame each; every registered thread may keep
    /// `cache` of them at hand (at most 512). `socket` is a NUMA node, or -1.
    ///
    /// # Errors
    /// [`MempoolError`]: the EAL has not that much memory.
    pub fn new(
        _eal: &Eal,
        name: &str,
        mbufs: u32,
        cache: u16,
        data_room: u16,
        socket: i32,
    ) -> Result<Self, MempoolError> {
        let name = c_string(name);
        // SAFETY: `name` is terminated; the EAL runs, as `_eal` proves.
        let raw = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(
                name.as_ptr(),
                mbufs,
                u32::from(cache.min(512)),
                0,
                data_room.saturating_add(HEADROOM),
                c_int::from(socket),
            )
        };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw, mbufs }),
            None => Err(MempoolError {
                mbufs,
                data_room,
                errno: Errno::last(),
            }),
        }
    }

    /// The number of buffers in the pool, free and in use.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.mbufs
    }

    /// The number of free buffers, those in threads' caches included.
    #[must_use]
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives while `self` does; the count is a snapshot.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.raw.as_ptr()) }
    }

    /// The number of buffers in use.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        // SAFETY: as for `available`.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.raw.as_ptr()) }
    }

    /// A buffer with no octets in it yet, or none if the pool is empty.
    #[must_use]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool lives; a buffer that it gives has no other owner.
        unsafe { Mbuf::from_raw(dpdk_sys::shim_mbuf_alloc(self.raw.as_ptr())) }
    }

    pub(super) fn as_ptr(&self) -> *mut rte_mempool {
        self.raw.as_ptr()
    }
}

impl Drop for Mempool {
    fn drop(&mut self) {
        // A buffer that is still out would be freed into nothing: such a pool stays.
        if self.in_use() == 0 {
            // SAFETY: no buffer of the pool is out, so nobody refers to it any more.
            unsafe { dpdk_sys::rte_mempool_free(self.raw.as_ptr()) };
        }
    }
}
