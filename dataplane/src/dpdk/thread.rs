//! Threads that DPDK knows, how threads are scheduled, and the processor's clock.

use std::marker::PhantomData;

use nix::errno::Errno as SystemErrno;
use nix::libc::{
    CLOSE_RANGE_CLOEXEC, SCHED_RESET_ON_FORK, SCHED_RR, c_int, c_uint, close_range, sched_param,
    sched_setscheduler,
};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use thiserror::Error;

use super::Errno;

/// Why a thread could not be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "DPDK does not register a worker thread ({0}): it has no lcore number left, or the EAL runs with --proc-type"
)]
pub struct RegisterError(Errno);

/// The calling thread's registration with the EAL, which gives it an lcore number and so a cache in each pool.
#[derive(Debug)]
pub struct Registration {
    _not_send: PhantomData<*mut ()>,
}

impl Registration {
    /// # Errors
    /// DPDK has no lcore number left, or the EAL does not run.
    pub fn new() -> Result<Self, RegisterError> {
        // SAFETY: registers the calling thread; fails without the EAL.
        match unsafe { dpdk_sys::rte_thread_register() } {
            0 => Ok(Self {
                _not_send: PhantomData,
            }),
            _ => Err(RegisterError(Errno::last())),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: the calling thread was registered by `new`, as this value cannot leave it.
        unsafe { dpdk_sys::rte_thread_unregister() };
    }
}

/// Has the calling thread run on one processor, which may be one that the scheduler leaves alone (`isolcpus`).
///
/// # Errors
/// The processor is not online, or not in the cpuset of this process's control group.
pub fn pin(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Has the calling thread run before all ordinary ones, in turn with others of its priority, 1 to 99 (sched(7), `SCHED_RR`).
/// What it starts is scheduled as usual.
///
/// # Errors
/// This process may not (it lacks `CAP_SYS_NICE`), or the priority is none.
pub fn schedule_realtime(priority: u8) -> nix::Result<()> {
    let parameter = sched_param {
        sched_priority: priority.into(),
    };
    // SAFETY: the parameter is read during the call, and 0 is the calling thread.
    let result =
        unsafe { sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &raw const parameter) };
    SystemErrno::result(result).map(drop)
}

/// Has programs that this process runs from now on not inherit the descriptors that are open here, but for the standard ones:
/// those of DPDK and its drivers do not say `FD_CLOEXEC` themselves.
///
/// # Errors
/// The kernel is older than 5.11.
pub fn close_descriptors_on_exec() -> nix::Result<()> {
    // SAFETY: sets a flag of descriptors, which stay open and whose they were.
    let result = unsafe { close_range(3, c_uint::MAX, CLOSE_RANGE_CLOEXEC as c_int) };
    SystemErrno::result(result).map(drop)
}

/// The processor's time stamp counter.
#[inline]
#[must_use]
pub fn tsc_cycles() -> u64 {
    // SAFETY: reads a counter that every x86-64 has.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Its frequency; zero before the EAL runs.
#[must_use]
pub fn tsc_hz() -> u64 {
    // SAFETY: reads what the EAL measured at its start.
    unsafe { dpdk_sys::rte_get_tsc_hz() }
}
