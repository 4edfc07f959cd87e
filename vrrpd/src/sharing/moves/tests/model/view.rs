//! What is to be seen of a run from outside.

use super::*;

impl Model {
    /// Whether anything is still kept anywhere.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.nodes.iter().filter(|node| node.alive).all(|node| {
            node.workers.iter().all(|worker| {
                worker.backlog.is_empty() && worker.held.values().all(VecDeque::is_empty)
            })
        })
    }

    /// Where the moves stand, for whoever has to find out why they stand there.
    pub(in super::super) fn state(&self) -> String {
        let mut lines = vec![format!("{:?}", self.settings)];
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            lines.push(format!(
                "{}: table {}, {} commands pending",
                router(number),
                node.table.generation,
                node.pending.len()
            ));
            for report in node.moves.reports() {
                lines.push(format!("  {}: {:?}", report.name, report.status));
            }
        }
        for (condition, row) in &self.nodes[0].table.rows {
            lines.push(format!("{condition}: {row:?}"));
        }
        lines.join("\n")
    }

    /// What the living routers counted.
    pub(in super::super) fn count(&self, counter: impl Fn(&Counters) -> u64) -> u64 {
        self.nodes
            .iter()
            .map(|node| counter(node.moves.counters()))
            .sum()
    }

    /// How many living routers route `condition`.
    pub(in super::super) fn routing(&self, condition: Condition) -> usize {
        self.nodes
            .iter()
            .filter(|node| node.alive && node.verdicts.get(&condition) == Some(&Verdict::Route))
            .count()
    }
}
