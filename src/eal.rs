//! How DPDK's environment is started: its arguments, from the configuration and from what memory there is.

use std::fs;
use std::path::Path;

use crate::config::{Config, Device, HugePages};

/// Octets of one mbuf with its data room, its headers and its share of the pool.
const MBUF_OCTETS: u64 = 2560;
/// What the tables take at the least, beside the mbufs, when memory has to be named beforehand.
const TABLES_MIB: u64 = 512;

/// The arguments, and what the operator should know about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalArguments {
    /// For the EAL, without the program's name.
    pub arguments: Vec<String>,
    /// Why there are no huge pages, if that was not asked for.
    pub note: Option<String>,
}

/// The arguments that follow from `config`, with the operator's `extra` ones behind them, on a machine with
/// `huge_pages_free` octets in free huge pages.
///
/// The EAL's own lcore is the control thread, which floats over all processors unless it is pinned; workers are
/// threads of the program and none of the EAL's lcores. Devices are taken up one by one later, so that each failure has
/// a name.
#[must_use]
pub fn arguments(config: &Config, extra: &[String], huge_pages_free: u64) -> EalArguments {
    let mut arguments = vec!["--file-prefix".to_owned(), config.eal.file_prefix.clone()];
    if config.eal.in_memory {
        arguments.push("--in-memory".to_owned());
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
    let mbufs_octets = u64::from(config.workers.mbufs) * MBUF_OCTETS;
    let without_huge = match config.eal.huge_pages {
        HugePages::Required => false,
        HugePages::Off => true,
        HugePages::Auto => huge_pages_free < mbufs_octets,
    };
    let note = (without_huge && config.eal.huge_pages == HugePages::Auto).then(|| {
        format!(
            "{} MiB of huge pages are free, the packet buffers alone need {}: going on with ordinary pages. \
             For full speed reserve huge pages (sysctl vm.nr_hugepages)",
            huge_pages_free >> 20,
            (mbufs_octets >> 20) + 1
        )
    });
    if without_huge {
        arguments.push("--no-huge".to_owned());
    }
    let memory_mib = match config.eal.memory_mib {
        Some(memory) => Some(u64::from(memory)),
        // Ordinary pages have to be named beforehand; they are taken when they are used.
        None => without_huge.then(|| TABLES_MIB + (mbufs_octets >> 20)),
    };
    if let Some(memory) = memory_mib {
        arguments.extend(["-m".to_owned(), memory.to_string()]);
    }
    arguments.extend(config.eal.args.iter().map(|arg| arg.value.clone()));
    arguments.extend(extra.iter().cloned());
    EalArguments { arguments, note }
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
    use crate::config::Machine;

    fn config(text: &str) -> Config {
        Config::parse("t", text, &Machine::default())
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    const NULL: &str = "[[port]]\nname = \"a\"\ndevice = \"net_null0\"\n";

    #[test]
    fn huge_pages_are_used_when_there_are_enough() {
        let found = arguments(&config(NULL), &[], 1 << 30);
        assert_eq!(found.note, None);
        assert!(!found.arguments.contains(&"--no-huge".to_owned()));
        assert!(!found.arguments.contains(&"-m".to_owned()));
    }

    #[test]
    fn without_huge_pages_it_goes_on_and_says_so() {
        let found = arguments(&config(NULL), &[], 1 << 20);
        assert!(found.arguments.contains(&"--no-huge".to_owned()));
        let memory = found.arguments.iter().skip_while(|arg| *arg != "-m").nth(1);
        assert_eq!(memory.unwrap(), "552");
        assert!(found.note.unwrap().contains("1 MiB of huge pages are free"));
    }

    #[test]
    fn what_was_asked_for_needs_no_note() {
        let off = config(&format!(
            "[eal]\nhuge-pages = \"off\"\nmemory-mib = 128\n{NULL}"
        ));
        let found = arguments(&off, &[], 1 << 30);
        assert_eq!(found.note, None);
        assert!(found.arguments.windows(2).any(|pair| pair == ["-m", "128"]));
        let required = config(&format!("[eal]\nhuge-pages = \"required\"\n{NULL}"));
        let found = arguments(&required, &[], 0);
        assert!(!found.arguments.contains(&"--no-huge".to_owned()));
    }

    #[test]
    fn the_pci_bus_is_left_alone_unless_a_port_is_on_it() {
        let found = arguments(&config(NULL), &[], 0);
        assert!(found.arguments.contains(&"--no-pci".to_owned()));
        let pci = config("[[port]]\nname = \"a\"\ndevice = \"03:00.0\"\n");
        let found = arguments(&pci, &["--log-level=8".to_owned()], 0);
        assert!(!found.arguments.contains(&"--no-pci".to_owned()));
        assert_eq!(found.arguments.last().unwrap(), "--log-level=8");
    }
}
