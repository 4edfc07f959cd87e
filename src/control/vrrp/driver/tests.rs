//! Drivers on a LAN without delay, under virtual time.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::control::host::Port;
use crate::control::vrrp::config::{SourceMac, Tracked};
use crate::control::vrrp::show;
use crate::control::vrrp::tracking::AddressWatch;
use crate::show::Answer;
use dataplane::addr::Ipv4Prefix;
use dataplane::wire::ethernet::Frame;
use proptest::prelude::*;
use vrrpd::{Checksum, Config, Peers, State, Version, Vrid, Weight};

const LAN: PortIndex = 3;
const WAN: PortIndex = 4;

fn millis(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

fn port(index: PortIndex, member: u8) -> Port {
    let address = Ipv4Addr::new(192, 0, 2, member);
    Port {
        index,
        mac: MacAddr([2, 0, 0, 0, index as u8, member]),
        mtu_octets: 1500,
        addresses: vec![Ipv4Prefix::new(address, 24).unwrap()],
        further_networks: Vec::new(),
    }
}

fn config(vrid: u8, member: u8) -> GroupConfig {
    let version = Version::V3 {
        checksum: Checksum::With,
    };
    let addresses = vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100))];
    let mut protocol = Config::new(Vrid::new(vrid).unwrap(), version, addresses);
    protocol.interval = Duration::from_millis(100);
    protocol.priority = 100 + member;
    GroupConfig {
        port: LAN,
        port_name: "lan".into(),
        local: Ipv4Addr::new(192, 0, 2, member),
        protocol,
        tracked: Vec::new(),
        source_mac: SourceMac::Own,
        hook: None,
        sharing: None,
    }
}

/// A router with one port up.
fn member(member: u8, configs: Vec<GroupConfig>) -> Vrrp {
    let mut vrrp = Vrrp::new(7);
    let ports = [port(LAN, member), port(WAN, member)];
    vrrp.apply(Time::ZERO, &ports, configs).unwrap();
    vrrp.port_link(Time::ZERO, LAN, true);
    vrrp
}

fn drained(vrrp: &mut Vrrp) -> Vec<Output> {
    std::iter::from_fn(|| vrrp.poll_output()).collect()
}

fn frames(outputs: &[Output]) -> Vec<Vec<u8>> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Transmit { frame, .. } => Some(frame.clone()),
            _ => None,
        })
        .collect()
}

/// Lets time pass for all members, each hearing what the others send.
fn run(members: &mut [&mut Vrrp], from: Time, until: Time) -> Vec<Output> {
    let mut seen = Vec::new();
    let mut now = from;
    while now <= until {
        for at in 0..members.len() {
            members[at].tick(now);
            let outputs = drained(members[at]);
            for frame in frames(&outputs) {
                for (other, member) in members.iter_mut().enumerate() {
                    if other != at {
                        member.on_frame(now, LAN, &frame);
                    }
                }
            }
            seen.extend(outputs);
        }
        let next = members.iter().filter_map(|member| member.poll_timeout());
        now = next
            .min()
            .unwrap_or(until)
            .max(now + Duration::from_micros(1));
    }
    seen
}

fn states(vrrp: &Vrrp) -> Vec<State> {
    vrrp.groups().map(|(_, router, _)| router.state()).collect()
}

#[test]
fn the_higher_priority_is_elected_and_the_other_takes_over_when_it_falls_silent() {
    let mut low = member(1, vec![config(7, 1)]);
    let mut high = member(2, vec![config(7, 2)]);
    run(&mut [&mut low, &mut high], Time::ZERO, millis(1000));
    assert_eq!(
        (states(&low), states(&high)),
        (vec![State::Backup], vec![State::Master])
    );
    drop(high);
    let seen = run(&mut [&mut low], millis(1001), millis(1500));
    assert_eq!(states(&low), [State::Master]);
    let key = GroupKey { port: LAN, vrid: 7 };
    assert!(seen.contains(&Output::Charge {
        group: key,
        charge: Some(Charge::Ours)
    }));
    assert!(seen.contains(&Output::Announce {
        group: key,
        address: Ipv4Addr::new(192, 0, 2, 100)
    }));
}

