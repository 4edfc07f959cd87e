//! Version 3 on the wire: known octets over both families, both checksums, every impossible length, random octets.

use proptest::prelude::*;

use super::*;
use crate::wire::{GROUP_IPV4, GROUP_IPV6, PRIORITY_OWNER, Vrid};

const SRC4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
const SRC6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
const DST4: IpAddr = IpAddr::V4(GROUP_IPV4);
const DST6: IpAddr = IpAddr::V6(GROUP_IPV6);

/// VRID 7, priority 100, 192.0.2.1, 0.5 s.
fn over_ipv4(pseudo_header: PseudoHeader) -> Vec<u8> {
    let fields = Fields {
        vrid: Vrid::new(7).unwrap(),
        priority: 100,
        interval: Duration::from_millis(500),
        addresses: &[IpAddr::from([192, 0, 2, 1])],
    };
    emit(&fields, SRC4, DST4, pseudo_header)
}

/// VRID 7, priority 100, fe80::1, 40.95 s.
fn over_ipv6() -> Vec<u8> {
    let fields = Fields {
        vrid: Vrid::new(7).unwrap(),
        priority: 100,
        interval: Duration::from_millis(40_950),
        addresses: &["fe80::1".parse().unwrap()],
    };
    emit(&fields, SRC6, DST6, PseudoHeader::Without)
}

#[test]
fn emits_the_known_octets() {
    // Wireshark confirms the checksums with the pseudo-header; without, they were summed by hand.
    assert_eq!(
        over_ipv4(PseudoHeader::Without),
        [0x31, 7, 100, 1, 0, 50, 0xa8, 0xc3, 192, 0, 2, 1]
    );
    assert_eq!(
        over_ipv4(PseudoHeader::With),
        [0x31, 7, 100, 1, 0, 50, 0x06, 0x32, 192, 0, 2, 1]
    );
    assert_eq!(
        over_ipv6(),
        [
            0x31, 7, 100, 1, 0x0f, 0xff, 0x5e, 0x56, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 1
        ]
    );
}

#[test]
fn either_checksum_is_taken_over_ipv4_and_told_apart() {
    for pseudo_header in [PseudoHeader::With, PseudoHeader::Without] {
        let message = over_ipv4(pseudo_header);
        let advertisement = Advertisement::parse(&message, SRC4, DST4).unwrap();
        assert_eq!(advertisement.pseudo_header(), pseudo_header);
        assert_eq!(advertisement.interval(), Duration::from_millis(500));
        assert!(advertisement.addresses().eq([IpAddr::from([192, 0, 2, 1])]));
    }
}

#[test]
fn the_checksum_counts_the_addresses_of_the_packet_where_it_should() {
    let elsewhere = IpAddr::from([192, 0, 2, 3]);
    let with = over_ipv4(PseudoHeader::With);
    assert_eq!(
        Advertisement::parse(&with, elsewhere, DST4).unwrap_err(),
        Refusal::Checksum
    );
    let without = over_ipv4(PseudoHeader::Without);
    assert!(Advertisement::parse(&without, elsewhere, DST4).is_ok());
    let elsewhere = "fe80::3".parse().unwrap();
    assert_eq!(
        Advertisement::parse(&over_ipv6(), elsewhere, DST6).unwrap_err(),
        Refusal::Checksum
    );
}

#[test]
fn ipv6_never_goes_without_the_pseudo_header() {
    let mut message = over_ipv6();
    put_checksum(&mut message, 0);
    let checksum = Sum::default().add(&message).checksum();
    put_checksum(&mut message, checksum);
    assert_eq!(
        Advertisement::parse(&message, SRC6, DST6).unwrap_err(),
        Refusal::Checksum
    );
}

#[test]
fn every_other_length_is_refused() {
    for (right, src, dst) in [
        (over_ipv4(PseudoHeader::With), SRC4, DST4),
        (over_ipv6(), SRC6, DST6),
    ] {
        let mut long = right.clone();
        long.resize(100, 0);
        for len in (0..long.len()).filter(|len| *len != right.len()) {
            let refusal = Advertisement::parse(&long[..len], src, dst).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Length { received, .. } if received == len),
                "{len}: {refusal}"
            );
        }
        for count in (0..=u8::MAX).filter(|count| *count != 1) {
            let mut lying = right.clone();
            lying[3] = count;
            let refusal = Advertisement::parse(&lying, src, dst).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Length { .. }),
                "{count}: {refusal}"
            );
        }
    }
}

#[test]
fn version_and_type_are_checked_before_the_checksum() {
    let mut message = over_ipv4(PseudoHeader::Without);
    message[0] = 0x21;
    assert_eq!(
        Advertisement::parse(&message, SRC4, DST4).unwrap_err(),
        Refusal::Version { received: 2 }
    );
    message[0] = 0x38;
    assert_eq!(
        Advertisement::parse(&message, SRC4, DST4).unwrap_err(),
        Refusal::Type { received: 8 }
    );
}

#[test]
fn every_flipped_bit_is_noticed() {
    for (right, src, dst) in [
        (over_ipv4(PseudoHeader::With), SRC4, DST4),
        (over_ipv4(PseudoHeader::Without), SRC4, DST4),
        (over_ipv6(), SRC6, DST6),
    ] {
        for bit in 0..right.len() * 8 {
            let mut message = right.clone();
            message[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Advertisement::parse(&message, src, dst).is_err(),
                "bit {bit}"
            );
        }
    }
}

#[test]
fn reserved_bits_are_ignored() {
    let mut message = over_ipv6();
    message[4] |= 0xf0;
    put_checksum(&mut message, 0);
    let sum = Sum::default()
        .add(&message)
        .add_pseudo_header(SRC6, DST6, message.len());
    put_checksum(&mut message, sum.checksum());
    let advertisement = Advertisement::parse(&message, SRC6, DST6).unwrap();
    assert_eq!(advertisement.interval(), Duration::from_millis(40_950));
}

proptest! {
    #[test]
    fn random_octets_never_panic(message in proptest::collection::vec(any::<u8>(), 0..4200)) {
        for (src, dst) in [(SRC4, DST4), (SRC6, DST6), (SRC4, DST6), (SRC6, DST4)] {
            if let Ok(advertisement) = Advertisement::parse(&message, src, dst) {
                prop_assert_eq!(advertisement.addresses().count(), usize::from(message[3]));
            }
        }
    }

    #[test]
    fn what_is_emitted_parses_to_the_same(
        vrid in 1..=255_u8, priority in 0..=PRIORITY_OWNER, centiseconds in 1..=4095_u64, count in 0..=255_u16,
        ipv6: bool, with: bool,
    ) {
        let address = |n| if ipv6 {
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])
        } else {
            IpAddr::from([192, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]])
        };
        let addresses: Vec<IpAddr> = (0..count).map(address).collect();
        let interval = Duration::from_millis(centiseconds * 10);
        let fields = Fields { vrid: Vrid::new(vrid).unwrap(), priority, interval, addresses: &addresses };
        let (src, dst) = if ipv6 { (SRC6, DST6) } else { (SRC4, DST4) };
        let pseudo_header = if with || ipv6 { PseudoHeader::With } else { PseudoHeader::Without };
        let message = emit(&fields, src, dst, pseudo_header);
        let parsed = Advertisement::parse(&message, src, dst).unwrap();
        prop_assert_eq!((parsed.vrid(), parsed.priority(), parsed.interval()), (vrid, priority, interval));
        prop_assert!(parsed.addresses().eq(addresses.iter().copied()));
        prop_assert_eq!(parsed.pseudo_header(), pseudo_header);
    }
}
