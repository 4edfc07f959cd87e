//! The fence: safe wrappers that own what they wrap of DPDK. `unsafe` stands here and in `dpdk-sys`, nowhere else.
//! Nothing in this directory knows what a packet means.
#![allow(unsafe_code, reason = "this directory is the fence")]

mod arguments;
mod burst;
mod carrier;
mod eal;
mod masked;
mod mbuf;
mod mempool;
mod port;
mod prefetch;
mod table;
mod telemetry;
mod thread;
mod vectors;

pub use burst::{BURST_MAX, Burst};
pub use carrier::Carrier;
pub use eal::{Eal, EalError, version};
pub use masked::Masked;
pub use mbuf::Mbuf;
pub use mempool::{Mempool, MempoolError};
pub use port::{
    Device, DeviceError, Link, Port, PortConfigured, PortError, PortInfo, PortStats, QueueDemand,
    Rss, RxQueue, TxQueue, Xstat,
};
pub use prefetch::prefetch;
pub use table::Table;
pub use telemetry::{Dictionary, Telemetry, Value};
pub use thread::{
    RegisterError, Registration, close_descriptors_on_exec, pin, schedule_realtime, tsc_cycles,
    tsc_hz,
};
pub use vectors::{Compute, top_bits, with_vectors};

use std::ffi::{CStr, CString, c_char, c_int};

/// An errno of DPDK, which prints as DPDK's own text for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub c_int);

impl Errno {
    /// From a return value that is negative on failure.
    fn check(result: c_int) -> Result<c_int, Self> {
        if result < 0 {
            Err(Self(-result))
        } else {
            Ok(result)
        }
    }

    /// What DPDK stored for this thread.
    fn last() -> Self {
        // SAFETY: reads a variable of the calling thread.
        Self(unsafe { dpdk_sys::shim_errno() })
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: rte_strerror returns a terminated string that lives until this thread's next call.
        let text = unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(self.0)) };
        write!(f, "{}", text.to_string_lossy())
    }
}

/// Room for what DPDK logs during one step.
struct LogText([u8; 8192]);

impl LogText {
    fn new() -> Self {
        Self([0; 8192])
    }

    fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr().cast()
    }

    fn size(&self) -> usize {
        self.0.len()
    }

    fn into_string(self) -> String {
        CStr::from_bytes_until_nul(&self.0)
            .map(|text| text.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

/// What DPDK logged, to stand beneath the text of an error; nothing if it logged nothing.
fn beneath(log: &str) -> String {
    let lines = log
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    let text: String = lines.map(|line| format!("\n  {line}")).collect();
    if text.is_empty() {
        text
    } else {
        format!("\nDPDK said:{text}")
    }
}

/// A C string without the octets that it cannot hold.
fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

fn text_of(chars: &[c_char]) -> String {
    chars
        .iter()
        .take_while(|&&octet| octet != 0)
        .map(|&octet| char::from(octet.cast_unsigned()))
        .collect()
}
