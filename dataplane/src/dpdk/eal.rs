//! The environment abstraction layer: started once a process, and what to say when it does not start.

use std::env;
use std::ffi::{CStr, CString, c_int};
use std::fs;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use super::{Errno, LogText, arguments, beneath, c_string};

/// Year and month of the release whose inline functions and structures are compiled in.
pub(super) const BUILT_FOR: (u32, u32) = (
    dpdk_sys::shim_release::SHIM_RELEASE_YEAR,
    dpdk_sys::shim_release::SHIM_RELEASE_MONTH,
);

/// DPDK's own name and release, as in `DPDK 22.11.11`.
#[must_use]
pub fn version() -> String {
    // SAFETY: rte_version returns a terminated string that is never freed.
    unsafe { CStr::from_ptr(dpdk_sys::rte_version()) }
        .to_string_lossy()
        .into_owned()
}

/// Why the EAL did not start. The text names the cause and the remedy; `log` is what the EAL said.
#[derive(Clone, Debug, Error)]
pub enum EalError {
    /// It was started before; DPDK cannot be started twice in a process.
    #[error("the EAL was started before, and can be started only once in a process")]
    Twice,
    /// The release that was loaded is not of the ABI that this program was compiled for.
    #[error(
        "this program was built for DPDK {}.{:02} and finds {}.{:02}, whose structures differ. \
         Build it anew (cargo clean -p dpdk-sys), or have it load the other release (LD_LIBRARY_PATH)", built.0, built.1, loaded.0, loaded.1
    )]
    Release {
        /// Year and month of the release whose inline functions were compiled in.
        built: (u32, u32),
        /// Year and month of the release that was loaded.
        loaded: (u32, u32),
    },
    /// No huge pages are reserved, or not enough.
    #[error(
        "the EAL finds no free huge pages. Reserve some (sysctl vm.nr_hugepages=512), \
         or go without: `huge-pages = \"off\"` in [eal]"
    )]
    HugePages {
        /// What the EAL said.
        log: String,
    },
    /// The memory asked for is not to be had.
    #[error(
        "the EAL gets no memory. Ask for less (`memory-mib` in [eal]; `backlog`, `mbufs` or `count` in \
         [workers]), or reserve more huge pages (sysctl vm.nr_hugepages){}",
        beneath(log)
    )]
    Memory {
        /// What the EAL said.
        log: String,
    },
    /// The process may not do what the EAL needs.
    #[error(
        "the EAL may not do what it must: {cause}. Run as root, or give the capabilities that docs/operation.md lists"
    )]
    Permission {
        /// The line of the EAL's log that says what.
        cause: String,
        /// What the EAL said.
        log: String,
    },
    /// Another process uses the same file prefix.
    #[error(
        "another process uses this EAL's files. Give each its own `file-prefix` \
         in [eal], or leave `in-memory` on"
    )]
    Busy {
        /// What the EAL said.
        log: String,
    },
    /// An argument is not understood.
    #[error(
        "the EAL does not understand its arguments ({cause}). See its list (--help), and mend `args` \
         in [eal], or what stands behind --"
    )]
    Arguments {
        /// The line of the EAL's log that says which.
        cause: String,
        /// What the EAL said.
        log: String,
    },
    /// A device named with `-a` or `--vdev` does not exist or has no driver.
    #[error(
        "the EAL cannot start a device: {cause}. See dpdk-devbind.py --status for what is there and bound"
    )]
    Device {
        /// The line of the EAL's log that says which.
        cause: String,
        /// What the EAL said.
        log: String,
    },
    /// Something else.
    #[error(
        "the EAL does not start: {cause} ({errno}). See below what it lacks, and whether it starts without `args` in [eal] \
         and what stands behind --{}",
        beneath(log)
    )]
    Other {
        /// DPDK's errno.
        errno: Errno,
        /// The line of the EAL's log that tells most.
        cause: String,
        /// What the EAL said.
        log: String,
    },
}

