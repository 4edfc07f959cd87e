//! Advertisements, and the virtual router that hears them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use vrrpd::wire::{GROUP_IPV4, Header, TTL, v2, v3};
use vrrpd::{Authentication, Checksum, Config, Received, Time, Version, VirtualRouter, Vrid};

/// A message of either version and family: the views accept it or name a refusal.
pub(crate) fn message(message: &[u8]) {
    let _ = Header::parse(message);
    if let Ok(advertisement) = v2::Advertisement::parse(message) {
        let _ = advertisement.authenticate(&Authentication::text("password"));
        let addresses = advertisement.addresses().count();
        assert!(addresses * 4 + 16 <= message.len());
    }
    let four = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([224, 0, 0, 18])];
    let six = [
        IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]),
        IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
    ];
    for ([src, dst], octets) in [(four, 4), (six, 16)] {
        if let Ok(advertisement) = v3::Advertisement::parse(message, src, dst) {
            assert_eq!(
                advertisement.addresses().count() * octets + 8,
                message.len()
            );
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Message { src: [u8; 4], payload: &'a [u8] },
    Wait { milliseconds: u16 },
    Link { up: bool },
    Shutdown,
    Start,
}

#[derive(Arbitrary, Debug)]
struct Run<'a> {
    version_3: bool,
    priority: u8,
    preempt: bool,
    steps: Vec<Step<'a>>,
}

/// A virtual router under any sequence of messages and delays: it never panics, never queues without bound, and
/// never asks to be entered in the past.
pub(crate) fn instance(octets: &[u8]) {
    let Ok(run) = Run::arbitrary_take_rest(Unstructured::new(octets)) else {
        return;
    };
    let version = if run.version_3 {
        Version::V3 {
            checksum: Checksum::Auto,
        }
    } else {
        Version::V2 {
            authentication: Authentication::None,
        }
    };
    let vrid = Vrid::new(1).expect("1 is a VRID");
    let mut config = Config::new(vrid, version, vec![IpAddr::from([192, 0, 2, 1])]);
    config.priority = run.priority;
    config.preempt = run.preempt;
    let mut now = Time::ZERO;
    let Ok(mut router) = VirtualRouter::new(config, IpAddr::from([192, 0, 2, 2]), now) else {
        return;
    };
    router.port_link(now, true);
    for step in run.steps {
        match step {
            Step::Message { src, payload } => {
                let received = Received {
                    src: IpAddr::V4(Ipv4Addr::from(src)),
                    dst: IpAddr::V4(GROUP_IPV4),
                    ttl: TTL,
                    payload,
                };
                let _ = router.receive(now, &received);
            }
            Step::Wait { milliseconds } => {
                now = now + Duration::from_millis(milliseconds.into());
                router.tick(now);
                assert!(
                    router.poll_timeout().is_none_or(|at| at >= now),
                    "asks for an entry in the past"
                );
            }
            Step::Link { up } => router.port_link(now, up),
            Step::Shutdown => router.shutdown(now),
            Step::Start => router.start(now),
        }
        let mut outputs = 0;
        while router.poll_output().is_some() {
            outputs += 1;
            assert!(outputs <= 2048, "an entry without end");
        }
    }
}
