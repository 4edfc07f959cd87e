//! `show moves`: conditions on their way from one router to another, as far as this router has a part in it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::table::Table;
use super::{cut, cut_notice};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// The groups that share their load, by port and VRID.
    pub groups: Vec<GroupMoves>,
}

/// One group's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupMoves {
    port: String,
    vrid: u8,
    total: usize,
    moves: Vec<Move>,
    counters: BTreeMap<&'static str, u64>,
}

/// A move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Who hands over.
    pub from: Ipv4Addr,
    /// Who takes over.
    pub to: Ipv4Addr,
    /// The counter of the epoch that ordered it.
    pub epoch: u32,
    /// The allocation that ordered it.
    pub generation: u32,
    /// Which part of what that allocation moves from the one to the other.
    pub batch: u16,
    /// How far it is here.
    pub status: &'static str,
    /// How many conditions it moves.
    pub conditions: usize,
    /// The first of them.
    pub first: String,
}

impl GroupMoves {
    /// Of one group, with as many of its moves as one answer shows.
    pub fn new(
        port: String,
        vrid: u8,
        moves: impl IntoIterator<Item = Move>,
        counters: BTreeMap<&'static str, u64>,
    ) -> Self {
        let (total, moves) = cut(moves);
        Self {
            port,
            vrid,
            total,
            moves,
            counters,
        }
    }
}

impl Moves {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&[
            "port",
            "vrid",
            "from",
            "to",
            "generation",
            "epoch",
            "batch",
            "status",
            "conditions",
            "first",
        ]);
        let mut notices = String::new();
        for group in &self.groups {
            for one in &group.moves {
                table.row(&[
                    &group.port,
                    &group.vrid,
                    &one.from,
                    &one.to,
                    &one.generation,
                    &one.epoch,
                    &one.batch,
                    &one.status,
                    &one.conditions,
                    &one.first,
                ]);
            }
            notices += &cut_notice(group.moves.len(), group.total);
            for (name, count) in group.counters.iter().filter(|(_, count)| **count > 0) {
                notices += &format!("{} {} {name}: {count}\n", group.port, group.vrid);
            }
        }
        format!("{table}{notices}")
    }
}
