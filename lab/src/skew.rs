//! A load that is skewed on purpose: what one router is in charge of sends much more than the rest. A group that knows its end systems
//! is started with reviews held back, so that the skew can be seen, and let go.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::group::Group;
use crate::topology::sharing::{KEYS, Setup, Sharing};
use crate::{LabError, Result, poll};

/// The time that routers average over.
pub const WINDOW: Duration = Duration::from_secs(3);
/// The time from one review to the next.
pub const HOLD: Duration = Duration::from_secs(4);
/// How much more than its share a router may have, in percent.
pub const TOLERANCE_PERCENT: u8 = 5;
/// A threshold that no router reaches.
const NEVER_MBIT: u32 = 1_000_000;

/// Datagrams a second of the heavy router's end systems, and of every other one. Whoever has three of the first or more has more than twice
/// the mean of three routers, and they can be divided by three to within the tolerance.
const HEAVY_PPS: [u64; 5] = [400, 200, 200, 160, 160];
const LIGHT_PPS: u64 = 40;

/// Which end system sends how much.
#[derive(Clone, Debug)]
pub struct Skew {
    pps: Vec<u64>,
    routers: u8,
}

/// A configuration for `hosts` end systems that are all known beforehand, under which reviews are as quick as a demonstration needs, and
/// none is asked for because of a rate until [`let_go`] is called.
#[must_use]
pub fn setup(hosts: u8) -> Setup {
    let systems: Vec<String> = (0..hosts)
        .map(|host| format!("\"{}\"", Sharing::host(host)))
        .collect();
    Setup {
        sharing: Some(format!(
            "{KEYS}\nend-systems = [{}]\nreview-window = \"{}s\"\nreview-hold = \"{}s\"\n\
             review-rate-mbit = {NEVER_MBIT}\ntolerance-percent = {TOLERANCE_PERCENT}\n",
            systems.join(", "),
            WINDOW.as_secs(),
            HOLD.as_secs(),
        )),
        ..Setup::default()
    }
}

/// Has a router ask for a review from so many Mbit/s on.
///
/// # Errors
/// When it does not run, or refuses.
pub fn let_go(group: &Group<'_>, router: u8, mbit: u32) -> Result<()> {
    let command = format!("set review-threshold rate {mbit}");
    group.router(router)?.ask(&command).map(drop)
}

impl Skew {
    /// Makes one router heavy, by what the routers of a group are in charge of at present.
    ///
    /// # Errors
    /// When that router has fewer than three end systems, or more than there are rates for.
    pub fn of(group: &Group<'_>, hosts: u8, heavy: u8) -> Result<Self> {
        let in_charge = group.in_charge()?;
        let mut heavies = HEAVY_PPS.into_iter();
        let pps: Vec<u64> = (0..hosts)
            .map(
                |host| match in_charge.get(&Sharing::host(host).to_string()) {
                    Some(router) if *router == heavy => heavies.next().unwrap_or(LIGHT_PPS),
                    _ => LIGHT_PPS,
                },
            )
            .collect();
        let skew = Self {
            pps,
            routers: group.count(),
        };
        if skew.max_over_mean(&in_charge) <= 2.0 {
            return Err(LabError::Unreadable {
                what: format!("a skew towards router {}", heavy + 1),
                text: format!("{in_charge:?}"),
            });
        }
        Ok(skew)
    }

    /// Datagrams a second of an end system.
    #[must_use]
    pub fn pps(&self, host: u8) -> u64 {
        self.pps.get(usize::from(host)).copied().unwrap_or_default()
    }

    /// Datagrams a second that each router is in charge of.
    #[must_use]
    pub fn shares(&self, in_charge: &BTreeMap<String, u8>) -> Vec<u64> {
        let mut shares = vec![0; usize::from(self.routers)];
        for (host, pps) in (0..).zip(&self.pps) {
            let router = in_charge.get(&Sharing::host(host).to_string());
            if let Some(share) = router.and_then(|router| shares.get_mut(usize::from(*router))) {
                *share += pps;
            }
        }
        shares
    }

    /// What the most loaded router is in charge of, as a multiple of the mean.
    #[must_use]
    pub fn max_over_mean(&self, in_charge: &BTreeMap<String, u8>) -> f64 {
        crate::carried::max_over_mean(&self.shares(in_charge))
    }

    /// The same as a multiple of what is possible: the larger of the mean and of the heaviest end system.
    #[must_use]
    pub fn over_bound(&self, in_charge: &BTreeMap<String, u8>) -> f64 {
        let shares = self.shares(in_charge);
        let mean = self.pps.iter().sum::<u64>() as f64 / f64::from(self.routers.max(1));
        let heaviest = self.pps.iter().copied().max().unwrap_or_default() as f64;
        let most = shares.into_iter().max().unwrap_or_default() as f64;
        most / mean.max(heaviest)
    }

    /// Waits until no router has more than `over_bound` of what is possible, and nothing moves; who is in charge of what then.
    ///
    /// # Errors
    /// When that does not come about in time.
    pub fn wait_until_balanced(
        &self,
        group: &Group<'_>,
        over_bound: f64,
        deadline: Duration,
    ) -> Result<BTreeMap<String, u8>> {
        poll::until("a balanced load", deadline, || {
            let in_charge = group.in_charge()?;
            let balanced = self.over_bound(&in_charge) <= over_bound && group.is_quiet()?;
            Ok(balanced.then_some(in_charge))
        })
    }
}

/// Waits until every end system is in the table, every router has at least three of them, and nothing moves any more.
///
/// # Errors
/// When that does not come about in time.
pub fn wait_until_shared(group: &Group<'_>, hosts: u8, deadline: Duration) -> Result<()> {
    poll::until("three end systems for every router", deadline, || {
        let in_charge = group.in_charge()?;
        let of = |router| {
            let hosts = (0..hosts).map(|host| Sharing::host(host).to_string());
            hosts
                .filter(|host| in_charge.get(host) == Some(&router))
                .count()
        };
        Ok((0..group.count())
            .all(|router| of(router) >= 3)
            .then_some(()))
    })?;
    group.wait_until_agreed(deadline)
}
