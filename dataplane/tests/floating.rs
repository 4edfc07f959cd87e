//! A worker that is pinned nowhere, beside a control thread that is. In a process of its own, as the EAL is.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

use std::fs;

use dataplane::dpdk::Eal;
use dataplane::{Dataplane, PortConfig, WorkerConfig};

/// The processors that a thread of this process may run on, as the kernel writes them.
fn processors(thread: &str) -> String {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let allowed = |line: &str| Some(line.strip_prefix("Cpus_allowed_list:")?.trim().to_owned());
    status.lines().find_map(allowed).unwrap()
}

#[test]
fn a_worker_that_is_pinned_nowhere_runs_where_the_process_may_and_not_where_the_control_thread_is_pinned()
 {
    let this_thread = fs::read_link("/proc/thread-self").unwrap();
    let this_thread = this_thread.file_name().unwrap().to_str().unwrap();
    let before = processors(this_thread);
    let first = before.split([',', '-']).next().unwrap();
    let lcore = format!("0@({first})");
    let eal = Eal::init([
        "--no-huge",
        "-m",
        "256",
        "--file-prefix=floating",
        "--no-pci",
        "--in-memory",
        "--lcores",
        &lcore,
    ])
    .unwrap();
    assert_eq!(processors(this_thread), first);
    let ports = vec![PortConfig::new("a", "net_null0")];
    let (plane, _) = Dataplane::start(eal, ports, &WorkerConfig::default()).unwrap();
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let worker = threads
        .map(|thread| thread.unwrap())
        .find(|thread| {
            let name = fs::read_to_string(thread.path().join("comm")).unwrap();
            name.trim() == "worker-0"
        })
        .unwrap();
    assert_eq!(processors(worker.file_name().to_str().unwrap()), before);
    assert_eq!(plane.shutdown().mbufs, 0);
}
