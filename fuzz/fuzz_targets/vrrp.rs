//! A VRRP message of either version and family: the views accept it or name a refusal.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use vrrpd::Authentication;
use vrrpd::wire::{Header, v2, v3};

fuzz_target!(|message: &[u8]| {
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
});
