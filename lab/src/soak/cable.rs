//! A cable that is pulled, and when it really was away. The command takes its time, and a hub passes frames again only when the kernel has noticed that its port has a
//! carrier.

use std::fmt;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::Doing;
use crate::link::End;
use crate::topology::sharing::{LAN, Sharing};
use crate::{Result, poll};

/// How soon both ends are up again, if anything else runs at all.
const DEADLINE: Duration = Duration::from_secs(10);
/// The state of a bridge's port that passes frames.
const FORWARDING: &str = "3";

/// When no frame passed, at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Away {
    ordered: Duration,
    lasted: Duration,
}

/// Pulls the cable of a router to the end systems, for that long.
pub(super) fn pull(net: &Sharing, router: u8, ordered: Duration) -> Result<Away> {
    let port = Sharing::hub_port(router);
    let (hub, end) = (End::of(&net.lan, &port), net.router_end(router, LAN));
    let pulled = Instant::now();
    net.lan.sh(&format!("ip link set {port} down"))?;
    sleep(ordered);
    net.lan.sh(&format!("ip link set {port} up"))?;
    poll::until("frames passing a cable again", DEADLINE, || {
        let passes = read(hub, "brport/state")? == FORWARDING && read(end, "operstate")? == "up";
        Ok(passes.then_some(()))
    })?;
    Ok(Away {
        ordered,
        lasted: pulled.elapsed(),
    })
}

/// What the kernel says of an interface.
fn read(end: End<'_>, what: &str) -> Result<String> {
    let keeper = end.machine.pid();
    let path = format!("/proc/{keeper}/root/sys/class/net/{}/{what}", end.interface);
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    Ok(text.trim().to_owned())
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "away for {} ms at most, instead of {}",
            self.lasted.as_millis(),
            self.ordered.as_millis()
        )
    }
}
