//! Who speaks for the virtual addresses, and as whom: the master alone, with the virtual MAC inside the packet and the port's own
//! around it.

use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use dataplane::wire::arp::{Operation, Packet};
use lab::frame::{Ipv4Frame, Mac, read_mac, sum};
use lab::link::End;
use lab::packet_socket::PacketSocket;
use lab::poll;
use lab::probe::IcmpMessage;

use crate::member::{Member, PATIENCE, configuration};
use crate::network::{
    HOST, INTERFACE, Lan, PREFIX_LEN, VIRTUAL, VRID, address_of, virtual_address,
};
use crate::router::await_alone;
use crate::settings::Settings;

/// How often something is asked.
const REQUESTS: usize = 5;
/// Which of the three routers is master.
const MASTER: usize = 1;

fn virtual_mac() -> MacAddr {
    MacAddr::virtual_v4(VRID)
}

/// A request for the virtual address, from a station of its own for each number.
pub(crate) fn arp_request(number: u32) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    let sender_mac = MacAddr([2, 0xaa, 0, a, b, c]);
    let mut frame = vec![0xff; 6];
    frame.extend(sender_mac.0);
    frame.extend([0x08, 0x06]);
    let asked = Packet {
        operation: Operation::Request,
        sender_mac,
        sender: Ipv4Addr::new(10, 73, 128 | b & 0x3f, c),
        target_mac: MacAddr([0; 6]),
        target: VIRTUAL,
    };
    asked.emit(&mut frame);
    frame.resize(60, 0);
    frame
}

/// An echo request of the host's for the virtual address.
fn echo_request(from_mac: Mac, to_mac: Mac) -> Vec<u8> {
    const ICMP: u8 = 1;
    let mut payload = vec![8, 0, 0, 0, 0x73, 0x73, 0, 1];
    let checksum = !sum(&payload);
    payload[2..4].copy_from_slice(&checksum.to_be_bytes());
    let packet = Ipv4Frame {
        to_mac,
        from_mac,
        from: HOST,
        to: VIRTUAL,
        ttl: 64,
        protocol: ICMP,
        identification: 0,
        fragment: 0,
        options: Vec::new(),
        payload,
    };
    packet.octets()
}

/// Where a frame comes from, and the ARP packet in it.
fn arp(frame: &[u8]) -> Option<(Mac, Packet)> {
    let packet = Packet::parse(frame.get(14..)?).ok()?;
    let from = *frame.get(6..)?.first_chunk()?;
    (frame.get(12..14)? == [0x08, 0x06]).then_some((from, packet))
}

/// What the host receives until the master has advertised three times more: by then everybody has had time to answer who should not.
fn until_all_had_time<T>(
    socket: &PacketSocket,
    mut read: impl FnMut(&[u8]) -> Option<T>,
) -> Vec<T> {
    const ADVERTISEMENTS: usize = 3;
    let (mut found, mut advertisements) = (Vec::new(), 0);
    while advertisements < ADVERTISEMENTS {
        let frame = socket.receive(PATIENCE).expect("a frame");
        let frame = frame.expect("advertisements");
        found.extend(read(&frame));
        advertisements += usize::from(frame.get(23) == Some(&vrrpd::wire::PROTOCOL));
    }
    found
}

fn three(lan: &Lan) -> [Member<'_>; 3] {
    let start = |index: usize| Member::start(lan, index, &Settings::new(3, [100, 200, 150][index]));
    let routers = [start(0), start(1), start(2)];
    poll::until("the second as the only master", PATIENCE, || {
        let masters: Vec<bool> = routers.iter().map(Member::is_master).collect();
        Ok((masters == [false, true, false]).then_some(()))
    })
    .expect("a master");
    routers
}

fn mac_of(lan: &Lan, index: usize) -> Mac {
    let mac = End::of(lan.router(index), INTERFACE).mac();
    read_mac(&mac.expect("a MAC")).expect("a MAC")
}

fn host_mac(lan: &Lan) -> Mac {
    let mac = lan.host_end().mac();
    read_mac(&mac.expect("a MAC")).expect("a MAC")
}

#[test]
fn the_master_alone_answers_arp_for_the_virtual_address_and_with_the_virtual_mac() {
    let lan = Lan::new(3);
    let _routers = three(&lan);
    let socket = PacketSocket::open(lan.host_end()).expect("a socket");
    for number in 0..REQUESTS {
        let request = arp_request(u32::try_from(number).expect("few"));
        socket.send(&request).expect("sent");
    }
    let answers = until_all_had_time(&socket, |frame| {
        let (from, packet) = arp(frame)?;
        let answers = packet.operation == Operation::Reply && packet.sender == VIRTUAL;
        answers.then_some((from, packet.sender_mac))
    });
    assert_eq!(
        answers,
        vec![(mac_of(&lan, MASTER), virtual_mac()); REQUESTS]
    );
}

