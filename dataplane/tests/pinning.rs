//! A worker on a processor that is not there. In a process of its own, as the EAL is.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

use dataplane::dpdk::Eal;
use dataplane::{Dataplane, Pinning, PortConfig, StartError, WorkerConfig};

#[test]
fn a_worker_that_cannot_be_pinned_fails_the_start() {
    let eal = Eal::init([
        "--no-huge",
        "-m",
        "256",
        "--file-prefix=pinning",
        "--no-pci",
        "--in-memory",
    ])
    .unwrap();
    let config = WorkerConfig {
        pinning: Pinning::Cpus(vec![1023]),
        ..WorkerConfig::default()
    };
    let port = PortConfig::new("a", "net_null0");
    let error = Dataplane::start(eal, vec![port], &config).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::Cpu {
                worker: 0,
                cpu: 1023,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("`cpus` in [workers]"), "{error}");
}
