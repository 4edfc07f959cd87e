//! What virtual routers watch, told to those that do.

use vrrpd::Moment;

use super::{GroupKey, Vrrp};
use crate::control::vrrp::config::Watch;
use crate::control::vrrp::tracking::Verdict;

impl Vrrp {
    /// Tells a virtual router what is known of its tracks.
    pub(super) fn tell_tracks(&mut self, at: Moment, key: GroupKey) {
        let Some(group) = self.groups.get(&key) else {
            return;
        };
        let known: Vec<(String, bool)> = group
            .config
            .tracked
            .iter()
            .filter_map(|tracked| {
                let holds = match &tracked.watch {
                    Watch::Port { index, .. } => Some(self.link_up(*index)),
                    Watch::Address(watch) => self.tracker.holds(watch),
                };
                Some((tracked.watch.name(), holds?))
            })
            .collect();
        for (name, holds) in known {
            self.enter(at, key, |router| router.track_changed(at, &name, holds));
        }
    }

    /// Tells everyone who watches an address what is new of it.
    pub(super) fn note(&mut self, at: Moment, (address, holds): Verdict) {
        let to = address.address;
        tracing::info!(
            "address {to} {}",
            if holds { "answers" } else { "does not answer" }
        );
        let is_meant = |watch: &Watch| matches!(watch, Watch::Address(of) if *of == address);
        self.report(at, holds, is_meant);
    }

    /// Tells every virtual router that tracks such a thing whether it holds.
    pub(super) fn report(&mut self, at: Moment, holds: bool, is_meant: impl Fn(&Watch) -> bool) {
        let concerned: Vec<(GroupKey, String)> = self
            .groups
            .iter()
            .flat_map(|(key, group)| {
                let tracked = group.config.tracked.iter();
                let meant = tracked.filter(|tracked| is_meant(&tracked.watch));
                meant.map(|tracked| (*key, tracked.watch.name()))
            })
            .collect();
        for (key, name) in concerned {
            self.enter(at, key, |router| router.track_changed(at, &name, holds));
        }
    }
}