impl EalError {
    /// Tells causes apart by what the EAL logged, since its errno is nearly always the same.
    fn new(errno: Errno, log: String) -> Self {
        let lower = log.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let cause = last_complaint(&log);
        if says(&["permission denied", "operation not permitted", "eacces"]) {
            Self::Permission { cause, log }
        } else if says(&[
            "cannot create lock on",
            "is another primary process running",
        ]) {
            Self::Busy { log }
        } else if says(&[
            // Pages of one size are there, even if there are none of another.
            "cannot init memory",
            "cannot allocate memory",
            "not enough memory",
        ]) {
            Self::Memory { log }
        } else if says(&[
            "no free hugepages",
            "no free 2048 kb",
            "no mounted hugetlbfs",
            "cannot get hugepage information",
        ]) {
            Self::HugePages { log }
        } else if says(&[
            "cannot probe",
            "failed to probe",
            "unable to parse device",
            "cannot find device",
            "failed to parse device",
        ]) {
            Self::Device { cause, log }
        } else if says(&[
            "invalid",
            "unrecognized option",
            "unknown option",
            "command line arguments",
            "requires an argument",
            "usage:",
        ]) {
            Self::Arguments { cause, log }
        } else {
            Self::Other { errno, cause, log }
        }
    }
}

/// The last line of a log that is no mere announcement, without the logging library's prefix.
pub(super) fn last_complaint(log: &str) -> String {
    // What the EAL adds when the reason was said before.
    const ADDED: [&str; 5] = [
        "Failed to attach device on primary process",
        "cannot attach the device",
        "Cannot init plugins",
        "Invalid 'command line' arguments",
        "command line arguments.",
    ];
    let complaint = |line: &&str| {
        if ADDED.iter().any(|added| line.contains(added)) {
            return false;
        }
        let line = line.to_lowercase();
        [
            "cannot",
            "error",
            "fail",
            "invalid",
            "no such",
            "unable",
            "unrecognized",
            "unknown",
            "denied",
            "not ",
            "can't",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .rfind(complaint)
        .or_else(|| lines().next_back())
        .unwrap_or("no cause given");
    ["EAL: ", "ARGPARSE: "]
        .iter()
        .find_map(|library| line.strip_prefix(library))
        .unwrap_or(line)
        .to_owned()
}

/// The running EAL. Whoever holds it may make pools and ports; dropping it ends DPDK in this process for good.
///
/// The thread that starts it is DPDK's main lcore: the control thread.
#[derive(Debug)]
pub struct Eal {
    _not_send: PhantomData<*mut ()>,
}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Starts the EAL with the arguments an EAL command line takes, the program's name left out.
    ///
    /// Processes stand side by side with `--in-memory --file-prefix NAME`; without huge pages, `--no-huge` needs
    /// `-m MIB` large enough for the mbuf pools. The two go together here, which DPDK itself refuses.
    ///
    /// # Errors
    /// [`EalError`], which names cause and remedy.
    pub fn init<I, S>(arguments: I) -> Result<Self, EalError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        check_release()?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::Twice);
        }
        let arguments = without_in_memory(
            arguments
                .into_iter()
                .map(|text| text.as_ref().to_owned())
                .collect(),
        );
        let directory = runtime_directory(&arguments);
        let arguments: Vec<CString> = std::iter::once(c_string("manifold"))
            .chain(arguments.iter().map(|text| c_string(text)))
            .collect();
        arguments::check(&arguments)?;
        if let Some(directory) = directory
            && RUNTIME_DIRECTORY.set(directory).is_ok()
        {
            // SAFETY: the function lives as long as the process.
            unsafe { nix::libc::atexit(remove_runtime_directory) };
        }
        // DPDK keeps pointers into the arguments and permutes the array, so both live as long as the process.
        let arguments: &'static mut [CString] = Vec::leak(arguments);
        let pointers = Vec::leak(arguments::pointers(arguments));
        let count = c_int::try_from(arguments.len()).unwrap_or(c_int::MAX);
        let mut log = LogText::new();
        // SAFETY: `pointers` holds `count` terminated strings and a null, all of which live for ever, and `log` is as
        // large as said. getopt permutes the pointers, and writes into no string.
        let result = unsafe {
            dpdk_sys::shim_eal_init(count, pointers.as_mut_ptr(), log.as_mut_ptr(), log.size())
        };
        match Errno::check(result) {
            Ok(_) => Ok(Self {
                _not_send: PhantomData,
            }),
            Err(errno) => Err(EalError::new(errno, log.into_string())),
        }
    }
}

