//! Frames that no honest host sends: each is dropped under its reason, and no other reason's counter moves.

use std::net::Ipv4Addr;

use lab::frame::{ETHERNET_OCTETS, Ipv4Frame, Mac, fill_header_checksum, read_mac};
use lab::packet_socket::PacketSocket;
use lab::topology::Routed;
use lab::{poll, probe};

use super::router::{Counters, moved};
use super::{DEADLINE, Router};

/// Copies of each frame, so that a counter that moves by accident is not taken for one that moves by the frame.
const COPIES: u64 = 7;

/// The link addresses on the left, and a socket there.
struct Attacker {
    socket: PacketSocket,
    router: Mac,
    host: Mac,
}

impl Attacker {
    fn of(net: &Routed) -> Self {
        // Both neighbours are known from here on, and the hosts ask no more.
        assert_eq!(
            probe::ping(&net.a, Routed::B, "-c 1 -W 5")
                .expect("a ping")
                .received,
            1
        );
        let neighbour = net
            .a
            .sh(&format!("ip neigh show {}", Routed::LEFT))
            .expect("a neighbour");
        let router = neighbour
            .split_whitespace()
            .skip_while(|word| *word != "lladdr")
            .nth(1)
            .expect("an address");
        net.a
            .sh(&format!(
                "ip neigh replace {} lladdr {router} dev eth0 nud permanent",
                Routed::LEFT
            ))
            .expect("fixed");
        Self {
            router: read_mac(router).expect("an address"),
            host: read_mac(&net.a_end().mac().expect("an address")).expect("an address"),
            socket: PacketSocket::open(net.a_end()).expect("a socket"),
        }
    }

    fn datagram(&self) -> Ipv4Frame {
        Ipv4Frame::udp(
            self.router,
            self.host,
            (Routed::A, 9),
            (Routed::B, 9),
            b"eighteen octets...",
        )
    }

    /// A datagram with something in its octets changed behind its back; the checksum is made right again.
    fn spoilt(&self, spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut frame = self.datagram().octets();
        spoil(&mut frame);
        fill_header_checksum(&mut frame);
        frame
    }

    /// A datagram with something changed before its octets were made.
    fn changed(&self, change: impl FnOnce(&mut Ipv4Frame)) -> Vec<u8> {
        let mut frame = self.datagram();
        change(&mut frame);
        frame.octets()
    }

    /// A whole frame of another protocol.
    fn other(&self, ether_type: u16) -> Vec<u8> {
        let mut frame = self.datagram().octets();
        frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
        frame
    }

