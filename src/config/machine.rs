//! What the configuration is checked against: the processors, interfaces and devices of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// What this machine has, as far as a configuration names it. What could not be found out is `None` and checks nothing.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The processors that a thread may be pinned to: those online, as far as the control group's cpuset has them.
    pub cpus: Option<BTreeSet<usize>>,
    /// The processors that this process runs on while it is not pinned. Isolated ones (`isolcpus`) are not among them.
    pub scheduled: Option<BTreeSet<usize>>,
    /// The network interfaces of this process's network namespace.
    pub interfaces: Option<BTreeSet<String>>,
    /// The PCI devices, by address (`0000:03:00.0`), with the kernel driver that each is bound to.
    pub pci: Option<BTreeMap<String, Option<String>>>,
}

impl Machine {
    /// This machine, as it is now.
    pub fn look() -> Self {
        Self {
            cpus: cpus(),
            scheduled: scheduled(),
            interfaces: interfaces(),
            pci: pci(Path::new("/sys/bus/pci/devices")),
        }
    }
}

/// Asks for all processors in a thread of its own, and looks which of them the kernel gives: it knows what is online and what a
/// cpuset allows, as it will when a worker is pinned.
fn cpus() -> Option<BTreeSet<usize>> {
    let mut all = CpuSet::new();
    for cpu in 0..CpuSet::count() {
        all.set(cpu).ok()?;
    }
    let ask = move || {
        sched_setaffinity(Pid::from_raw(0), &all).ok()?;
        scheduled()
    };
    let asking = thread::Builder::new().name("processors".into()).spawn(ask);
    asking.ok()?.join().ok()?
}

/// Those that the calling thread may run on at present.
fn scheduled() -> Option<BTreeSet<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).ok()?;
    Some(
        (0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .collect(),
    )
}

/// By name service rather than `/sys/class/net`, which may show another namespace's interfaces.
fn interfaces() -> Option<BTreeSet<String>> {
    let list = nix::net::if_::if_nameindex().ok()?;
    Some(
        list.iter()
            .map(|interface| interface.name().to_string_lossy().into_owned())
            .collect(),
    )
}

fn pci(directory: &Path) -> Option<BTreeMap<String, Option<String>>> {
    if !directory.exists() {
        // A machine without a PCI bus.
        return Some(BTreeMap::new());
    }
    let entries = fs::read_dir(directory).ok()?;
    Some(
        entries
            .flatten()
            .map(|entry| {
                let driver = fs::read_link(entry.path().join("driver")).ok();
                let driver = driver
                    .as_deref()
                    .and_then(Path::file_name)
                    .map(|name| name.to_string_lossy().into_owned());
                (entry.file_name().to_string_lossy().into_owned(), driver)
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_a_processor_and_a_loopback_interface() {
        let machine = Machine::look();
        assert!(machine.cpus.is_some_and(|cpus| !cpus.is_empty()));
        assert!(machine.scheduled.is_some_and(|cpus| !cpus.is_empty()));
        assert!(machine.interfaces.is_some_and(|names| names.contains("lo")));
        assert!(machine.pci.is_some());
    }

    #[test]
    fn a_processor_that_the_scheduler_leaves_alone_may_be_pinned_to() {
        let all = cpus().unwrap();
        let mut one = CpuSet::new();
        let first = *all.first().unwrap();
        one.set(first).unwrap();
        // As `isolcpus` does with every process, here with this thread alone.
        sched_setaffinity(Pid::from_raw(0), &one).unwrap();
        let machine = Machine::look();
        assert_eq!(machine.scheduled, Some([first].into()));
        assert_eq!(machine.cpus, Some(all));
    }
}
