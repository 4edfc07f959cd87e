//! Fills in what `show vrrp` shows. What it looks like is the business of [`crate::show`].

use std::collections::BTreeMap;
use std::time::Duration;

use vrrpd::{PseudoHeader, Time, Transition, Verdict, VirtualRouter, Weight};

use super::config::{GroupConfig, SourceMac};
use super::driver::Vrrp;
use crate::show::{self, VirtualRouterTrack, VirtualRouterTransition};

/// Everything there is to show at `now`.
#[must_use]
pub fn show(vrrp: &Vrrp, now: Time) -> show::Vrrp {
    let strays = vrrp.stray_counters();
    show::Vrrp {
        virtual_routers: vrrp
            .groups()
            .map(|(config, router, transitions)| group(config, router, transitions.iter(), now))
            .collect(),
        strays: BTreeMap::from([
            ("packet-length-errors", strays.packet_length_errors),
            ("vrid-errors", strays.vrid_errors),
            ("output-overflows", strays.output_overflows),
            ("condition-overflows", strays.condition_overflows),
        ]),
    }
}

fn group<'a>(
    config: &GroupConfig,
    router: &VirtualRouter,
    transitions: impl Iterator<Item = &'a Transition>,
    now: Time,
) -> show::VirtualRouter {
    let status = router.status();
    let tracks = status
        .tracks
        .iter()
        .map(|(track, verdict)| VirtualRouterTrack {
            name: track.name.clone(),
            weight: match track.weight {
                Weight::Essential => None,
                Weight::Priority(weight) => Some(weight),
            },
            holds: match verdict {
                Verdict::Unknown => None,
                Verdict::Holds => Some(true),
                Verdict::Fails => Some(false),
            },
        });
    let transitions = transitions.map(|transition| VirtualRouterTransition {
        ago_ms: milliseconds(now.since(transition.at)),
        from: transition.from.to_string(),
        to: transition.to.to_string(),
        cause: transition.cause.name(),
        text: transition.cause.to_string(),
    });
    show::VirtualRouter {
        port: config.port_name.clone(),
        vrid: status.vrid.get(),
        version: status.version,
        state: status.state.to_string(),
        state_for_ms: milliseconds(now.since(status.since)),
        obstacle: status.obstacle.map(|obstacle| obstacle.to_string()),
        priority: status.priority,
        priority_configured: status.priority_configured,
        local_address: status.local,
        master_address: status.master,
        master_priority: status.master_priority,
        virtual_addresses: status.addresses,
        virtual_mac: dataplane::addr::MacAddr(status.virtual_mac).to_string(),
        advertisement_interval_ms: milliseconds(status.interval),
        master_interval_ms: milliseconds(status.master_interval),
        master_down_interval_ms: milliseconds(status.down_interval),
        skew_time_ms: milliseconds(status.skew),
        preempt: status.preempt,
        preempt_delay_ms: milliseconds(status.preempt_delay),
        accept: status.accept,
        checksum: status.checksum.map(|checksum| match checksum {
            PseudoHeader::With => "with-pseudo-header",
            PseudoHeader::Without => "without-pseudo-header",
        }),
        source_mac: match config.source_mac {
            SourceMac::Own => "own",
            SourceMac::Virtual => "virtual",
        },
        tracks: tracks.collect(),
        transitions: transitions.collect(),
        counted_for_ms: milliseconds(now.since(status.counters_since)),
        counters: status.counters.iter().collect(),
    }
}

/// Milliseconds, exact to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