#[test]
fn advertisements_leave_from_the_ports_own_mac_unless_the_operator_wants_the_virtual_one() {
    for (source_mac, expected) in [
        (SourceMac::Own, MacAddr([2, 0, 0, 0, 3, 1])),
        (SourceMac::Virtual, MacAddr::virtual_v4(7)),
    ] {
        let mut vrrp = member(
            1,
            vec![GroupConfig {
                source_mac,
                ..config(7, 1)
            }],
        );
        let outputs = run(&mut [&mut vrrp], Time::ZERO, millis(1000));
        let sent = frames(&outputs);
        assert!(!sent.is_empty());
        for frame in sent {
            let frame = Frame::parse(&frame).unwrap();
            assert_eq!(frame.source, expected);
            assert_eq!(
                frame.destination,
                MacAddr([0x01, 0x00, 0x5e, 0x00, 0x00, 0x12])
            );
        }
    }
}

#[test]
fn the_host_hears_of_mastership_before_the_addresses_are_announced() {
    let mut vrrp = member(1, vec![config(7, 1)]);
    let is_master = |virtuals: Option<Vec<Virtual>>| virtuals.map(|of| of[0].is_master);
    assert_eq!(is_master(vrrp.take_changed_virtuals()), Some(false));
    assert_eq!(is_master(vrrp.take_changed_virtuals()), None);
    drained(&mut vrrp);
    let mut now = Time::ZERO;
    while states(&vrrp) != [State::Master] {
        now = vrrp.poll_timeout().unwrap();
        assert_eq!(drained(&mut vrrp), []);
        vrrp.tick(now);
    }
    assert_eq!(is_master(vrrp.take_changed_virtuals()), Some(true));
    vrrp.shutdown(now);
    assert_eq!(is_master(vrrp.take_changed_virtuals()), Some(false));
}

#[test]
fn a_master_that_is_shut_down_resigns_and_its_backup_takes_over_within_the_skew() {
    let mut low = member(1, vec![config(7, 1)]);
    let mut high = member(2, vec![config(7, 2)]);
    run(&mut [&mut low, &mut high], Time::ZERO, millis(1000));
    high.shutdown(millis(1010));
    for frame in frames(&drained(&mut high)) {
        low.on_frame(millis(1010), LAN, &frame);
    }
    assert_eq!(states(&high), [State::Initialise]);
    run(&mut [&mut low], millis(1010), millis(1110));
    assert_eq!(states(&low), [State::Master]);
    let shown = show(&low, millis(1110));
    let last = shown.virtual_routers[0].transitions.last().unwrap();
    assert_eq!(last.cause, "master-resigned");
}

#[test]
fn a_port_without_link_has_no_master_and_one_that_lost_it_none_any_more() {
    let mut vrrp = Vrrp::new(7);
    let ports = [port(LAN, 1)];
    vrrp.apply(Time::ZERO, &ports, vec![config(7, 1)]).unwrap();
    run(&mut [&mut vrrp], Time::ZERO, millis(5000));
    assert_eq!(states(&vrrp), [State::Initialise]);
    vrrp.port_link(millis(5000), LAN, true);
    run(&mut [&mut vrrp], millis(5000), millis(6000));
    assert_eq!(states(&vrrp), [State::Master]);
    vrrp.port_link(millis(6000), LAN, false);
    assert_eq!(states(&vrrp), [State::Initialise]);
    assert!(drained(&mut vrrp).contains(&Output::Charge {
        group: GroupKey { port: LAN, vrid: 7 },
        charge: Some(Charge::Others)
    }));
}

#[test]
fn what_is_for_nobody_is_counted_and_changes_nothing() {
    let mut vrrp = member(1, vec![config(7, 1)]);
    let mut stranger = member(2, vec![config(8, 2)]);
    let sent = frames(&run(&mut [&mut stranger], Time::ZERO, millis(1000)));
    let frame = sent.first().unwrap();
    vrrp.on_frame(millis(1), LAN, frame);
    vrrp.on_frame(millis(1), WAN, frame);
    vrrp.on_frame(millis(1), LAN, &frame[..frame.len() - 1]);
    assert_eq!(
        vrrp.stray_counters(),
        StrayCounters {
            packet_length_errors: 1,
            vrid_errors: 2,
            output_overflows: 0,
            condition_overflows: 0,
        }
    );
    assert_eq!(states(&vrrp), [State::Backup]);
    vrrp.clear_counters(millis(2));
    assert_eq!(vrrp.stray_counters(), StrayCounters::default());
}

