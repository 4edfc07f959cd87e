//! What tshark makes of everything that is sent.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lab::capture::{Capture, Captured};
use vrrpd::wire::PROTOCOL;
use vrrpd::{Checksum, Config, Output, Time, Version, VirtualRouter, Vrid};

use crate::member::Member;
use crate::network::Lan;
use crate::router::{await_alone, await_heard, await_master};
use crate::settings::Settings;

/// Wireshark's expert severity of a warning; errors are above.
const WARNING: &str = "_ws.expert.severity >= 0x00600000";
/// Wireshark's value for a checksum that is right.
const GOOD: &str = "1";
/// Has it leave the pseudo-header out over IPv4, as RFC 9568 says; of itself it counts it.
const TO_THE_LETTER: [&str; 2] = ["-o", "vrrp.v3_checksum_as_in_v2:TRUE"];
const VIRTUAL_MAC: &str = "00:00:5e:00:01:07";

/// Wants every packet of VRRP's protocol decoded as this version with a right checksum, and no packet at all with a warning. How many
/// there are.
fn decodes(captured: &Captured, options: &[&str], version: u8) -> usize {
    let fields = |filter: &str, fields: &[&str]| {
        captured
            .fields_with(options, filter, fields)
            .expect("tshark")
    };
    let decoded = fields(
        "ip.proto == 112 or ipv6.nxt == 112",
        &["vrrp.version", "vrrp.checksum.status", "vrrp.prio"],
    );
    let expected = format!("{version}\t{GOOD}\t");
    for packet in &decoded {
        assert!(packet.starts_with(&expected), "{packet}");
    }
    let warned = fields(WARNING, &["frame.number", "_ws.expert.message"]);
    assert_eq!(warned, Vec::<String>::new());
    decoded.len()
}

/// Two routers elect a master, which resigns, so that a priority of 0 and a second take-over are among the packets; then the other does.
fn election(settings: Settings, further: &str, look: impl FnOnce(&Captured)) {
    let lan = Lan::new(2);
    let capture = Capture::start(lan.host_end(), "").expect("a capture");
    let low = Member::start_with(&lan, 0, &settings.with_priority(100), further);
    let high = Member::start_with(&lan, 1, &settings.with_priority(150), further);
    await_master(&high, &low);
    await_heard(&low);
    assert_eq!(low.refusals(), []);
    high.stop();
    await_alone(&low);
    low.stop();
    look(&capture.finish().expect("a capture"));
}

/// Who sent what by the fields, from the frames that match.
fn seen(captured: &Captured, filter: &str, fields: &[&str]) -> Vec<String> {
    captured.fields(filter, fields).expect("tshark")
}

fn an_election_decodes(settings: Settings, options: &[&str]) {
    election(settings, "", |captured| {
        assert!(decodes(captured, options, settings.version) >= 7);
        let resigned = seen(captured, "vrrp.prio == 0", &["ip.src"]);
        assert_eq!(resigned, ["10.73.0.2", "10.73.0.1"]);
        let announced = seen(captured, "arp.isgratuitous", &["arp.src.hw_mac", "eth.src"]);
        assert!(announced.len() >= 2, "{announced:?}");
        for line in announced {
            let (payload, frame) = line.split_once('\t').expect("two fields");
            assert_eq!(payload, VIRTUAL_MAC);
            assert_ne!(frame, payload, "a frame from the virtual MAC");
        }
        let from_virtual = format!("eth.src == {VIRTUAL_MAC}");
        assert_eq!(seen(captured, &from_virtual, &["frame.number"]).len(), 0);
    });
}

#[test]
fn advertisements_and_announcements_come_from_the_virtual_mac_if_the_operator_wants_that() {
    let further = "source-mac = \"virtual\"";
    election(Settings::new(3, 0), further, |captured| {
        assert!(decodes(captured, &[], 3) >= 7);
        let sources = seen(captured, "vrrp or arp.isgratuitous", &["eth.src"]);
        assert!(
            sources.iter().all(|source| source == VIRTUAL_MAC),
            "{sources:?}"
        );
    });
}

#[test]
fn tshark_decodes_every_packet_of_version_2_without_a_warning() {
    an_election_decodes(Settings::new(2, 0), &[]);
}

