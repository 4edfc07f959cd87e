//! Version 2 on the wire: known octets, every impossible length, random octets.

use proptest::prelude::*;

use super::*;
use crate::wire::{PRIORITY_OWNER, Vrid};

/// An advertisement as routers send it: VRID 1, priority 100, one address, no authentication, 1 s.
const PLAIN: [u8; 20] = [
    0x21, 0x01, 0x64, 0x01, 0x00, 0x01, 0xba, 0x52, 192, 168, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn fields(addresses: &[IpAddr]) -> Fields<'_> {
    Fields {
        vrid: Vrid::new(1).unwrap(),
        priority: 100,
        interval: Duration::from_secs(1),
        addresses,
    }
}

#[test]
fn emits_the_known_octets() {
    let address = [IpAddr::from([192, 168, 0, 1])];
    assert_eq!(emit(&fields(&address), &Authentication::None), PLAIN);
}

#[test]
fn parses_the_known_octets() {
    let advertisement = Advertisement::parse(&PLAIN).unwrap();
    assert_eq!(advertisement.vrid(), 1);
    assert_eq!(advertisement.priority(), 100);
    assert_eq!(advertisement.interval(), Duration::from_secs(1));
    assert_eq!(advertisement.authentication_type(), AUTHENTICATION_NONE);
    assert!(
        advertisement
            .addresses()
            .eq([IpAddr::from([192, 168, 0, 1])])
    );
}

#[test]
fn every_other_length_is_refused() {
    let mut long = PLAIN.to_vec();
    long.resize(100, 0);
    for len in (0..long.len()).filter(|len| *len != PLAIN.len()) {
        let refusal = Advertisement::parse(&long[..len]).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Length { received, .. } if received == len),
            "{len}: {refusal}"
        );
    }
    for count in (0..=u8::MAX).filter(|count| *count != 1) {
        let mut lying = PLAIN;
        lying[3] = count;
        let expected = HEADER_LEN + usize::from(count) * 4 + AUTHENTICATION_LEN;
        assert_eq!(
            Advertisement::parse(&lying).unwrap_err(),
            Refusal::Length {
                expected,
                received: PLAIN.len()
            }
        );
    }
}

#[test]
fn version_and_type_are_checked_before_the_checksum() {
    let mut message = PLAIN;
    message[0] = 0x31;
    assert_eq!(
        Advertisement::parse(&message).unwrap_err(),
        Refusal::Version { received: 3 }
    );
    message[0] = 0x22;
    assert_eq!(
        Advertisement::parse(&message).unwrap_err(),
        Refusal::Type { received: 2 }
    );
}

#[test]
fn every_flipped_bit_is_noticed() {
    for bit in 0..PLAIN.len() * 8 {
        let mut message = PLAIN;
        message[bit / 8] ^= 1 << (bit % 8);
        assert!(Advertisement::parse(&message).is_err(), "bit {bit}");
    }
}

#[test]
fn authentication_must_be_the_configured_one() {
    let address = [IpAddr::from([192, 168, 0, 1])];
    let secret = Authentication::text("secret");
    let message = emit(&fields(&address), &secret);
    let advertisement = Advertisement::parse(&message).unwrap();
    assert_eq!(advertisement.authenticate(&secret), Ok(()));
    assert_eq!(
        advertisement.authenticate(&Authentication::text("secreT")),
        Err(Refusal::Password)
    );
    assert_eq!(
        advertisement.authenticate(&Authentication::None),
        Err(Refusal::AuthenticationMismatch {
            expected: 0,
            received: 1
        })
    );
    assert_eq!(
        Advertisement::parse(&PLAIN).unwrap().authenticate(&secret),
        Err(Refusal::AuthenticationMismatch {
            expected: 1,
            received: 0
        })
    );

    let mut unknown = PLAIN;
    unknown[4] = 3;
    put_checksum(&mut unknown, 0);
    let checksum = Sum::default().add(&unknown).checksum();
    put_checksum(&mut unknown, checksum);
    assert_eq!(
        Advertisement::parse(&unknown)
            .unwrap()
            .authenticate(&Authentication::None),
        Err(Refusal::AuthenticationType { received: 3 })
    );
}

#[test]
fn a_password_is_cut_after_eight_octets_and_never_shown() {
    assert!(Authentication::text("12345678") == Authentication::text("123456789"));
    assert!(!format!("{:?}", Authentication::text("12345678")).contains("1234"));
}

proptest! {
    #[test]
    fn random_octets_never_panic(message in proptest::collection::vec(any::<u8>(), 0..1100)) {
        if let Ok(advertisement) = Advertisement::parse(&message) {
            let _ = advertisement.authenticate(&Authentication::None);
            prop_assert_eq!(advertisement.addresses().count(), usize::from(message[3]));
        }
    }

    #[test]
    fn what_is_emitted_parses_to_the_same(
        vrid in 1..=255_u8, priority in 0..=PRIORITY_OWNER, seconds in 1..=255_u64, count in 0..=255_u32, password: [u8; 8],
    ) {
        let addresses: Vec<IpAddr> = (0..count).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())).collect();
        let interval = Duration::from_secs(seconds);
        let fields = Fields { vrid: Vrid::new(vrid).unwrap(), priority, interval, addresses: &addresses };
        let message = emit(&fields, &Authentication::Text(password));
        let parsed = Advertisement::parse(&message).unwrap();
        prop_assert_eq!((parsed.vrid(), parsed.priority(), parsed.interval()), (vrid, priority, interval));
        prop_assert!(parsed.addresses().eq(addresses.iter().copied()));
        prop_assert_eq!(parsed.authenticate(&Authentication::Text(password)), Ok(()));
    }
}