    /// Every frame with the reason under which it must be dropped.
    fn frames(&self) -> Vec<(&'static str, Vec<u8>, &'static str)> {
        const IP: usize = ETHERNET_OCTETS;
        let mut tagged = self.datagram().octets();
        tagged.splice(12..12, [0x81, 0x00, 0x00, 0x07]);
        let mut wrong_sum = self.datagram().octets();
        wrong_sum[IP + 10] ^= 0x40;
        let from = |address: [u8; 4]| self.changed(|frame| frame.from = Ipv4Addr::from(address));
        let to = |address: [u8; 4]| self.changed(|frame| frame.to = Ipv4Addr::from(address));
        vec![
            (
                "no octet behind the link header",
                self.spoilt(|frame| frame.truncate(IP)),
                "short-header",
            ),
            (
                "half an IPv4 header",
                self.spoilt(|frame| frame.truncate(IP + 19)),
                "short-header",
            ),
            (
                "version 6 in an IPv4 frame",
                self.spoilt(|frame| frame[IP] = 0x65),
                "bad-version",
            ),
            (
                "version 0",
                self.spoilt(|frame| frame[IP] = 0x05),
                "bad-version",
            ),
            (
                "a header of 16 octets",
                self.spoilt(|frame| frame[IP] = 0x44),
                "bad-header-length",
            ),
            (
                "a header longer than its packet",
                self.spoilt(|frame| frame[IP] = 0x4f),
                "bad-header-length",
            ),
            (
                "a total length below the header's",
                self.spoilt(|frame| frame[IP + 3] = 19),
                "bad-total-length",
            ),
            (
                "a total length beyond the frame",
                self.spoilt(|frame| frame[IP + 2] = 4),
                "bad-total-length",
            ),
            ("a wrong checksum", wrong_sum, "bad-checksum"),
            (
                "a time to live of 0",
                self.changed(|frame| frame.ttl = 0),
                "ttl-zero",
            ),
            (
                "a source of this network",
                from([0, 0, 0, 0]),
                "martian-source",
            ),
            (
                "a source of this host",
                from([127, 0, 0, 1]),
                "martian-source",
            ),
            ("a multicast source", from([224, 0, 0, 9]), "martian-source"),
            ("a broadcast source", from([255; 4]), "martian-source"),
            (
                "the router's own address as source",
                from(Routed::RIGHT.octets()),
                "martian-source",
            ),
            (
                "a destination on this network",
                to([0, 0, 0, 1]),
                "martian-destination",
            ),
            (
                "a loopback destination",
                to([127, 0, 0, 1]),
                "martian-destination",
            ),
            (
                "a reserved destination",
                to([240, 0, 0, 1]),
                "martian-destination",
            ),
            ("a directed broadcast", to([10, 71, 2, 255]), "broadcast"),
            (
                "the limited broadcast",
                self.changed(|frame| (frame.to, frame.to_mac) = (Ipv4Addr::BROADCAST, [0xff; 6])),
                "broadcast",
            ),
            (
                "a multicast",
                self.changed(|frame| {
                    (frame.to, frame.to_mac) =
                        (Ipv4Addr::new(239, 1, 1, 1), [0x01, 0x00, 0x5e, 1, 1, 1]);
                }),
                "multicast",
            ),
            (
                "a unicast packet to everyone",
                self.changed(|frame| frame.to_mac = [0xff; 6]),
                "unicast-in-broadcast",
            ),
            (
                "a frame for another",
                self.changed(|frame| frame.to_mac = [2, 0, 0, 0, 0, 0x77]),
                "not-for-us",
            ),
            (
                "a frame for a group that is not here",
                self.changed(|frame| frame.to_mac = [0, 0, 0x5e, 0, 1, 200]),
                "not-for-us",
            ),
            (
                "a frame from the router itself",
                self.changed(|frame| frame.from_mac = self.router),
                "own-source",
            ),
            (
                "a frame from everyone",
                self.changed(|frame| frame.from_mac = [0x03, 0, 0, 0, 0, 1]),
                "multicast-source",
            ),
            ("a VLAN tag", tagged, "vlan"),
            ("IPv6", self.other(0x86dd), "ipv6"),
            (
                "a protocol for experiments",
                self.other(0x88b5),
                "unknown-protocol",
            ),
            (
                "a length in place of a type",
                self.other(0x002e),
                "unknown-protocol",
            ),
            (
                "a loose source route",
                self.changed(|frame| frame.options = vec![131, 7, 4, 10, 71, 2, 2, 0]),
                "source-route",
            ),
            (
                "a strict source route",
                self.changed(|frame| frame.options = vec![137, 7, 4, 10, 71, 2, 2, 0]),
                "source-route",
            ),
            (
                "an option of no length",
                self.changed(|frame| frame.options = vec![7, 0, 4, 0]),
                "bad-option",
            ),
            (
                "an option beyond the header",
                self.changed(|frame| frame.options = vec![7, 40, 4, 0]),
                "bad-option",
            ),
        ]
    }
}

/// What frames from the left did, beyond being received: neighbours may be asked at any moment whether they are still
/// there, and asking for counters counts.
fn effects(moved: &Counters) -> Counters {
    let beside = |name: &str| {
        name.starts_with("workers rx-") || name.starts_with("socket ") || name.contains("arp")
    };
    moved
        .iter()
        .filter(|(name, _)| !beside(name))
        .map(|(name, count)| (name.clone(), *count))
        .collect()
}

#[test]
fn each_hostile_frame_is_dropped_under_its_reason_alone() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let attacker = Attacker::of(&net);
    let behind = PacketSocket::open(net.b_end()).expect("a socket");
    for (what, frame, reason) in attacker.frames() {
        let before = router.counters();
        for _ in 0..COPIES {
            attacker.socket.send(&frame).expect("sent");
        }
        let expected = Counters::from([(format!("discards {reason}"), COPIES)]);
        let mut seen = Counters::new();
        let counted = poll::until(what, DEADLINE, || {
            seen = effects(&moved(&before, &router.counters()));
            Ok((seen.values().sum::<u64>() >= COPIES).then_some(()))
        });
        assert!(
            counted.is_ok() && seen == expected,
            "{what}: {seen:?} instead of {reason}"
        );
    }
    let came_through = behind.drain().expect("frames");
    assert!(
        !came_through
            .iter()
            .any(|frame| frame.ends_with(b"octets...")),
        "{came_through:?}"
    );
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 3 -i 0.2")
            .expect("a ping")
            .received,
        3
    );
    router.finish();
}

