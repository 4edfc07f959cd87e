//! One packet buffer and its octets.

use std::ptr::NonNull;
use std::slice;

use dpdk_sys::rte_mbuf;

/// A packet buffer, owned: dropped it is freed, sent it is gone.
#[repr(transparent)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: a buffer belongs to whoever holds it, and pools take buffers back from any thread.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// # Safety
    /// `raw` is null or a buffer without another owner.
    pub(super) unsafe fn from_raw(raw: *mut rte_mbuf) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    #[inline]
    fn raw(&self) -> &rte_mbuf {
        // SAFETY: the buffer is valid while owned; DPDK writes to it only in calls that take it over.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn raw_mut(&mut self) -> &mut rte_mbuf {
        // SAFETY: as in `raw`, and `self` is borrowed alone.
        unsafe { self.0.as_mut() }
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        let raw = self.raw();
        // SAFETY: DPDK and the methods here keep data_off + data_len within buf_len.
        unsafe { raw.buf_addr.cast::<u8>().add(usize::from(raw.data_off)) }
    }

    /// The frame's octets; of a chain, those in the first buffer.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        // SAFETY: data_len octets from `start` are the frame, initialised, and lie within the buffer.
        unsafe { slice::from_raw_parts(self.start(), usize::from(self.raw().data_len)) }
    }

    /// As [`Mbuf::data`], to write.
    #[inline]
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `data`; `self` is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.start(), usize::from(self.raw().data_len)) }
    }

    /// Octets of the frame, over all buffers of a chain.
    #[inline]
    #[must_use]
    pub fn frame_octets(&self) -> u32 {
        self.raw().pkt_len
    }

    /// Whether the frame is spread over several buffers.
    #[inline]
    #[must_use]
    pub fn is_chained(&self) -> bool {
        self.raw().nb_segs != 1
    }

    /// Whether the driver found a VLAN tag, and took it off or not.
    #[inline]
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        use dpdk_sys::{MBUF_RX_QINQ_STRIPPED, MBUF_RX_VLAN, MBUF_RX_VLAN_STRIPPED};
        self.raw().ol_flags & (MBUF_RX_VLAN | MBUF_RX_VLAN_STRIPPED | MBUF_RX_QINQ_STRIPPED) != 0
    }

    /// Whether the frame is one buffer, with no VLAN tag that the driver knows of: what every frame should be.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.is_chained() && !self.is_tagged()
    }

    /// Cuts the frame off after `octets`; a chain, or a shorter frame, is left as it is.
    #[inline]
    pub fn truncate(&mut self, octets: u16) {
        let raw = self.raw_mut();
        if octets < raw.data_len && raw.nb_segs == 1 {
            raw.data_len = octets;
            raw.pkt_len = u32::from(octets);
        }
    }

    /// Appends `octets` zeroed octets and lends them; none if the buffer has no room.
    #[must_use]
    pub fn append(&mut self, octets: u16) -> Option<&mut [u8]> {
        let raw = self.raw_mut();
        let used = raw.data_off.checked_add(raw.data_len)?;
        if raw.nb_segs != 1 || octets > raw.buf_len.checked_sub(used)? {
            return None;
        }
        let before = usize::from(raw.data_len);
        raw.data_len += octets;
        raw.pkt_len += u32::from(octets);
        // SAFETY: the octets from `before` on lie within the buffer, as checked; they are written before being lent.
        unsafe {
            let added = self.start().add(before);
            added.write_bytes(0, usize::from(octets));
            Some(slice::from_raw_parts_mut(added, usize::from(octets)))
        }
    }

    /// Appends a copy of `octets`; false, and nothing done, if the buffer has no room.
    #[must_use]
    pub fn append_copy(&mut self, octets: &[u8]) -> bool {
        match u16::try_from(octets.len())
            .ok()
            .and_then(|length| self.append(length))
        {
            Some(added) => {
                added.copy_from_slice(octets);
                true
            }
            None => false,
        }
    }
}

impl AsRef<[u8]> for Mbuf {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl AsMut<[u8]> for Mbuf {
    fn as_mut(&mut self) -> &mut [u8] {
        self.data_mut()
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: the buffer is owned, and not used after this.
        unsafe { dpdk_sys::shim_mbuf_free(self.0.as_ptr()) };
    }
}

impl std::fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mbuf({} octets)", self.frame_octets())
    }
}
