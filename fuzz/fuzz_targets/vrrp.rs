//! libFuzzer's entry; what is tried is in `targets/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::run("vrrp", octets));
