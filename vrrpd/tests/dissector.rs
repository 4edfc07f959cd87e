//! The Wireshark dissector in `scripts/wireshark/` reads what this crate writes: every message type, over IPv4 and IPv6, goes into
//! a capture file, and tshark's reading of it is compared with what was written.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use vrrpd::sharing::names::{
    BootId, Condition, Epoch, Fingerprint, MemberState, Mode, MoveName, RouterId, Seen, Version,
};
use vrrpd::sharing::wire::{
    Accepted, Acquaintance, Allocation, Answer, AnswerStatus, Body, ConditionRate, Confirmation,
    Entry, FragmentRange, Group, Head, Key, Kind, MoveReport, MoveStatus, RateRequest,
    RateResponse, Response, ReviewRequest, RouterRecord, Sighting, TcpMark, Threshold, seal,
};
use vrrpd::{Family, Vrid};

const DISSECTOR: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../scripts/wireshark/vrrp-sharing.lua"
);

fn router(id: u32) -> RouterId {
    RouterId::new(id).unwrap()
}

fn address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(192, 0, 2, number).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(number)).into(),
    }
}

fn name() -> MoveName {
    MoveName {
        version: Version {
            epoch: Epoch {
                counter: 4,
                issuer: Some(router(1)),
            },
            generation: 9,
        },
        from: router(1),
        to: router(2),
        batch: 3,
    }
}

/// One body of every type, types 2 to 8 in order, with something in every list.
fn bodies(family: Family) -> Vec<Body> {
    let end_system = Condition::Address(address(family, 77));
    let range = FragmentRange { first: 5, last: 6 };
    let record = |id| RouterRecord {
        router: router(id),
        state: MemberState::Working,
        weight: 10,
    };
    vec![
        Body::Response(Response {
            state: MemberState::Draining,
            master: true,
            authority: true,
            wants_table: false,
            weight: 10,
            mode: Mode::Sequence,
            entries: 2,
            digest: 0xabcd,
            heard: name().version,
            keys: vec![5, 6],
            acquaintances: vec![Acquaintance {
                router: router(1),
                boot: BootId(0x11),
                challenge: 31,
                echo: 32,
            }],
            missing: vec![range],
            moves: vec![MoveReport {
                name: name(),
                status: MoveStatus::Ready,
                conditions: vec![end_system],
            }],
            sightings: vec![Sighting {
                address: address(family, 78),
                node: Some(address(family, 79)),
                seen: Seen::Neighbour,
            }],
        }),
        Body::Allocation(Allocation {
            kind: Kind::everything(family),
            mode: Mode::Sequence,
            entries_total: 2,
            digest: 0xabcd,
            routers: vec![record(1), record(2)],
            entries: vec![
                Entry {
                    condition: Condition::Rest,
                    router: Some(router(1)),
                    unfinished: None,
                    node: None,
                    seen: Seen::Configured,
                    seen_ago_s: 0,
                    rate_kbit_per_s: 1,
                },
                Entry {
                    condition: end_system,
                    router: Some(router(2)),
                    unfinished: Some(name()),
                    node: Some(address(family, 99)),
                    seen: Seen::Traffic,
                    seen_ago_s: 12,
                    rate_kbit_per_s: 3456,
                },
            ],
        }),
        Body::Confirmation(Confirmation {
            name: name(),
            mode: Mode::Sequence,
            missing: vec![range],
        }),
        Body::Answer(Answer {
            name: MoveName {
                from: router(2),
                to: router(1),
                ..name()
            },
            mode: Mode::Sequence,
            status: AnswerStatus::Withdrawn,
            accepted: vec![Accepted {
                condition: end_system,
                overflowed: true,
                first_unrouted: Some(TcpMark {
                    src: address(family, 77),
                    dst: address(family, 88),
                    src_port: 40_000,
                    dst_port: 443,
                    sequence_number: 123_456,
                }),
                fingerprints: vec![Fingerprint(0xf1), Fingerprint(0xf2)],
            }],
        }),
        Body::ReviewRequest(ReviewRequest {
            passed: Threshold::Overflows,
            figure: 700,
            threshold: 600,
        }),
        Body::RateRequest(RateRequest { request: 8 }),
        Body::RateResponse(RateResponse {
            request: 8,
            window_ms: 1000,
            total_bit_per_s: 5_000_000_000,
            overflows: 21,
            rates: vec![ConditionRate {
                condition: end_system,
                bit_per_s: 4_000_000_000,
            }],
        }),
    ]
}