#[test]
fn a_tracked_port_that_fails_lowers_the_priority_and_an_essential_one_stops_the_group() {
    let watch = Watch::Port {
        index: WAN,
        name: "wan".into(),
    };
    for (weight, state, priority) in [
        (Weight::Priority(-30), State::Master, 71),
        (Weight::Essential, State::Initialise, 101),
    ] {
        let mut with_track = config(7, 1);
        with_track.tracked = vec![Tracked {
            watch: watch.clone(),
            weight,
        }];
        let mut vrrp = member(1, vec![with_track]);
        vrrp.port_link(Time::ZERO, WAN, true);
        run(&mut [&mut vrrp], Time::ZERO, millis(1000));
        assert_eq!(states(&vrrp), [State::Master]);
        vrrp.port_link(millis(1000), WAN, false);
        let shown = show(&vrrp, millis(1000));
        let shown = &shown.virtual_routers[0];
        assert_eq!(
            (shown.state.as_str(), shown.priority),
            (state.to_string().as_str(), priority)
        );
        assert_eq!(shown.tracks[0].holds, Some(false));
    }
}

#[test]
fn a_tracked_address_is_asked_and_its_silence_lowers_the_priority() {
    let watch = AddressWatch {
        address: Ipv4Addr::new(198, 51, 100, 9),
        interval: Duration::from_millis(500),
        fall: 2,
        rise: 1,
    };
    let mut with_track = config(7, 1);
    with_track.tracked = vec![Tracked {
        watch: Watch::Address(watch),
        weight: Weight::Priority(-30),
    }];
    let mut vrrp = member(1, vec![with_track]);
    let mut priorities = Vec::new();
    let mut asked = 0;
    for tick in 0..80 {
        let now = millis(tick * 50);
        vrrp.tick(now);
        for output in drained(&mut vrrp) {
            if let Output::Ping(ping) = output {
                asked += 1;
                if asked <= 2 {
                    vrrp.on_echo_reply(now, ping);
                }
            }
        }
        let shown = show(&vrrp, now);
        priorities.push(shown.virtual_routers[0].priority);
    }
    assert_eq!(asked, 8);
    priorities.dedup();
    assert_eq!(priorities, [101, 71]);
}

#[test]
fn a_reload_keeps_what_stays_dismisses_what_goes_and_refuses_what_is_wrong() {
    let mut vrrp = member(1, vec![config(7, 1), config(8, 1)]);
    run(&mut [&mut vrrp], Time::ZERO, millis(1000));
    assert_eq!(states(&vrrp), [State::Master, State::Master]);
    drained(&mut vrrp);

    let ports = [port(LAN, 1)];
    let mut wrong = config(9, 1);
    wrong.protocol.priority = 0;
    let refused = vrrp.apply(millis(1000), &ports, vec![wrong]);
    assert!(matches!(refused, Err(ApplyError::Protocol { vrid: 9, .. })));
    let twice = vrrp.apply(millis(1000), &ports, vec![config(9, 1), config(9, 1)]);
    assert!(matches!(twice, Err(ApplyError::Duplicate { vrid: 9, .. })));
    let nowhere = vrrp.apply(millis(1000), &[], vec![config(9, 1)]);
    assert!(matches!(nowhere, Err(ApplyError::UnknownPort { .. })));
    assert_eq!(states(&vrrp), [State::Master, State::Master]);
    assert_eq!(drained(&mut vrrp), []);

    let mut faster = config(7, 1);
    faster.protocol.interval = Duration::from_millis(50);
    let configs = vec![faster, config(9, 1)];
    vrrp.apply(millis(1000), &ports, configs).unwrap();
    assert_eq!(states(&vrrp), [State::Master, State::Backup]);
    let outputs = drained(&mut vrrp);
    let charge = |vrid, charge| Output::Charge {
        group: GroupKey { port: LAN, vrid },
        charge,
    };
    assert!(outputs.contains(&charge(8, None)));
    assert!(outputs.contains(&charge(9, Some(Charge::Others))));
    // The farewell of the one that went: priority 0, behind Ethernet, IPv4, version and VRID.
    assert!(
        frames(&outputs)
            .iter()
            .any(|frame| frame[34..37] == [0x31, 8, 0])
    );
}

#[test]
fn a_hook_is_asked_for_on_every_change_with_its_cause() {
    let command = vec!["/usr/local/bin/notify".to_owned(), "$(reboot)".to_owned()];
    let mut vrrp = member(
        1,
        vec![GroupConfig {
            hook: Some(command.clone()),
            ..config(7, 1)
        }],
    );
    let outputs = run(&mut [&mut vrrp], Time::ZERO, millis(1000));
    let calls: Vec<_> = outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Hook(call) => Some(call),
            _ => None,
        })
        .collect();
    let told: Vec<_> = calls
        .iter()
        .map(|call| (call.transition.to, call.transition.cause.name()))
        .collect();
    assert_eq!(
        told,
        [(State::Backup, "link-up"), (State::Master, "master-silent")]
    );
    assert!(calls.iter().all(|call| call.command == command));
}