#[test]
fn odd_but_honest_frames_are_forwarded() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let attacker = Attacker::of(&net);
    let behind = PacketSocket::open(net.b_end()).expect("a socket");
    let mut padded = attacker.datagram().octets();
    padded.extend([0xee; 40]);
    for (what, frame) in [
        ("a datagram", attacker.datagram().octets()),
        (
            "no-operation options",
            attacker.changed(|frame| frame.options = vec![1, 1, 1, 0]),
        ),
        ("octets behind the packet", padded),
        (
            "no octet of payload",
            attacker.changed(|frame| frame.payload.clear()),
        ),
        (
            "the largest packet",
            attacker.changed(|frame| frame.payload.resize(1480, 7)),
        ),
        (
            "an unknown protocol",
            attacker.changed(|frame| frame.protocol = 253),
        ),
        (
            "a time to live of 2",
            attacker.changed(|frame| frame.ttl = 2),
        ),
    ] {
        attacker.socket.send(&frame).expect("sent");
        let header_octets = usize::from(frame[14] & 0x0f) * 4;
        let packet_octets = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let arrived = behind
            .expect(what, DEADLINE, |seen| {
                seen.len() > 34 - 1 && seen[12..14] == [8, 0] && seen[26..34] == frame[26..34]
            })
            .expect("forwarded");
        assert_eq!(
            arrived[14 + 8],
            frame[14 + 8] - 1,
            "{what}: the time to live"
        );
        assert_eq!(
            lab::frame::sum(&arrived[14..14 + header_octets]),
            0xffff,
            "{what}: the checksum"
        );
        assert_eq!(
            arrived[14 + 20..14 + packet_octets],
            frame[14 + 20..14 + packet_octets],
            "{what}: what is behind the header"
        );
    }
    router.finish();
}

/// Xorshift64*: no more is asked of it than to give the same octets each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn fill(&mut self, octets: &mut [u8]) {
        octets
            .iter_mut()
            .for_each(|octet| *octet = self.next() as u8);
    }
}

#[test]
fn a_hundred_thousand_random_frames_leave_the_router_as_it_was() {
    const FRAMES: u64 = 100_000;
    const AT_ONCE: u64 = 250;
    let net = Routed::new().expect("a network");
    let default_route = format!(
        "\n[[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"{}\"\n",
        Routed::B
    );
    let router = Router::start_with(&net, &(net.configuration() + &default_route));
    let attacker = Attacker::of(&net);
    let mut random = Random(0x1234_5678_9abc_def1);
    let received = || {
        let answer = router.json("show fwd stats all").expect("counters");
        let received = answer.pointer("/ports/0/rx_packets");
        received
            .and_then(serde_json::Value::as_u64)
            .expect("a count")
    };
    let before = received();
    for number in 0..FRAMES {
        let mut frame = vec![0; 14 + random.below(1473) as usize];
        random.fill(&mut frame);
        // A third each: noise; a header of noise; a true header with one octet of noise in it.
        if number % 3 > 0 {
            frame[..6].copy_from_slice(&attacker.router);
            frame[6..12].copy_from_slice(&attacker.host);
            frame[12..14].copy_from_slice(&[8, 0]);
        }
        if number % 3 == 2 {
            let mut honest = attacker.datagram();
            honest.payload = frame.split_off(14);
            frame = honest.octets();
            let spoilt = 14 + random.below(20) as usize;
            frame[spoilt] = random.next() as u8;
        }
        // No fragments, which the driver's socket keeps until they are whole; those come by a file (`fragments.rs`).
        if frame.get(12..14) == Some(&[8, 0])
            && let Some(fragment) = frame.get_mut(20..22)
        {
            fragment[0] &= 0xc0;
            fragment[1] = 0;
        }
        if number % 3 == 2 {
            fill_header_checksum(&mut frame);
        }
        attacker.socket.send(&frame).expect("sent");
        // No faster than the router takes them: what its socket has no room for would be lost before it.
        let sent = number + 1;
        if sent % AT_ONCE == 0 {
            poll::until(&format!("frame {sent}"), DEADLINE, || {
                Ok((received() - before >= sent).then_some(()))
            })
            .expect("the router takes every frame");
        }
    }
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 5 -i 0.2")
            .expect("a ping")
            .received,
        5
    );
    router.finish();
}
