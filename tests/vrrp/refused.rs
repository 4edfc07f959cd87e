//! Packets that must be refused: each is counted under its reason alone, is told of once, and changes nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lab::frame::{Ipv4Frame, Mac, read_mac};
use lab::link::End;
use lab::packet_socket::PacketSocket;
use lab::poll;
use serde_json::Value;
use vrrpd::wire::{Fields, GROUP_IPV4, PROTOCOL, TTL, v2, v3};
use vrrpd::{Authentication, PseudoHeader, Vrid};

use crate::member::{Member, PATIENCE, port};
use crate::network::{INTERFACE, Lan, VIRTUAL, address_of, peer_of};

const ROUTER: usize = 0;
/// Who sends what is refused: no member of any group.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 73, 0, 99);
const STRANGER_MAC: Mac = [2, 0, 0, 0, 0, 0x99];
const GROUP_MAC: Mac = [1, 0, 0x5e, 0, 0, 0x12];
/// What is sent claims the highest priority: accepted, it would end mastership.
const PRIORITY: u8 = 255;

/// Virtual routers of version 3, of version 2 with a password, and of version 3 with a unicast peer.
const GROUPS: &str = r#"
[[virtual-router]]
port = "lan"
vrid = 3
virtual-addresses = ["10.73.1.0"]

[[virtual-router]]
port = "lan"
vrid = 2
version = 2
password = "sesame"
virtual-addresses = ["10.73.1.1"]

[[virtual-router]]
port = "lan"
vrid = 4
unicast-peers = ["10.73.0.2"]
virtual-addresses = ["10.73.1.2"]
"#;
const VERSION_3: u8 = 3;
const VERSION_2: u8 = 2;
const UNICAST: u8 = 4;
const NOBODYS: u8 = 77;
const INTERVAL: Duration = Duration::from_secs(1);

/// An advertisement that the group of version 3 would accept.
fn frame(to_mac: Mac, from: Ipv4Addr, to: Ipv4Addr, payload: Vec<u8>) -> Ipv4Frame {
    Ipv4Frame {
        to_mac,
        from_mac: STRANGER_MAC,
        from,
        to,
        ttl: TTL,
        protocol: PROTOCOL,
        identification: 0,
        fragment: 0,
        options: Vec::new(),
        payload,
    }
}

fn fields(vrid: u8, addresses: &[IpAddr]) -> Fields<'_> {
    Fields {
        vrid: Vrid::new(vrid).expect("a VRID"),
        priority: PRIORITY,
        interval: INTERVAL,
        addresses,
    }
}

