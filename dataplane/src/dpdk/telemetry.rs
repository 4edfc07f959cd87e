//! DPDK's telemetry socket, on which a program answers commands of its own beside DPDK's.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dpdk_sys::rte_tel_data;

use super::{Eal, Errno, c_string};

/// What stands beside a name in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A counter or a gauge.
    Count(u64),
    /// A text; DPDK cuts off what is longer than 127 octets.
    Text(String),
}

/// Names and what stands beside them; DPDK takes letters, digits and `_` in a name, and 256 of them.
pub type Dictionary = Vec<(String, Value)>;

/// Answers a command, given its parameters; none if they make no sense, which the asker reads as `null`. Called by DPDK's
/// threads.
type Answerer = Box<dyn Fn(&str) -> Option<Dictionary> + Send>;

/// The commands that DPDK knows, for it forgets none, each with whoever answers it now.
static COMMANDS: Mutex<BTreeMap<CString, Option<Answerer>>> = Mutex::new(BTreeMap::new());

fn commands() -> MutexGuard<'static, BTreeMap<CString, Option<Answerer>>> {
    COMMANDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Commands that are answered while this value lives.
#[derive(Debug, Default)]
pub struct Telemetry(Vec<CString>);

impl Telemetry {
    /// Answers `command`, a path of letters, digits and `_`, with what `answer` makes of its parameters.
    ///
    /// # Errors
    /// DPDK does not take the command: it is no such path, or longer than 55 octets, or `help` longer than 127.
    pub fn answer(
        &mut self,
        _eal: &Eal,
        command: &str,
        help: &str,
        answer: impl Fn(&str) -> Option<Dictionary> + Send + 'static,
    ) -> Result<(), Errno> {
        let (command, help) = (c_string(command), c_string(help));
        let mut commands = commands();
        if !commands.contains_key(&command) {
            // SAFETY: both texts are terminated, and copied; the function lives as long as the process.
            Errno::check(unsafe {
                dpdk_sys::rte_telemetry_register_cmd(
                    command.as_ptr(),
                    Some(answer_command),
                    help.as_ptr(),
                )
            })?;
        }
        commands.insert(command.clone(), Some(Box::new(answer)));
        self.0.push(command);
        Ok(())
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let mut commands = commands();
        for command in &self.0 {
            if let Some(answerer) = commands.get_mut(command) {
                *answerer = None;
            }
        }
    }
}

/// Writes the answer to a command into `data`.
///
/// # Safety
/// `command` is a terminated string, `parameters` one or null, and `data` is for the callee to fill: as DPDK calls it.
unsafe extern "C" fn answer_command(
    command: *const c_char,
    parameters: *const c_char,
    data: *mut rte_tel_data,
) -> c_int {
    // SAFETY: as said above.
    let command = unsafe { CStr::from_ptr(command) };
    let parameters = if parameters.is_null() {
        c""
    } else {
        // SAFETY: as said above.
        unsafe { CStr::from_ptr(parameters) }
    };
    let answer = match commands().get(command) {
        Some(Some(answer)) => answer(&parameters.to_string_lossy()),
        _ => None,
    };
    let Some(answer) = answer else {
        return -1;
    };
    // SAFETY: `data` is for this function to fill.
    unsafe { dpdk_sys::rte_tel_data_start_dict(data) };
    for (name, value) in answer {
        let name = c_string(&name);
        // What does not fit is missing from the answer.
        let _ = match value {
            // SAFETY: as above; the name is terminated, and copied.
            Value::Count(count) => unsafe {
                dpdk_sys::shim_tel_add_count(data, name.as_ptr(), count)
            },
            Value::Text(text) => {
                let text = c_string(&text);
                // SAFETY: as above, for the text too.
                unsafe {
                    dpdk_sys::rte_tel_data_add_dict_string(data, name.as_ptr(), text.as_ptr())
                }
            }
        };
    }
    0
}