#[test]
fn unicast_peers_get_packets_and_nobody_else_gets_frames() {
    let mut unicast = config(7, 1);
    let peer = Ipv4Addr::new(198, 51, 100, 2);
    unicast.protocol.peers = Peers::Unicast {
        addresses: vec![peer.into()],
        ttl_min: 255,
    };
    let mut vrrp = member(1, vec![unicast]);
    let outputs = run(&mut [&mut vrrp], Time::ZERO, millis(1000));
    assert_eq!(frames(&outputs), Vec::<Vec<u8>>::new());
    assert!(outputs.iter().any(|output| matches!(
        output,
        Output::Send(packet) if packet.destination == peer
            && packet.source == Some(Ipv4Addr::new(192, 0, 2, 1))
            && packet.ttl == 255
    )));
}

#[test]
fn a_stall_longer_than_the_down_interval_makes_a_master_listen_first() {
    let mut vrrp = member(1, vec![config(7, 1)]);
    run(&mut [&mut vrrp], Time::ZERO, millis(1000));
    vrrp.tick(millis(4000));
    assert_eq!(states(&vrrp), [State::Backup]);
    let shown = show(&vrrp, millis(4000));
    let shown = &shown.virtual_routers[0];
    assert_eq!(shown.transitions.last().unwrap().cause, "stalled");
    assert_eq!(shown.counters["stalls"], 1);
    run(&mut [&mut vrrp], millis(4000), millis(5000));
    assert_eq!(states(&vrrp), [State::Master]);
}

#[test]
fn a_port_elects_255_groups_and_fails_all_of_them_over() {
    let configs = |member| (1..=255).map(|vrid| config(vrid, member)).collect();
    let mut low = member(1, configs(1));
    let mut high = member(2, configs(2));
    run(&mut [&mut low, &mut high], Time::ZERO, millis(1000));
    assert_eq!(states(&low), [State::Backup; 255]);
    assert_eq!(states(&high), [State::Master; 255]);
    drop(high);
    run(&mut [&mut low], millis(1001), millis(2000));
    assert_eq!(states(&low), [State::Master; 255]);
    assert_eq!(low.stray_counters(), StrayCounters::default());
}

#[test]
fn what_is_shown_is_one_line_a_group_and_one_object_with_the_names_of_rfc_8347() {
    let mut vrrp = member(1, vec![config(7, 1)]);
    run(&mut [&mut vrrp], Time::ZERO, millis(1000));
    let shown = show(&vrrp, millis(1000));
    let expected = "\
port  vrid  state   priority  master     interval  addresses    because
lan      7  master       101  192.0.2.1  100 ms    192.0.2.100  no master heard for 360.546875ms
";
    let answer = Answer::Vrrp(shown);
    assert_eq!(answer.text(), expected);
    let json: serde_json::Value = serde_json::from_str(&answer.json().unwrap()).unwrap();
    let group = &json["virtual_routers"][0];
    assert_eq!(group["virtual_mac"], "00:00:5e:00:01:07");
    assert_eq!(group["counters"]["master-transitions"], 1);
    assert_eq!(group["checksum"], "with-pseudo-header");
    assert_eq!(group["transitions"][1]["cause"], "master-silent");
    assert_eq!(json["strays"]["vrid-errors"], 0);
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic_or_leave_its_state(mut octets: Vec<u8>, keep in 0..60_usize) {
        let mut vrrp = member(1, vec![config(7, 1)]);
        let mut stranger = member(2, vec![config(7, 2)]);
        let sent = frames(&run(&mut [&mut stranger], Time::ZERO, millis(1000)));
        let good = &sent[0];
        // Random octets from some place on, in a good frame or beyond it.
        let mut frame = good[..keep.min(good.len())].to_vec();
        let is_good = frame.len() == good.len();
        frame.append(&mut octets);
        vrrp.on_frame(millis(1), LAN, &frame);
        prop_assert_eq!(states(&vrrp), [State::Backup]);
        let shown = show(&vrrp, millis(1));
        let accepted = shown.virtual_routers[0].counters["advertisement-rcvd"];
        prop_assert_eq!(accepted == 1, is_good, "{:?}", frame);
    }
}
