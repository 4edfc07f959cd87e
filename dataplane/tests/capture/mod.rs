//! Capture files for `net_pcap` ports: what they replay, and what they wrote.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::Path;

/// Makes a file of these frames.
pub(crate) fn write(path: &Path, frames: impl IntoIterator<Item = Vec<u8>>) {
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    for frame in frames {
        let length = frame.len() as u32;
        file.extend(words(&[0, 0, length, length]));
        file.extend(frame);
    }
    std::fs::write(path, file).unwrap();
}

/// The frames of a file and when each was written, in nanoseconds.
pub(crate) fn read(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let file = std::fs::read(path).unwrap();
    let tick_ns = match u32::from_le_bytes(file[..4].try_into().unwrap()) {
        0xa1b2_3c4d => 1,
        _ => 1000,
    };
    let mut rest = &file[24..];
    let mut frames = Vec::new();
    while let Some((header, after)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let (frame, after) = after.split_at(word(8) as usize);
        frames.push((
            u64::from(word(0)) * 1_000_000_000 + u64::from(word(4)) * tick_ns,
            frame.to_vec(),
        ));
        rest = after;
    }
    frames
}
