//! How DPDK's environment is started: its arguments, from the configuration and from what memory there is.

use std::fs;
use std::path::Path;

use crate::config::{Config, Device, HugePages, Machine};

/// What DPDK takes beside the packet buffers, when memory has to be named beforehand.
const OVERHEAD_MIB: u64 = 64;

/// The arguments, and what the operator should know about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalArguments {
    /// For the EAL, without the program's name.
    pub arguments: Vec<String>,
    /// Why there are no huge pages, if that was not asked for.
    pub note: Option<String>,
}

/// The arguments that follow from `config`, with the operator's `extra` ones behind them, on a `machine` with
/// `huge_pages_free` octets in free huge pages, for packet buffers of `pool_octets`.
///
/// The EAL's one lcore is the control thread, which floats over all processors that are not isolated unless it is pinned; workers are
/// threads of the program. Devices are taken up one by one later, so that each failure has
/// a name.
#[must_use]
pub fn arguments(
    config: &Config,
    extra: &[String],
    machine: &Machine,
    huge_pages_free: u64,
    pool_octets: u64,
) -> EalArguments {
    let mut arguments = vec!["--file-prefix".to_owned(), config.eal.file_prefix.clone()];
    if config.eal.in_memory {
        arguments.push("--in-memory".to_owned());
    }
    if !config.eal.telemetry {
        arguments.push("--no-telemetry".to_owned());
    }
    let pci = config
        .ports
        .iter()
        .any(|port| matches!(port.device.value, Device::Pci(_)));
    if pci {
        // An allow-list without a real device keeps the EAL from taking up every device that it finds.
        arguments.extend(["-a", "0000:00:00.0"].map(str::to_owned));
    } else {
        arguments.push("--no-pci".to_owned());
    }
    if let Some(cpus) = control_cpus(config, machine) {
        arguments.extend(["--lcores".to_owned(), format!("0@({cpus})")]);
    }
    let without_huge = match config.eal.huge_pages {
        HugePages::Required => false,
        HugePages::Off => true,
        HugePages::Auto => huge_pages_free < pool_octets,
    };
    let note = (without_huge && config.eal.huge_pages == HugePages::Auto).then(|| {
        format!(
            "{} MiB of huge pages are free, the packet buffers alone need {}: going on with ordinary pages. \
             For full speed reserve huge pages (sysctl vm.nr_hugepages)",
            huge_pages_free >> 20,
            (pool_octets >> 20) + 1
        )
    });
    if without_huge {
        arguments.push("--no-huge".to_owned());
    }
    let memory_mib = match config.eal.memory_mib {
        Some(memory) => Some(u64::from(memory)),
        // Ordinary pages have to be named beforehand; they are taken when they are used.
        None => without_huge.then(|| OVERHEAD_MIB + (pool_octets >> 20)),
    };
    if let Some(memory) = memory_mib {
        arguments.extend(["-m".to_owned(), memory.to_string()]);
    }
    arguments.extend(config.eal.args.iter().map(|arg| arg.value.clone()));
    arguments.extend(extra.iter().cloned());
    EalArguments { arguments, note }
}

/// Where the control thread may run; nothing if that is not known.
fn control_cpus(config: &Config, machine: &Machine) -> Option<String> {
    if let Some(cpu) = &config.workers.control_cpu {
        return Some(cpu.to_string());
    }
    let cpus = machine.scheduled.as_ref()?;
    Some(
        cpus.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(","),
    )
}

/// Octets in free huge pages of all sizes.
#[must_use]
pub fn huge_pages_free() -> u64 {
    free_in(Path::new("/sys/kernel/mm/hugepages"))
}

fn free_in(directory: &Path) -> u64 {
    let Ok(sizes) = fs::read_dir(directory) else {
        return 0;
    };
    sizes
        .flatten()
        .filter_map(|size| {
            let name = size.file_name();
            let kib: u64 = name
                .to_str()?
                .strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse()
                .ok()?;
            let free: u64 = fs::read_to_string(size.path().join("free_hugepages"))
                .ok()?
                .trim()
                .parse()
                .ok()?;
            Some(kib * 1024 * free)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse("t", text, &Machine::default())
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    const POOL_OCTETS: u64 = 40 << 20;

    fn found(text: &str, extra: &[&str], huge_pages_free: u64) -> EalArguments {
        let machine = Machine {
            cpus: Some([1, 2, 3].into()),
            scheduled: Some([1, 3].into()),
            ..Machine::default()
        };
        let extra: Vec<String> = extra.iter().map(|&arg| arg.to_owned()).collect();
        arguments(
            &config(text),
            &extra,
            &machine,
            huge_pages_free,
            POOL_OCTETS,
        )
    }

    fn pair(found: &EalArguments, option: &str) -> Option<String> {
        let mut behind = found.arguments.iter().skip_while(|arg| *arg != option);
        behind.nth(1).cloned()
    }

    const NULL: &str = "[[port]]\nname = \"a\"\ndevice = \"net_null0\"\n";

    #[test]
    fn huge_pages_are_used_when_there_are_enough() {
        let found = found(NULL, &[], 1 << 30);
        assert_eq!(found.note, None);
        assert!(!found.arguments.contains(&"--no-huge".to_owned()));
        assert_eq!(pair(&found, "-m"), None);
    }

    #[test]
    fn without_huge_pages_it_goes_on_and_says_so() {
        let found = found(NULL, &[], 1 << 20);
        assert!(found.arguments.contains(&"--no-huge".to_owned()));
        assert_eq!(pair(&found, "-m").unwrap(), "104");
        assert!(found.note.unwrap().contains("1 MiB of huge pages are free"));
    }

    #[test]
    fn what_was_asked_for_needs_no_note() {
        let off = format!("[eal]\nhuge-pages = \"off\"\nmemory-mib = 128\n{NULL}");
        let off = found(&off, &[], 1 << 30);
        assert_eq!(off.note, None);
        assert_eq!(pair(&off, "-m").unwrap(), "128");
        let required = format!("[eal]\nhuge-pages = \"required\"\n{NULL}");
        let required = found(&required, &[], 0);
        assert!(!required.arguments.contains(&"--no-huge".to_owned()));
    }

    #[test]
    fn the_telemetry_socket_is_open_unless_it_is_not_wanted() {
        let no_telemetry = "--no-telemetry".to_owned();
        assert!(!found(NULL, &[], 0).arguments.contains(&no_telemetry));
        let closed = format!("[eal]\ntelemetry = false\n{NULL}");
        assert!(found(&closed, &[], 0).arguments.contains(&no_telemetry));
    }

    #[test]
    fn the_pci_bus_is_left_alone_unless_a_port_is_on_it() {
        let no_pci = "--no-pci".to_owned();
        assert!(found(NULL, &[], 0).arguments.contains(&no_pci));
        let pci = found(
            "[[port]]\nname = \"a\"\ndevice = \"03:00.0\"\n",
            &["--log-level=8"],
            0,
        );
        assert!(!pci.arguments.contains(&no_pci));
        assert_eq!(pci.arguments.last().unwrap(), "--log-level=8");
    }

    #[test]
    fn the_control_thread_floats_unless_it_is_pinned() {
        assert_eq!(pair(&found(NULL, &[], 0), "--lcores").unwrap(), "0@(1,3)");
        let pinned = format!("[workers]\ncontrol-cpu = 2\n{NULL}");
        assert_eq!(pair(&found(&pinned, &[], 0), "--lcores").unwrap(), "0@(2)");
    }
}
