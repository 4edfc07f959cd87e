//! Capture files for `net_pcap` ports: what they replay, and what they wrote.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::io::Read;
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
    frames(file.as_slice()).collect()
}

/// As [`read`], of what is still being written to a pipe, say. What ends within a frame ends before it.
pub(crate) fn frames(mut file: impl Read) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let word =
        |octets: &[u8], at: usize| u32::from_le_bytes(octets[at..at + 4].try_into().unwrap());
    let mut header = [0; 24];
    file.read_exact(&mut header).unwrap();
    let tick_ns = match word(&header, 0) {
        0xa1b2_3c4d => 1,
        _ => 1000,
    };
    std::iter::from_fn(move || {
        let mut header = [0; 16];
        file.read_exact(&mut header).ok()?;
        let mut frame = vec![0; word(&header, 8) as usize];
        file.read_exact(&mut frame).ok()?;
        let seconds = u64::from(word(&header, 0));
        let ticks = u64::from(word(&header, 4));
        Some((seconds * 1_000_000_000 + ticks * tick_ns, frame))
    })
}
