//! `show counters`: every counter of the router, in groups.

use std::fmt::Display;

use serde::{Serialize, Serializer};

/// The answer: in JSON an object of objects, group by group, with every counter; as a table what is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The groups.
    pub groups: Vec<CounterGroup>,
}

/// Counters of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterGroup {
    /// What counted, as in `discards`; the field's name.
    pub name: &'static str,
    /// Each counter with its name, in a fixed order.
    pub counters: Vec<(String, u64)>,
}

impl Counters {
    /// Adds a group.
    pub fn group<N: Display>(
        &mut self,
        name: &'static str,
        counters: impl IntoIterator<Item = (N, u64)>,
    ) {
        let counters = counters
            .into_iter()
            .map(|(name, count)| (name.to_string(), count))
            .collect();
        self.groups.push(CounterGroup { name, counters });
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for group in &self.groups {
            let moved: Vec<_> = group
                .counters
                .iter()
                .filter(|(_, count)| *count != 0)
                .cloned()
                .collect();
            let zero = group.counters.len() - moved.len();
            text.push_str(&format!("{}: {zero} at zero\n", group.name));
            let width = moved.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, count) in moved {
                text.push_str(&format!("  {name:<width$}  {count}\n"));
            }
        }
        text
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Map<'a>(&'a [(String, u64)]);
        impl Serialize for Map<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                as_map(self.0, serializer)
            }
        }
        serializer.collect_map(
            self.groups
                .iter()
                .map(|group| (group.name, Map(&group.counters))),
        )
    }
}

/// Names and counts as an object.
pub(super) fn as_map<S: Serializer>(
    counters: &[(String, u64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counters.iter().map(|(name, count)| (name, count)))
}

/// Names and counts, one a line.
pub(super) fn lines(counters: &[(String, u64)]) -> String {
    counters
        .iter()
        .map(|(name, count)| format!("{name}: {count}\n"))
        .collect()
}