/// A release linked after the shim was compiled for another one would be called with that one's structures.
fn check_release() -> Result<(), EalError> {
    // SAFETY: both return constants of the library.
    let loaded = unsafe { (dpdk_sys::rte_version_year(), dpdk_sys::rte_version_month()) };
    if abi_year(BUILT_FOR) == abi_year(loaded) {
        Ok(())
    } else {
        Err(EalError::Release {
            built: BUILT_FOR,
            loaded,
        })
    }
}

/// The year that an ABI is named after: it begins with a November release and holds until the next one (DPDK's ABI policy,
/// doc/guides/contributing/abi_policy.rst).
fn abi_year((year, month): (u32, u32)) -> u32 {
    year + u32::from(month >= 11)
}

/// DPDK treats `--no-huge` as a kind of its legacy memory and refuses it beside `--in-memory`. What that means for memory
/// without huge pages is `--no-shconf`: no file that another process could find.
fn without_in_memory(mut arguments: Vec<String>) -> Vec<String> {
    if arguments.iter().any(|argument| argument == "--no-huge") {
        for argument in arguments
            .iter_mut()
            .filter(|argument| *argument == "--in-memory")
        {
            *argument = "--no-shconf".to_owned();
        }
    }
    arguments
}

/// Where DPDK keeps its files, if it was given a prefix for them.
static RUNTIME_DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// DPDK removes its files, that of its telemetry only when the process exits, and leaves their directory. This is asked for
/// before DPDK asks for the like, and so runs after it; the directory stays if somebody else has files in it.
extern "C" fn remove_runtime_directory() {
    if let Some(directory) = RUNTIME_DIRECTORY.get() {
        let _ = fs::remove_dir(directory);
    }
}

/// The directory of DPDK's files for the `--file-prefix` among the arguments, the last one if there are several, by the rule that
/// dpdk-telemetry.py follows too.
fn runtime_directory(arguments: &[String]) -> Option<PathBuf> {
    let mut last_first = arguments.iter().enumerate().rev();
    let prefix = last_first.find_map(|(place, argument)| {
        match argument.strip_prefix("--file-prefix")? {
            "" => arguments.get(place + 1).map(String::as_str),
            behind => behind.strip_prefix('='),
        }
    })?;
    let base = match env::var_os("RUNTIME_DIRECTORY") {
        Some(directory) => directory.into(),
        None if nix::unistd::geteuid().is_root() => PathBuf::from("/var/run"),
        None => env::var_os("XDG_RUNTIME_DIR").map_or_else(|| "/tmp".into(), PathBuf::from),
    };
    Some(base.join("dpdk").join(prefix))
}

