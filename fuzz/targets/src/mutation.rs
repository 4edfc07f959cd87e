//! Octets made from others, from a seed: what a fuzzer does that sees no coverage.

/// A source of numbers (xorshift64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }
}

/// The longest result.
pub const LEN_MAX: usize = 4096;

/// Changes `seed` in one to eight places; `other` lends pieces.
#[must_use]
pub fn mutate(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n', b' '];
    let mut octets = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(octets.len() + 1);
        let length = random.below(16);
        match random.below(7) {
            0 => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet = random.below(256) as u8;
                }
            }
            2 => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet = TELLING[random.below(TELLING.len())];
                }
            }
            3 => octets.insert(at, random.below(256) as u8),
            4 => {
                let end = octets.len().min(at + length);
                octets.drain(at..end);
            }
            5 => {
                let end = octets.len().min(at + length);
                let piece = octets[at..end].to_vec();
                let to = random.below(octets.len() + 1);
                octets.splice(to..to, piece);
            }
            _ => {
                let from = random.below(other.len() + 1);
                let end = other.len().min(from + 4 * length);
                let over = octets.len().min(at + random.below(16));
                octets.splice(at..over, other[from..end].iter().copied());
            }
        }
    }
    octets.truncate(LEN_MAX);
    octets
}
