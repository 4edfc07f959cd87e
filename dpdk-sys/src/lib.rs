//! Raw bindings to DPDK: bindgen's, made at build time over an allow-list, and a C shim (`shim.h`) for inline
//! functions and for structures that differ between releases. No logic, and nothing safe: `dataplane::dpdk` wraps it.

#![allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "C's names are kept"
)]

use std::ffi::c_void;
use std::mem::{offset_of, size_of};

#[allow(
    missing_docs,
    unsafe_op_in_unsafe_fn,
    reason = "bindgen's output; DPDK's headers document it"
)]
#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    reason = "bindgen's output"
)]
mod bindings {
    use super::rte_mbuf;

    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;

/// The fields of DPDK's packet buffer that the road reads or writes, at their offsets.
///
/// bindgen's own rendering would name its unions differently from release to release; this one names only what is
/// used, and the assertions below fail the build where a release keeps it elsewhere.
#[repr(C, align(64))]
pub struct rte_mbuf {
    /// Start of the buffer, headroom included.
    pub buf_addr: *mut c_void,
    _iova: u64,
    /// Octets from `buf_addr` to the first octet of the frame.
    pub data_off: u16,
    /// Number of owners.
    pub refcnt: u16,
    /// Number of segments of the chain that begins here.
    pub nb_segs: u16,
    /// The port that received it.
    pub port: u16,
    /// `RTE_MBUF_F_…`
    pub ol_flags: u64,
    _packet_type: u32,
    /// Octets of the frame, over all segments.
    pub pkt_len: u32,
    /// Octets of the frame in this segment.
    pub data_len: u16,
    _vlan_tci: u16,
    _hash: [u32; 2],
    _vlan_tci_outer: u16,
    /// Octets of the buffer, headroom included.
    pub buf_len: u16,
    /// The pool it returns to.
    pub pool: *mut rte_mempool,
    _second_line: [u64; 8],
}

/// The frame carried a VLAN tag (`RTE_MBUF_F_RX_VLAN`).
pub const MBUF_RX_VLAN: u64 = 1 << 0;
/// The driver took a VLAN tag off the frame (`RTE_MBUF_F_RX_VLAN_STRIPPED`).
pub const MBUF_RX_VLAN_STRIPPED: u64 = 1 << 6;
/// The driver took two VLAN tags off the frame (`RTE_MBUF_F_RX_QINQ_STRIPPED`).
pub const MBUF_RX_QINQ_STRIPPED: u64 = 1 << 15;

const _: () = {
    use shim_layout::*;
    assert!(size_of::<rte_mbuf>() == SHIM_MBUF_SIZE as usize);
    assert!(offset_of!(rte_mbuf, buf_addr) == SHIM_MBUF_BUF_ADDR as usize);
    assert!(offset_of!(rte_mbuf, data_off) == SHIM_MBUF_DATA_OFF as usize);
    assert!(offset_of!(rte_mbuf, refcnt) == SHIM_MBUF_REFCNT as usize);
    assert!(offset_of!(rte_mbuf, nb_segs) == SHIM_MBUF_NB_SEGS as usize);
    assert!(offset_of!(rte_mbuf, port) == SHIM_MBUF_PORT as usize);
    assert!(offset_of!(rte_mbuf, ol_flags) == SHIM_MBUF_OL_FLAGS as usize);
    assert!(offset_of!(rte_mbuf, pkt_len) == SHIM_MBUF_PKT_LEN as usize);
    assert!(offset_of!(rte_mbuf, data_len) == SHIM_MBUF_DATA_LEN as usize);
    assert!(offset_of!(rte_mbuf, buf_len) == SHIM_MBUF_BUF_LEN as usize);
    assert!(offset_of!(rte_mbuf, pool) == SHIM_MBUF_POOL as usize);
};