#[test]
fn tshark_decodes_every_packet_of_version_2_with_a_password_without_a_warning() {
    let with = |password| Settings {
        password,
        ..Settings::new(2, 0)
    };
    an_election_decodes(with(Some("sesame")), &[]);
}

#[test]
fn tshark_decodes_every_packet_of_version_3_over_ipv4_without_a_warning() {
    an_election_decodes(Settings::new(3, 0), &[]);
}

#[test]
fn tshark_decodes_every_packet_of_version_3_whose_checksum_is_rfc_9568s_to_the_letter() {
    let settings = Settings {
        checksum: "without-pseudo-header",
        ..Settings::new(3, 0)
    };
    an_election_decodes(settings, &TO_THE_LETTER);
}

#[test]
fn tshark_decodes_every_packet_between_unicast_peers_and_of_many_addresses_without_a_warning() {
    const ADDRESSES: u8 = 20;
    let settings = Settings {
        unicast: true,
        addresses: ADDRESSES,
        ..Settings::new(3, 0)
    };
    election(settings, "", |captured| {
        let packets = decodes(captured, &[], 3);
        assert!(packets >= 7);
        let counts = seen(captured, "vrrp", &["vrrp.addr_count"]);
        assert_eq!(counts, vec![ADDRESSES.to_string(); packets]);
        assert_eq!(seen(captured, "ip.dst == 224.0.0.18", &["ip.src"]).len(), 0);
    });
}

/// An IPv6 packet in an Ethernet frame; the packet road has none yet.
fn ipv6_frame(src: Ipv6Addr, dst: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 0x12, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
    frame.extend([0x6c, 0, 0, 0]);
    frame.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
    frame.extend([PROTOCOL, vrrpd::wire::TTL]);
    frame.extend(src.octets());
    frame.extend(dst.octets());
    frame.extend(payload);
    frame
}

/// A pcap file (microseconds, Ethernet) of these frames.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
        file.extend(word.to_le_bytes());
    }
    for frame in frames {
        let octets = u32::try_from(frame.len()).expect("short");
        for word in [0, 0, octets, octets] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

#[test]
fn tshark_decodes_every_packet_of_version_3_over_ipv6_without_a_warning() {
    let local: Ipv6Addr = "fe80::2".parse().expect("an address");
    let addresses =
        ["fe80::1", "2001:db8::1"].map(|text| text.parse::<IpAddr>().expect("an address"));
    let version = Version::V3 {
        checksum: Checksum::Auto,
    };
    let vrid = Vrid::new(7).expect("a VRID");
    let config = Config::new(vrid, version, addresses.to_vec());
    let mut router = VirtualRouter::new(config, local.into(), Time::ZERO).expect("a router");
    let mut now = Time::ZERO;
    router.port_link(now, true);
    let mut frames = Vec::new();
    while now < Time::ZERO + Duration::from_secs(10) {
        now = router.poll_timeout().expect("a timer");
        router.tick(now);
        if now >= Time::ZERO + Duration::from_secs(9) {
            router.shutdown(now);
            now = now + Duration::from_secs(1);
        }
        while let Some(output) = router.poll_output() {
            if let Output::Transmit(transmit) = output
                && let (IpAddr::V6(src), IpAddr::V6(dst)) = (transmit.src, transmit.dst)
            {
                frames.push(ipv6_frame(src, dst, &transmit.payload));
            }
        }
    }
    let file = std::env::temp_dir().join(format!("vrrp-ipv6-{}.pcap", std::process::id()));
    std::fs::write(&file, pcap(&frames)).expect("a file");
    let captured = Captured::in_file(file.clone());
    assert_eq!(decodes(&captured, &[], 3), frames.len());
    assert_eq!(
        seen(&captured, "vrrp.prio == 0", &["vrrp.virt_rtr_id"]),
        ["7"]
    );

    // The check itself would notice a wrong octet.
    let last = frames[0].len() - 1;
    frames[0][last] ^= 1;
    std::fs::write(&file, pcap(&frames)).expect("a file");
    let right = seen(&captured, "vrrp.checksum.status == 1", &["frame.number"]);
    assert_eq!(right.len(), frames.len() - 1);
    std::fs::remove_file(&file).expect("the file gone");
}
