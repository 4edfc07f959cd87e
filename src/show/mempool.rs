//! `show mempool`: the pools of packet buffers.

use serde::Serialize;

use super::table::Table;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mempool {
    /// The pools.
    pub pools: Vec<Pool>,
}

/// One pool; its counts are a moment's, taken while the workers go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Buffers that it has.
    pub mbufs: u32,
    /// Buffers that are free.
    pub available: u32,
    /// Buffers that hold a packet, or wait in a queue to receive one.
    pub in_use: u32,
}

impl Mempool {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["pool", "mbufs", "available", "in use"]);
        for pool in &self.pools {
            table.row(&[&pool.name, &pool.mbufs, &pool.available, &pool.in_use]);
        }
        table.to_string()
    }
}
