//! Slices in which every index names a place.

/// A slice of 2ⁿ values, in which an index names the place that its lowest n bits say: no look-up needs a check.
#[derive(Debug)]
pub struct Masked<'a, T>(&'a [T]);

impl<'a, T> Masked<'a, T> {
    /// None of a slice whose length is no power of two.
    #[inline(always)]
    #[must_use]
    pub fn new(values: &'a [T]) -> Option<Self> {
        values.len().is_power_of_two().then_some(Self(values))
    }

    /// The value at the place that the lowest bits of `index` name.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, index: u32) -> &'a T {
        let place = index as usize & (self.0.len() - 1);
        // SAFETY: the length is a power of two, so that there is a place, and none of its lower bits together come to it.
        unsafe { self.0.get_unchecked(place) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_names_the_place_of_its_lowest_bits() {
        let values: Vec<u32> = (0..64).collect();
        for length in [1, 2, 8, 64] {
            let masked = Masked::new(&values[..length]).unwrap();
            for index in (0..200).chain([u32::MAX - 1, u32::MAX]) {
                assert_eq!(*masked.at(index), index % length as u32);
            }
        }
        assert!(
            [0, 3, 12, 63]
                .iter()
                .all(|&length| Masked::new(&values[..length]).is_none())
        );
    }
}
