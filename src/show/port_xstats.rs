//! `show port xstats`: a port's extended counters, as its driver names them.

use serde::Serialize;

use super::counters::{as_map, lines};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortXstats {
    /// The ports asked for.
    pub ports: Vec<ExtendedCounters>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtendedCounters {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Each counter with the driver's name for it, in the driver's order.
    #[serde(serialize_with = "as_map")]
    pub xstats: Vec<(String, u64)>,
}

impl PortXstats {
    pub(super) fn table(&self) -> String {
        let port = |port: &ExtendedCounters| {
            format!(
                "###### NIC extended statistics for port {} ({})\n{}",
                port.number,
                port.name,
                lines(&port.xstats)
            )
        };
        self.ports.iter().map(port).collect()
    }
}