impl Drop for Eal {
    fn drop(&mut self) {
        // SAFETY: this is the only Eal of the process, and nothing of DPDK is used after it: ports and pools borrow or
        // precede it (see `Dataplane`).
        unsafe { dpdk_sys::rte_eal_cleanup() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(log: &str) -> EalError {
        EalError::new(Errno(22), log.to_owned())
    }

    #[test]
    fn a_failing_start_is_told_by_its_cause() {
        assert!(matches!(
            error(
                "EAL: No free 2048 kB hugepages reported on node 0\nEAL: FATAL: Cannot get hugepage information.\n"
            ),
            EalError::HugePages { .. }
        ));
        let memory = error(
            "EAL: No free 1048576 kB hugepages reported on node 0\nEAL: No free 2048 kB hugepages reported on node 1\nEAL: FATAL: Cannot init memory\n",
        );
        assert!(matches!(memory, EalError::Memory { .. }), "{memory}");
        let text = memory.to_string();
        assert!(
            text.ends_with("\n  EAL: FATAL: Cannot init memory"),
            "{text}"
        );
        assert!(matches!(
            error(
                "EAL: Cannot create lock on '/var/run/dpdk/rte/config'. Is another primary process running?\n"
            ),
            EalError::Busy { .. }
        ));
        assert!(matches!(
            error("EAL: Cannot open '/dev/vfio/42': Permission denied\n"),
            EalError::Permission { .. }
        ));
        assert!(matches!(
            error("EAL: invalid parameters for --lcores\n"),
            EalError::Arguments { .. }
        ));
        // As 25.11 words it.
        let conflict = error(
            "EAL: Options 'legacy-mem' and 'in-memory' can't be used at the same time\nEAL: Invalid command line arguments.\n",
        );
        assert!(
            matches!(&conflict, EalError::Arguments { cause, .. } if cause.starts_with("Options 'legacy-mem'")),
            "{conflict}"
        );
        let main_lcore = error(
            "EAL: Main lcore is not enabled for DPDK\nEAL: Error parsing command line arguments.\n",
        );
        assert!(
            matches!(&main_lcore, EalError::Arguments { cause, .. } if cause.starts_with("Main lcore")),
            "{main_lcore}"
        );
    }

    #[test]
    fn releases_from_november_to_november_share_an_abi() {
        assert_eq!(abi_year((22, 11)), abi_year((23, 7)));
        assert_ne!(abi_year((23, 7)), abi_year((23, 11)));
        assert!(check_release().is_ok());
    }

    #[test]
    fn without_huge_pages_in_memory_means_no_shared_configuration() {
        let given =
            |text: &str| without_in_memory(text.split(' ').map(String::from).collect()).join(" ");
        assert_eq!(given("--in-memory --no-pci"), "--in-memory --no-pci");
        assert_eq!(
            given("--in-memory --no-huge -m 64"),
            "--no-shconf --no-huge -m 64"
        );
    }

    #[test]
    fn the_directory_is_that_of_the_last_prefix_however_it_is_written() {
        let named = |text: &str| {
            let arguments: Vec<String> = text.split(' ').map(String::from).collect();
            let directory = runtime_directory(&arguments)?;
            Some(directory.file_name()?.to_string_lossy().into_owned())
        };
        assert_eq!(named("--file-prefix one --no-pci").as_deref(), Some("one"));
        assert_eq!(named("--no-pci --file-prefix=one").as_deref(), Some("one"));
        let twice = "--file-prefix one --file-prefix=two --no-pci";
        assert_eq!(named(twice).as_deref(), Some("two"));
        let twice = "--file-prefix=one --file-prefix two --no-pci";
        assert_eq!(named(twice).as_deref(), Some("two"));
        assert_eq!(named("--no-pci --file-prefixes=x"), None);
    }

    #[test]
    fn the_cause_is_the_last_line_that_complains() {
        assert_eq!(
            last_complaint(
                "EAL: Detected CPU lcores: 2\nEAL: failed to parse device \"net_x\"\n\n"
            ),
            "failed to parse device \"net_x\""
        );
        assert_eq!(
            last_complaint(
                "EAL: Error, directory path /tmp is world-writable and insecure\nEAL: Cannot init plugins\n"
            ),
            "Error, directory path /tmp is world-writable and insecure"
        );
        assert_eq!(last_complaint(""), "no cause given");
    }
}
