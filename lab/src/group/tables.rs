//! Whether a group's routers have the same tables, by what their commands show, and serve every condition exactly once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Group;
use crate::{LabError, Result, poll};

impl Group<'_> {
    /// Waits until the routers agree ([`Group::wait_until_agreed`]) and show the same tables, in which nothing is amiss ([`Group::amiss`]).
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what is amiss.
    pub fn wait_until_whole(&self, deadline: Duration) -> Result<()> {
        self.wait_until_agreed(deadline)?;
        let mut last = Vec::new();
        let whole = poll::until("equal tables", deadline, || {
            last = self.amiss()?;
            Ok(last.is_empty().then_some(()))
        });
        whole.map_err(|error| match error {
            LabError::Deadline {
                awaited, deadline, ..
            } => LabError::Deadline {
                awaited,
                deadline,
                detail: format!(":\n{}{}", last.join("\n"), self.said(30)),
            },
            other => other,
        })
    }

    /// Everything that is not as it has to be when nothing happens, in words: allocations or end systems that are not the same on
    /// two routers, conditions that are held, or routed by nobody or by two, and packets held back.
    ///
    /// # Errors
    /// When a router does not answer.
    pub fn amiss(&self) -> Result<Vec<String>> {
        let mut amiss = Vec::new();
        let mut first: Option<(u8, [Value; 2])> = None;
        let mut routing: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (index, router) in self.running() {
            let number = index + 1;
            let allocation = Self::shown(router, "show allocation")?;
            for row in rows(&allocation["conditions"]) {
                let condition = row["condition"].as_str().unwrap_or_default();
                let routers = routing.entry(condition.to_owned()).or_default();
                match row["verdict"].as_str() {
                    Some("route") => routers.push(index),
                    Some("discard") => {}
                    _ => amiss.push(format!("r{number} has {row}")),
                }
            }
            let end_systems = Self::shown(router, "show end-systems")?;
            let tables = [
                everywhere_the_same(allocation, "conditions", &["verdict"]),
                // Who allocates is the first to see one anew.
                everywhere_the_same(end_systems, "end_systems", &["seen", "seen_ms_ago"]),
            ];
            match &first {
                Some((of, known)) if *known != tables => amiss.push(format!(
                    "r{} has {known:?}, r{number} has {tables:?}",
                    of + 1
                )),
                Some(_) => {}
                None => first = Some((index, tables)),
            }
            let backlog = router.ask("show backlog")?;
            for worker in rows(&backlog["workers"]) {
                let held = rows(&worker["on_hold"]).chain(rows(&worker["waiting"]));
                amiss.extend(held.map(|held| format!("r{number} holds {held}")));
            }
        }
        let in_charge = self.in_charge()?;
        for (condition, routers) in routing {
            if in_charge.get(&condition).map(|router| vec![*router]) != Some(routers.clone()) {
                amiss.push(format!("{condition} is routed by {routers:?}"));
            }
        }
        Ok(amiss)
    }
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The table without what is each router's own.
fn everywhere_the_same(mut table: Value, list: &str, own: &[&str]) -> Value {
    for row in table[list].as_array_mut().into_iter().flatten() {
        if let Some(row) = row.as_object_mut() {
            row.retain(|field, _| !own.contains(&field.as_str()));
        }
    }
    table
}
