//! A moment of every target: over its corpus, which has the cases that were found, and over a few thousand things made from that by a seed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the impossible stops there"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::{fs, io};

use fuzz_targets::TARGETS;
use fuzz_targets::mutation::{Random, mutate};

/// How many octets each target gets in all, the corpus not counted.
const OCTETS: usize = 400_000;

fn corpus(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target);
    let mut seeds = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        seeds.push((name, fs::read(entry.path())?));
    }
    seeds.sort();
    Ok(seeds)
}

#[test]
fn every_target_stands_its_corpus_and_what_is_made_from_it() {
    for (name, target) in TARGETS {
        let seeds = corpus(name).expect("every target has a corpus");
        assert!(!seeds.is_empty(), "{name} has an empty corpus");
        for (case, octets) in &seeds {
            if catch_unwind(|| target(octets)).is_err() {
                panic!("{name}: {case}, see above");
            }
        }
        let mut random = Random::new(1);
        let mut left = OCTETS;
        while left > 0 {
            let (_, seed) = &seeds[random.below(seeds.len())];
            let (_, other) = &seeds[random.below(seeds.len())];
            let octets = mutate(&mut random, seed, other);
            left = left.saturating_sub(octets.len() + 16);
            if catch_unwind(AssertUnwindSafe(|| target(&octets))).is_err() {
                let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
                panic!("{name}: see above, with these octets: {hex}");
            }
        }
    }
}
