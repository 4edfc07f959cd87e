//! The EAL's arguments, read before it starts where it would end the process over a mistake in them.

use std::ffi::{CString, c_char, c_int};
use std::io::{self, Read};

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdout, fork};

use super::eal::{BUILT_FOR, EalError, last_complaint};

/// The first release whose EAL ends the process at an argument that it does not understand (`exit_on_error` in its
/// lib/eal/common/eal_common_options.c), where older ones return.
const FIRST_TO_EXIT: (u32, u32) = (25, 11);

/// The arguments as C takes them, with the null behind the last.
pub(super) fn pointers(arguments: &[CString]) -> Vec<*mut c_char> {
    arguments
        .iter()
        .map(|text| text.as_ptr().cast_mut())
        .chain([std::ptr::null_mut()])
        .collect()
}

/// Has a child process read the arguments, the program's name among them. Asked for help beside them, the EAL reads all of them
/// and starts nothing.
///
/// # Errors
/// The EAL ended the child over one of them. Where it cannot be asked, its start will tell.
pub(super) fn check(arguments: &[CString]) -> Result<(), EalError> {
    if BUILT_FOR < FIRST_TO_EXIT {
        return Ok(());
    }
    let mut asking = arguments.to_vec();
    asking.insert(1, c"--help".to_owned());
    let count = c_int::try_from(asking.len()).unwrap_or(c_int::MAX);
    let mut pointers = pointers(&asking);
    let Ok((mut said, saying)) = io::pipe() else {
        return Ok(());
    };
    // SAFETY: the child is this thread alone. It calls nothing that another thread may have left locked: the C library makes
    // its allocator and its streams usable after a fork, and nothing of DPDK has been called before.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            if dup2_stdout(&saying).is_ok() && dup2_stderr(&saying).is_ok() {
                // SAFETY: `pointers` holds `count` terminated strings and a null, which live until the child ends.
                unsafe { dpdk_sys::rte_eal_init(count, pointers.as_mut_ptr()) };
            }
            // SAFETY: ends the child, with nothing of the parent's undone.
            unsafe { libc::_exit(0) }
        }
        Ok(ForkResult::Parent { child }) => {
            drop(saying);
            let mut log = Vec::new();
            let _ = said.read_to_end(&mut log);
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, code)) if code != 0 => {
                    let log = String::from_utf8_lossy(&log).into_owned();
                    let cause = last_complaint(&log);
                    Err(EalError::Arguments { cause, log })
                }
                _ => Ok(()),
            }
        }
        Err(_) => Ok(()),
    }
}
