//! What each router carries towards the servers, as the network itself counts it.

use std::time::Instant;

use crate::Result;
use crate::topology::sharing::{CARRIER, Sharing};

/// Octets that each router had sent towards the servers at a time.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    octets: Vec<u64>,
}

impl Reading {
    /// As it is now.
    ///
    /// # Errors
    /// When an interface is gone.
    pub fn take(net: &Sharing) -> Result<Self> {
        let routers = (0..).zip(&net.routers);
        Ok(Self {
            at: Instant::now(),
            octets: routers
                .map(|(router, _)| net.router_end(router, CARRIER).statistic("tx_bytes"))
                .collect::<Result<_>>()?,
        })
    }

    /// Bit/s of each router from an earlier reading to this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Vec<u64> {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        let pairs = earlier.octets.iter().zip(&self.octets);
        pairs
            .map(|(then, now)| (now.saturating_sub(*then) as f64 * 8.0 / seconds) as u64)
            .collect()
    }

    /// Seconds from an earlier reading to this one.
    #[must_use]
    pub fn seconds_since(&self, earlier: &Self) -> f64 {
        self.at.duration_since(earlier.at).as_secs_f64()
    }
}

/// The largest of several loads, as a multiple of their mean; 0 without any.
#[must_use]
pub fn max_over_mean(loads: &[u64]) -> f64 {
    let total: u64 = loads.iter().sum();
    let most = loads.iter().copied().max().unwrap_or_default();
    match total {
        0 => 0.0,
        total => most as f64 * loads.len() as f64 / total as f64,
    }
}
