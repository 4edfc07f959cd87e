//! A set of conditions, made by the control thread and only read by workers.

use crate::hashed::Hashed;

/// Conditions, each with its place in the order in which they were given.
#[derive(Debug)]
pub struct ConditionSet {
    conditions: Box<[u32]>,
    /// Condition → place and one.
    places: Hashed,
}

impl ConditionSet {
    /// The set of these.
    #[must_use]
    pub fn new(conditions: &[u32]) -> Self {
        let mut conditions = conditions.to_vec();
        conditions.truncate(u32::MAX as usize - 1);
        Self {
            places: Hashed::new(
                conditions
                    .iter()
                    .copied()
                    .enumerate()
                    .map(|(place, condition)| (condition, place as u32 + 1)),
            ),
            conditions: conditions.into_boxed_slice(),
        }
    }

    /// All of them, in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.conditions
    }

    /// The place of a condition.
    #[inline]
    #[must_use]
    pub fn place(&self, condition: u32) -> Option<usize> {
        Some(self.places.get(condition)? as usize - 1)
    }

    /// Whether a condition is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, condition: u32) -> bool {
        self.places.get(condition).is_some()
    }
}