#[test]
fn the_master_alone_answers_an_echo_request_that_reaches_everyone() {
    let lan = Lan::new(3);
    let _routers = three(&lan);
    let socket = PacketSocket::open(lan.host_end()).expect("a socket");
    let host = host_mac(&lan);
    for _ in 0..REQUESTS {
        let request = echo_request(host, virtual_mac().0);
        socket.send(&request).expect("sent");
    }
    // A backup does not answer for what is the master's if it is asked alone either.
    for backup in [0, 2] {
        let request = echo_request(host, mac_of(&lan, backup));
        socket.send(&request).expect("sent");
    }
    let answers = until_all_had_time(&socket, |frame| {
        let message = IcmpMessage::read(frame)?;
        let from: Mac = *frame.get(6..)?.first_chunk()?;
        (message.kind == 0).then_some((from, message.from))
    });
    assert_eq!(answers, vec![(mac_of(&lan, MASTER), VIRTUAL); REQUESTS]);
}

#[test]
fn a_master_that_does_not_accept_packets_answers_arp_and_no_echo_request() {
    let lan = Lan::new(1);
    let ours = Member::start_with(&lan, 0, &Settings::new(3, 100), "accept = false");
    await_alone(&ours);
    let socket = PacketSocket::open(lan.host_end()).expect("a socket");
    for _ in 0..REQUESTS {
        let request = echo_request(host_mac(&lan), virtual_mac().0);
        socket.send(&request).expect("sent");
    }
    socket.send(&arp_request(0)).expect("sent");
    let answers = until_all_had_time(&socket, |frame| {
        let resolved = arp(frame).is_some_and(|(_, packet)| {
            packet.operation == Operation::Reply && packet.sender == VIRTUAL
        });
        let echoed = IcmpMessage::read(frame).is_some_and(|message| message.kind == 0);
        (resolved || echoed).then_some((resolved, echoed))
    });
    assert_eq!(answers, [(true, false)]);
    let refused = &ours.json("show counters")["host"]["host-virtual-not-accepted"];
    assert_eq!(refused, REQUESTS);
}

#[test]
fn a_new_master_announces_each_of_its_addresses_as_often_as_told_round_by_round() {
    const ADDRESSES: u8 = 40;
    const ROUNDS: usize = 2;
    let lan = Lan::new(1);
    let socket = PacketSocket::open(lan.host_end()).expect("a socket");
    let settings = Settings {
        addresses: ADDRESSES,
        ..Settings::new(3, 100)
    };
    let further =
        format!("announce-rounds = {ROUNDS}\nannounce-interval = \"300ms\"\nannounce-burst = 4");
    let ours = Member::start_with(&lan, 0, &settings, &further);
    await_alone(&ours);
    let announced = |frame: &[u8]| {
        let (from, packet) = arp(frame)?;
        (packet.sender == packet.target).then_some((from, packet.sender_mac, packet.sender))
    };
    let all = usize::from(ADDRESSES) * ROUNDS;
    let mut seen = Vec::new();
    while seen.len() < all {
        let frame = socket.receive(PATIENCE).expect("a frame");
        seen.extend(announced(&frame.expect("an announcement")));
    }
    // As long as three intervals at least, in which a further round would have begun.
    seen.extend(until_all_had_time(&socket, announced));
    seen.extend(until_all_had_time(&socket, announced));
    let round =
        (0..ADDRESSES).map(|number| (mac_of(&lan, 0), virtual_mac(), virtual_address(number)));
    let expected: Vec<_> = (0..ROUNDS).flat_map(|_| round.clone()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_master_that_asks_with_the_virtual_address_puts_the_virtual_mac_beside_it() {
    let lan = Lan::new(1);
    let socket = PacketSocket::open(lan.host_end()).expect("a socket");
    // The owner's own address is the virtual one; it has no other to ask from.
    let track = format!("[[virtual-router.track]]\naddress = \"{HOST}\"\nweight = 1");
    let text = configuration(0, &Settings::new(3, 255), &track);
    let both = format!("\"{}/{PREFIX_LEN}\", ", address_of(0));
    let ours = Member::run(&lan, 0, &text.replace(&both, ""));
    await_alone(&ours);
    let mut asked = Vec::new();
    socket
        .expect("a question for the host", PATIENCE, |frame| {
            asked.extend(arp(frame).filter(|(_, packet)| packet.target == HOST));
            !asked.is_empty()
        })
        .expect("a question");
    let (from, packet) = &asked[0];
    assert_eq!(*from, mac_of(&lan, 0));
    assert_eq!((packet.sender, packet.sender_mac), (VIRTUAL, virtual_mac()));
    poll::until("an answer from the host", PATIENCE, || {
        Ok((ours.group()["tracks"][0]["holds"] == true).then_some(()))
    })
    .expect("an answer");
}