/// Version 3, from `from` to `to`, with fields changed.
fn version_3(
    to_mac: Mac,
    from: Ipv4Addr,
    to: Ipv4Addr,
    vrid: u8,
    change: impl Fn(&mut Fields<'_>),
) -> Ipv4Frame {
    let addresses = [VIRTUAL.into()];
    let mut fields = fields(vrid, &addresses);
    change(&mut fields);
    let payload = v3::emit(&fields, from.into(), to.into(), PseudoHeader::Without);
    frame(to_mac, from, to, payload)
}

/// Version 3 as it should be, to the multicast group.
fn right(vrid: u8) -> Ipv4Frame {
    version_3(GROUP_MAC, STRANGER, GROUP_IPV4, vrid, |_| ())
}

/// Version 2 with an authentication, an interval and an address.
fn version_2(authentication: &Authentication, interval: Duration, address: Ipv4Addr) -> Ipv4Frame {
    let addresses = [address.into()];
    let fields = Fields {
        interval,
        ..fields(VERSION_2, &addresses)
    };
    frame(
        GROUP_MAC,
        STRANGER,
        GROUP_IPV4,
        v2::emit(&fields, authentication),
    )
}

/// The octets at which a header of either version has what tests spoil, and the sum over it made right again.
fn spoilt(mut frame: Ipv4Frame, at: usize, octet: u8) -> Ipv4Frame {
    frame.payload[at] = octet;
    frame.payload[6..8].fill(0);
    let checksum = !lab::frame::sum(&frame.payload);
    frame.payload[6..8].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// A packet, whose counter it is to raise, and which.
struct Case {
    what: &'static str,
    group: Option<u8>,
    counter: &'static str,
    frame: Vec<u8>,
}

fn case(what: &'static str, group: u8, counter: &'static str, frame: Ipv4Frame) -> Case {
    Case {
        what,
        group: Some(group),
        counter,
        frame: frame.octets(),
    }
}

/// One that reaches no virtual router.
fn stray(what: &'static str, counter: &'static str, frame: Ipv4Frame) -> Case {
    Case {
        group: None,
        ..case(what, 0, counter, frame)
    }
}

/// Everything that a router has to refuse.
fn cases(router: Mac) -> Vec<Case> {
    let own = address_of(ROUTER);
    let mut all = Vec::new();

    let three = |what, counter, frame| case(what, VERSION_3, counter, frame);
    let changed = |change: fn(&mut Ipv4Frame)| {
        let mut frame = right(VERSION_3);
        change(&mut frame);
        frame
    };
    let beyond = changed(|frame| frame.ttl = TTL - 1);
    all.push(three("from beyond the link", "ip-ttl-errors", beyond));
    for (what, first) in [
        ("version 2", 0x21),
        ("version 4", 0x41),
        ("version 0", 0x01),
    ] {
        let frame = spoilt(right(VERSION_3), 0, first);
        all.push(three(what, "version-errors", frame));
    }
    for (what, first) in [("type 0", 0x30), ("type 2", 0x32), ("type 15", 0x3f)] {
        let frame = spoilt(right(VERSION_3), 0, first);
        all.push(three(what, "invalid-type-pkts-rcvd", frame));
    }
    let damaged = changed(|frame| frame.payload[7] ^= 1);
    all.push(three("a damaged checksum", "checksum-errors", damaged));
    let counted = spoilt(right(VERSION_3), 3, 2);
    all.push(three("one address of two", "packet-length-errors", counted));
    let longer = changed(|frame| frame.payload.extend([0; 4]));
    all.push(three("four octets more", "packet-length-errors", longer));
    let never = version_3(GROUP_MAC, STRANGER, GROUP_IPV4, VERSION_3, |fields| {
        fields.interval = Duration::ZERO;
    });
    all.push(three("an interval of zero", "interval-errors", never));
    let looped = version_3(GROUP_MAC, own, GROUP_IPV4, VERSION_3, |_| ());
    all.push(three("its own address", "own-source-pkts-rcvd", looped));
    let unicast = version_3(router, STRANGER, own, VERSION_3, |_| ());
    all.push(three("to one alone", "destination-errors", unicast));

    let two = |what, counter, frame| case(what, VERSION_2, counter, frame);
    let sesame = Authentication::text("sesame");
    let address = Ipv4Addr::new(10, 73, 1, 1);
    let good = || version_2(&sesame, INTERVAL, address);
    let open = version_2(&Authentication::None, INTERVAL, address);
    all.push(two("no password", "auth-type-mismatch", open));
    let simsim = Authentication::text("simsim");
    let wrong = version_2(&simsim, INTERVAL, address);
    all.push(two("a wrong password", "auth-failures", wrong));
    let unheard_of = spoilt(good(), 4, 3);
    all.push(two(
        "authentication of type 3",
        "invalid-auth-type",
        unheard_of,
    ));
    let slower = version_2(&sesame, 2 * INTERVAL, address);
    all.push(two("another interval", "interval-errors", slower));
    // The owner's list would be accepted.
    let elsewhere = spoilt(version_2(&sesame, INTERVAL, VIRTUAL), 2, 254);
    all.push(two("another address", "address-list-errors", elsewhere));
    all.push(two("version 3", "version-errors", right(VERSION_2)));

    let stranger = version_3(router, STRANGER, own, UNICAST, |_| ());
    all.push(case("no peer", UNICAST, "unknown-peer-pkts-rcvd", stranger));
    let to_all = version_3(GROUP_MAC, peer_of(ROUTER), GROUP_IPV4, UNICAST, |_| ());
    all.push(case("to all", UNICAST, "destination-errors", to_all));

    all.push(stray("a VRID of nobody's", "vrid-errors", right(NOBODYS)));
    let short = changed(|frame| frame.payload.truncate(7));
    all.push(stray("seven octets", "packet-length-errors", short));
    all
}

/// What was refused: by VRID, none for what reached nobody, and by counter.
fn refused(shown: &Value) -> BTreeMap<(Option<u64>, String), u64> {
    const NO_REFUSALS: [&str; 2] = ["advertisement-sent", "master-transitions"];
    let groups = shown["virtual_routers"].as_array().expect("groups").iter();
    let groups = groups.map(|group| (group["vrid"].as_u64(), &group["counters"]));
    groups
        .chain([(None, &shown["strays"])])
        .flat_map(|(vrid, counters)| {
            let counters = counters.as_object().expect("counters").iter();
            counters.map(move |(name, count)| ((vrid, name.clone()), count))
        })
        .filter(|((_, name), _)| !NO_REFUSALS.contains(&name.as_str()))
        .map(|(key, count)| (key, count.as_u64().expect("a count")))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[test]
fn what_must_be_refused_is_counted_under_its_reason_alone_and_changes_nothing() {
    let lan = Lan::new(1);
    let ours = Member::run(&lan, ROUTER, &(port(ROUTER) + GROUPS));
    poll::until("a master of all", PATIENCE, || {
        Ok(ours.is_master().then_some(()))
    })
    .expect("a master");
    let changes = ours.changes().len();
    let mac = End::of(lan.router(ROUTER), INTERFACE).mac().expect("a MAC");
    let socket = PacketSocket::open(lan.host_end()).expect("a socket");
    let mut expected = refused(&ours.show());
    assert_eq!(expected, BTreeMap::new());
    for Case {
        what,
        group,
        counter,
        frame,
    } in cases(read_mac(&mac).expect("a MAC"))
    {
        socket.send(&frame).expect("sent");
        let before = expected.clone();
        let key = (group.map(u64::from), counter.to_owned());
        *expected.entry(key).or_default() += 1;
        let now = poll::until(what, PATIENCE, || {
            let now = refused(&ours.show());
            Ok((now != before).then_some(now))
        });
        assert_eq!(now.expect("a refusal"), expected, "{what}");
        assert_eq!(ours.states(), ["master"; 3], "{what}");
    }
    assert_eq!(changes, ours.changes().len());

    // The log tells of each kind once, however many there are.
    let told = |text: &str| {
        let said = ours.said();
        let lines = said.lines().filter(|line| line.contains("WARN"));
        lines.filter(|line| line.contains(text)).count()
    };
    assert_eq!(told("VRRP packet refused: wrong password"), 1);
    assert_eq!(told("VRRP packet refused: message type"), 1);
    // In version 2 as well as in version 3.
    assert_eq!(told("VRRP packet refused: version"), 2);

    // Nothing but what was wrong with them kept them from being accepted.
    let sesame = Authentication::text("sesame");
    let of_version_2 = version_2(&sesame, INTERVAL, Ipv4Addr::new(10, 73, 1, 1));
    for accepted in [right(VERSION_3), of_version_2] {
        socket.send(&accepted.octets()).expect("sent");
    }
    poll::until("two masters less", PATIENCE, || {
        // By VRID.
        Ok((ours.states() == ["backup", "backup", "master"]).then_some(()))
    })
    .expect("both accepted");
}
