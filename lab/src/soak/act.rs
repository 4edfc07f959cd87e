//! What a seed decides: the acts of a soak, each drawn from the seed and its number alone, so that what happens does not change what follows.

use std::fmt;
use std::time::Duration;

use super::{HOSTS, ROUTERS};

/// Numbers from a seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `from` on, below `to`.
    pub(super) fn draw(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from).max(1)
    }

    fn small(&mut self, below: u8) -> u8 {
        // Less than a number of eight bits.
        self.draw(0, below.into()) as u8
    }
}

/// One thing that happens: moves that are ordered, then, without waiting for them, something else.
#[derive(Debug)]
pub(super) struct Act {
    /// Which end system is to go to which router.
    pub(super) moves: Vec<(u8, u8)>,
    pub(super) kind: Kind,
    /// How long nothing happens afterwards.
    pub(super) pause: Duration,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing but the moves.
    Moves,
    /// A router is killed, and started again when it has been gone for a time.
    Kill { router: u8, down: Duration },
    /// The same, but it is asked to stop.
    Stop { router: u8, down: Duration },
    /// A router's cable to the end systems is pulled for a time.
    Flap { router: u8, lasts: Duration },
    /// A router is given another weight.
    Reload { router: u8, weight: u16 },
    /// An end system sends frames that no honest one does.
    Hostile { host: u8, frames: u16 },
}

impl Act {
    pub(super) fn draw(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed.wrapping_add(number.wrapping_mul(0xd1b5_4a32_d192_ed03)));
        let random = &mut random;
        let down = |random: &mut Random| Duration::from_millis(random.draw(0, 1_500));
        let kind = match random.draw(0, 100) {
            0..30 => Kind::Moves,
            30..46 => Kind::Kill {
                router: random.small(ROUTERS - 1),
                down: down(random),
            },
            46..60 => Kind::Stop {
                router: random.small(ROUTERS - 1),
                down: down(random),
            },
            60..76 => Kind::Flap {
                router: random.small(ROUTERS),
                lasts: Duration::from_millis(random.draw(20, 1_200)),
            },
            76..86 => Kind::Reload {
                router: random.small(ROUTERS),
                weight: random.draw(50, 200) as u16,
            },
            _ => Kind::Hostile {
                host: random.small(HOSTS),
                frames: random.draw(50, 400) as u16,
            },
        };
        let moves = match kind {
            Kind::Moves => random.draw(1, 9),
            _ => random.draw(0, 6).saturating_sub(2),
        };
        Self {
            moves: (0..moves)
                .map(|_| (random.small(HOSTS), random.small(ROUTERS)))
                .collect(),
            kind,
            pause: Duration::from_millis(random.draw(50, 600)),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, to) in &self.moves {
            write!(f, "h{} to r{}, ", host + 1, to + 1)?;
        }
        match &self.kind {
            Kind::Moves => write!(f, "and nothing else"),
            Kind::Kill { router, down } => write!(f, "kill r{}, for {down:?}", router + 1),
            Kind::Stop { router, down } => write!(f, "stop r{}, for {down:?}", router + 1),
            Kind::Flap { router, lasts } => {
                write!(f, "pull the cable of r{} for {lasts:?}", router + 1)
            }
            Kind::Reload { router, weight } => write!(f, "r{} weighs {weight}", router + 1),
            Kind::Hostile { host, frames } => {
                write!(f, "{frames} hostile frames from h{}", host + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_acts_and_all_kinds_come() {
        let acts = |seed| -> Vec<String> {
            (0..200)
                .map(|number| Act::draw(seed, number).to_string())
                .collect()
        };
        assert_eq!(acts(1), acts(1));
        assert_ne!(acts(1), acts(2));
        for word in ["nothing", "kill", "stop", "cable", "weighs", "hostile"] {
            let count = acts(1).iter().filter(|act| act.contains(word)).count();
            assert!(count > 5, "{count} of {word}");
        }
    }
}
