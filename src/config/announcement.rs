//! The keys of `[[virtual-router]]` that say how a take-over is announced by gratuitous ARP.

use std::time::Duration;

use serde::Serialize;
use vrrpd::Announcements;

use super::section::{Mistakes, Section};
use super::value;

/// How a new master tells the hosts that the virtual addresses are with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnnouncementConfig {
    /// How often each address is announced.
    pub announce_rounds: u8,
    /// The time from one round to the next.
    #[serde(serialize_with = "value::serialize_duration")]
    pub announce_interval: Duration,
    /// Addresses announced in a millisecond.
    pub announce_burst: u8,
    /// How long after a round a master that stays master announces again; 0 for never.
    #[serde(serialize_with = "value::serialize_duration")]
    pub announce_refresh: Duration,
}

impl AnnouncementConfig {
    pub(super) fn read(table: &mut Section<'_, '_>, mistakes: &mut Mistakes) -> Self {
        let usual = Announcements::default();
        Self {
            announce_rounds: table
                .with_default(
                    mistakes,
                    "announce-rounds",
                    usual.rounds,
                    value::integer(1..=100, "rounds"),
                )
                .value,
            announce_interval: table
                .with_default(
                    mistakes,
                    "announce-interval",
                    usual.round_interval,
                    value::duration(Duration::from_millis(10)..=Duration::from_secs(60)),
                )
                .value,
            announce_burst: table
                .with_default(
                    mistakes,
                    "announce-burst",
                    usual.burst,
                    value::integer(1..=255, "addresses"),
                )
                .value,
            announce_refresh: table
                .with_default(
                    mistakes,
                    "announce-refresh",
                    usual.refresh.unwrap_or_default(),
                    value::duration(Duration::ZERO..=Duration::from_secs(86_400)),
                )
                .value,
        }
    }

    pub(super) fn protocol(&self) -> Announcements {
        Announcements {
            rounds: self.announce_rounds,
            round_interval: self.announce_interval,
            burst: self.announce_burst,
            refresh: (!self.announce_refresh.is_zero()).then_some(self.announce_refresh),
            ..Announcements::default()
        }
    }
}
