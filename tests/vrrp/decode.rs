//! What tshark makes of everything that is sent.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use lab::capture::Capture;
use lab::poll;
use lab::process::{Process, command};
use vrrpd::wire::PROTOCOL;
use vrrpd::{Checksum, Config, Output, Time, Version, VirtualRouter, Vrid};

use crate::member::{Member, PATIENCE};
use crate::network::Lan;
use crate::settings::Settings;

/// Wireshark's expert severity of a warning; errors are above.
const WARNING: &str = "_ws.expert.severity >= 0x00600000";
/// Wireshark's value for a checksum that is right.
const GOOD: &str = "1";

fn tshark(file: &Path, display_filter: &str, fields: &[&str]) -> Vec<String> {
    let mut tshark = command("tshark");
    tshark.args(["-n", "-r"]).arg(file);
    tshark.args(["-Y", display_filter, "-T", "fields"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let said = Process::spawn(tshark).expect("tshark");
    let said = said.succeed(PATIENCE).expect("tshark");
    said.lines().map(str::to_owned).collect()
}

/// Wants every packet decoded as VRRP of this version with a right checksum, and no packet with a warning.
fn decodes(file: &Path, version: u8, at_least: usize) {
    let fields = ["vrrp.version", "vrrp.checksum.status", "vrrp.prio"];
    let decoded = tshark(file, "vrrp", &fields);
    assert!(decoded.len() >= at_least, "{decoded:?}");
    let expected = format!("{version}\t{GOOD}\t");
    for packet in &decoded {
        assert!(packet.starts_with(&expected), "{packet}");
    }
    let warned = tshark(file, WARNING, &["frame.number", "_ws.expert.message"]);
    assert_eq!(warned, Vec::<String>::new());
}

fn an_election_decodes(version: u8) {
    let lan = Lan::new(2);
    let capture = Capture::start(lan.host_end(), "").expect("a capture");
    let low = Member::start(&lan, 0, &Settings::new(version, 100));
    let high = Member::start(&lan, 1, &Settings::new(version, 150));
    poll::until("a master", PATIENCE, || Ok(high.is_master().then_some(()))).expect("a master");
    // It resigns, so that a priority of 0 and a second take-over are among the packets.
    high.stop();
    poll::until("the other", PATIENCE, || Ok(low.is_master().then_some(()))).expect("a master");
    low.stop();
    let captured = capture.finish().expect("a capture");
    decodes(captured.path(), version, 4);
    let resigned = tshark(captured.path(), "vrrp.prio == 0", &["ip.src"]);
    assert_eq!(resigned, ["10.73.0.2", "10.73.0.1"]);
    let announced = tshark(
        captured.path(),
        "arp.isgratuitous",
        &["arp.src.hw_mac", "eth.src"],
    );
    assert!(announced.len() >= 2, "{announced:?}");
    for line in announced {
        let (payload, frame) = line.split_once('\t').expect("two fields");
        assert_eq!(payload, "00:00:5e:00:01:07");
        assert_ne!(frame, payload, "a frame from the virtual MAC");
    }
}

#[test]
fn advertisements_come_from_the_virtual_mac_if_the_operator_wants_that() {
    let lan = Lan::new(2);
    let capture = Capture::start(lan.host_end(), "").expect("a capture");
    let further = "source-mac = \"virtual\"";
    let low = Member::start_with(&lan, 0, &Settings::new(3, 100), further);
    let high = Member::start_with(&lan, 1, &Settings::new(3, 150), further);
    poll::until("a master", PATIENCE, || Ok(high.is_master().then_some(()))).expect("a master");
    high.stop();
    poll::until("the other", PATIENCE, || Ok(low.is_master().then_some(()))).expect("a master");
    assert_eq!(low.refusals(), []);
    low.stop();
    let captured = capture.finish().expect("a capture");
    decodes(captured.path(), 3, 4);
    let sources = tshark(captured.path(), "vrrp", &["eth.src"]);
    assert!(
        sources.iter().all(|source| source == "00:00:5e:00:01:07"),
        "{sources:?}"
    );
}

#[test]
fn tshark_decodes_every_packet_of_version_2_without_a_warning() {
    an_election_decodes(2);
}

#[test]
fn tshark_decodes_every_packet_of_version_3_over_ipv4_without_a_warning() {
    an_election_decodes(3);
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
    decodes(&file, 3, frames.len());
    assert_eq!(
        tshark(&file, "vrrp.prio == 0", &["vrrp.virt_rtr_id"]),
        ["7"]
    );

    // The check itself would notice a wrong octet.
    let last = frames[0].len() - 1;
    frames[0][last] ^= 1;
    std::fs::write(&file, pcap(&frames)).expect("a file");
    let right = tshark(&file, "vrrp.checksum.status == 1", &["frame.number"]);
    assert_eq!(right.len(), frames.len() - 1);
    std::fs::remove_file(&file).expect("the file gone");
}