fn message(family: Family, body: &Body) -> Vec<u8> {
    let vrid = Vrid::new(7).unwrap();
    let group = Group {
        version: 3,
        vrid,
        destination: address(family, 1),
    };
    let key = Key::new(5, b"a secret of sixteen octets", vrid, family).unwrap();
    let head = Head {
        priority: 100,
        router: router(2),
        boot: BootId(0x22),
        number: 42,
        version: name().version,
        fragment: 0,
        fragments: 1,
    };
    seal(&group, address(family, 2), &key, &head, body).unwrap()
}

/// An Ethernet frame to the virtual MAC address.
fn frame(family: Family, message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(Vrid::new(7).unwrap().virtual_mac(family));
    frame.extend([2, 0, 0, 0, 0, 2]);
    let len = message.len() as u16;
    match (address(family, 2), address(family, 1)) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + len).to_be_bytes());
            frame.extend([0, 0, 0, 0, 255, 112, 0, 0]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(len.to_be_bytes());
            frame.extend([112, 255]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        _ => unreachable!("one family"),
    }
    frame.extend(message);
    frame
}

/// A capture file, removed in the end.
struct Capture(PathBuf);

impl Capture {
    fn of(frames: &[Vec<u8>], name: &str) -> Capture {
        let mut file = Vec::new();
        // Magic number, version 2.4, time zone, accuracy, longest packet, Ethernet.
        for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
            file.extend(word.to_le_bytes());
        }
        for frame in frames {
            let len = frame.len() as u32;
            for word in [0, 0, len, len] {
                file.extend(word.to_le_bytes());
            }
            file.extend(frame);
        }
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}.pcap", std::process::id()));
        std::fs::write(&path, file).unwrap();
        Capture(path)
    }

    /// What tshark reads in the fields `names`: a row for each packet, a cell for each field.
    fn fields(&self, names: &[&str]) -> Vec<Vec<String>> {
        let mut command = Command::new("tshark");
        command
            .arg("-r")
            .arg(&self.0)
            .args(["-X", &format!("lua_script:{DISSECTOR}")])
            .args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
        for name in names {
            command.args(["-e", name]);
        }
        let output = command.output().expect("tshark runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !errors.contains("Lua"),
            "{errors}"
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn tshark_reads_every_field_of_every_type() {
    for (family, suffix) in [(Family::Ipv4, "v4"), (Family::Ipv6, "v6")] {
        let frames: Vec<_> = bodies(family)
            .iter()
            .map(|body| frame(family, &message(family, body)))
            .collect();
        let capture = Capture::of(&frames, &format!("all-{suffix}"));

        let heads = capture.fields(&[
            "_ws.malformed",
            "_ws.expert",
            "vrrp_sharing.version",
            "vrrp_sharing.type",
            "vrrp_sharing.vrid",
            "vrrp_sharing.priority",
            "vrrp_sharing.key",
            "vrrp_sharing.router",
            "vrrp_sharing.number",
        ]);
        assert_eq!(heads.len(), 7);
        for (row, message_type) in heads.iter().zip(2..) {
            let message_type = format!("{message_type}");
            let expected = ["", "", "3", &message_type, "7", "100", "5", "0.0.0.2", "42"];
            assert_eq!(row, &expected, "{family}");
        }

        let named = |field: &str| format!("vrrp_sharing.{field}");
        let in_family = |field: &str| format!("vrrp_sharing.{field}_{suffix}");
        let end_system = address(family, 77).to_string();
        let rest = Condition::Rest.address(family).to_string();
        let expected = [
            // (type, field, what tshark shows)
            (2, named("state"), "3".to_owned()),
            (2, named("master"), "1".to_owned()),
            (2, named("wants_table"), "0".to_owned()),
            (2, named("authority"), "1".to_owned()),
            (2, named("seen"), "2".to_owned()),
            (2, named("weight"), "10".to_owned()),
            (2, named("mode"), "2".to_owned()),
            (2, named("entries"), "2".to_owned()),
            (2, named("digest"), "0x000000000000abcd".to_owned()),
            (2, named("epoch"), "4,4,4".to_owned()),
            (2, named("issuer"), "0.0.0.1,0.0.0.1,0.0.0.1".to_owned()),
            (2, named("generation"), "9,9,9".to_owned()),
            (2, named("accepted_key"), "5,6".to_owned()),
            (
                2,
                named("boot"),
                "0x0000000000000022,0x0000000000000011".to_owned(),
            ),
            (2, named("challenge"), "31".to_owned()),
            (2, named("echo"), "32".to_owned()),
            (2, named("missing_first"), "5".to_owned()),
            (2, named("missing_last"), "6".to_owned()),
            (2, named("from"), "0.0.0.1".to_owned()),
            (2, named("to"), "0.0.0.2".to_owned()),
            (2, named("batch"), "3".to_owned()),
            (2, named("move_status"), "2".to_owned()),
            (
                2,
                in_family("condition"),
                format!("{end_system},{}", address(family, 78)),
            ),
            (2, in_family("node"), address(family, 79).to_string()),
            (3, named("kind"), "1".to_owned()),
            (3, named("member"), "0.0.0.1,0.0.0.2".to_owned()),
            (3, named("weight"), "10,10".to_owned()),
            (3, in_family("node"), address(family, 99).to_string()),
            (3, named("batch"), "3".to_owned()),
            (3, in_family("condition"), format!("{rest},{end_system}")),
            (3, named("in_charge"), "0,1,0,1".to_owned()),
            (3, named("move"), "255,0".to_owned()),
            (3, named("behind"), "255,0".to_owned()),
            (3, named("seen"), "0,3".to_owned()),
            (3, named("seen_ago"), "0,12".to_owned()),
            (3, named("rate_kbit"), "1,3456".to_owned()),
            (3, in_family("first"), rest),
            (4, named("to"), "0.0.0.2".to_owned()),
            (4, named("missing_last"), "6".to_owned()),
            (5, named("from"), "0.0.0.2".to_owned()),
            (5, named("answer_status"), "1".to_owned()),
            (5, named("overflowed"), "1".to_owned()),
            (5, in_family("src"), end_system.clone()),
            (5, in_family("dst"), address(family, 88).to_string()),
            (5, named("src_port"), "40000".to_owned()),
            (5, named("dst_port"), "443".to_owned()),
            (5, named("sequence_number"), "123456".to_owned()),
            (
                5,
                named("fingerprint"),
                "0x00000000000000f1,0x00000000000000f2".to_owned(),
            ),
            (6, named("passed"), "2".to_owned()),
            (6, named("figure"), "700".to_owned()),
            (6, named("threshold"), "600".to_owned()),
            (7, named("request"), "8".to_owned()),
            (8, named("window"), "1000".to_owned()),
            (8, named("total"), "5000000000".to_owned()),
            (8, named("overflows"), "21".to_owned()),
            (8, in_family("condition"), end_system),
            (8, named("rate"), "4000000000".to_owned()),
        ];
        // tshark shows a field once, however often it is asked for.
        let names: BTreeSet<&str> = expected.iter().map(|(_, name, _)| name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let rows = capture.fields(&names);
        for (message_type, name, shown) in &expected {
            let row = &rows[message_type - 2];
            let column = names.binary_search(&name.as_str()).unwrap();
            assert_eq!(
                &row[column], shown,
                "{name} of type {message_type}, {family}"
            );
        }
    }
}

#[test]
fn tshark_marks_what_is_cut_or_too_long_and_leaves_advertisements_alone() {
    let family = Family::Ipv4;
    let good = message(family, &bodies(family)[0]);
    let mut long = good.clone();
    long.extend([0; 4]);
    let advertisement = [0x31, 7, 100, 1, 0, 100, 0xba, 0x52, 192, 0, 2, 1];
    let frames: Vec<_> = [&good[..60], &good[..100], &long, &advertisement[..], &good]
        .iter()
        .map(|message| frame(family, message))
        .collect();
    let capture = Capture::of(&frames, "spoilt");
    let rows = capture.fields(&["vrrp_sharing.malformed", "vrrp_sharing.type", "vrrp.type"]);
    let marked: Vec<bool> = rows.iter().map(|row| !row[0].is_empty()).collect();
    assert_eq!(marked, [true, true, true, false, false]);
    assert_eq!(rows[3][1..], ["", "1"]);
    assert_eq!(rows[4][1..], ["2", ""]);
}
