//! A fixed map from 32-bit keys to 32-bit values other than zero: open addressing with linear probing, at most half full,
//! so that a look-up is nearly always one cache line.

/// The map; a slot is a key and its value, zero when empty.
#[derive(Debug)]
pub(crate) struct Hashed {
    slots: Box<[(u32, u32)]>,
    shift: u32,
}

impl Hashed {
    /// Of several entries for one key the last one counts. A value of zero is none.
    #[must_use]
    pub(crate) fn new(entries: impl ExactSizeIterator<Item = (u32, u32)>) -> Self {
        if entries.len() == 0 {
            return Self {
                slots: Box::new([]),
                shift: 63,
            };
        }
        let bits = (entries.len() * 2)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let mut hashed = Self {
            slots: vec![(0, 0); 1 << bits].into_boxed_slice(),
            shift: 64 - bits,
        };
        for (key, value) in entries {
            let mut place = hashed.place(key);
            while let Some(slot) = hashed.slots.get_mut(place) {
                if slot.1 == 0 || slot.0 == key {
                    *slot = (key, value);
                    break;
                }
                place = hashed.after(place);
            }
        }
        hashed
    }

    #[inline(always)]
    fn place(&self, key: u32) -> usize {
        // Fibonacci hashing: the top bits of a product with 2^64 divided by the golden ratio.
        (u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline(always)]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }

    /// Whether it was made of no entries.
    #[inline]
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The value for `key`.
    #[inline]
    #[must_use]
    pub(crate) fn get(&self, key: u32) -> Option<u32> {
        let mut place = self.place(key);
        loop {
            match self.slots.get(place)? {
                (_, 0) => return None,
                (found, value) if *found == key => return Some(*value),
                _ => place = self.after(place),
            }
        }
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = u32> {
        self.slots
            .iter()
            .map(|(_, value)| *value)
            .filter(|value| *value != 0)
    }
}
