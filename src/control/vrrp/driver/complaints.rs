//! Which packets that are refused, or odd, the operator is told of: the first of each kind at once, and of those that go on one
//! in a long while. Whoever wonders why there are two masters finds the reason in the log, and a flood fills no disk.

use std::collections::HashMap;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::time::Duration;

use vrrpd::{Mismatch, Moment, Refusal, Time};

use super::{GroupKey, Vrrp};

/// How long nothing is said of a kind that has been told of.
const SILENCE: Duration = Duration::from_secs(600);

/// What there is to complain about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Complaint {
    /// The packet was refused.
    Refused(Refusal),
    /// It was accepted.
    Mismatch(Mismatch),
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::Refused(refusal) => write!(f, "VRRP packet refused: {refusal}"),
            Complaint::Mismatch(mismatch) => mismatch.fmt(f),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Refused(Discriminant<Refusal>),
    Mismatch(Discriminant<Mismatch>),
}

impl From<Complaint> for Kind {
    fn from(complaint: Complaint) -> Kind {
        match complaint {
            Complaint::Refused(refusal) => Kind::Refused(discriminant(&refusal)),
            Complaint::Mismatch(mismatch) => Kind::Mismatch(discriminant(&mismatch)),
        }
    }
}

/// What was told, by virtual router and kind; their number bounds it.
#[derive(Debug, Default)]
pub(super) struct Complaints(HashMap<(GroupKey, Kind), Told>);

#[derive(Debug)]
struct Told {
    at: Time,
    /// How many came since.
    since: u64,
}

impl Complaints {
    /// Whether to tell of this one: then how many of its kind were not told of since the last.
    fn take(&mut self, now: Time, key: GroupKey, kind: Kind) -> Option<u64> {
        let first = Told { at: now, since: 0 };
        let Some(told) = self.0.get_mut(&(key, kind)) else {
            self.0.insert((key, kind), first);
            return Some(0);
        };
        if now.since(told.at) < SILENCE {
            told.since += 1;
            return None;
        }
        Some(std::mem::replace(told, first).since)
    }

    /// A virtual router that is gone has told of nothing.
    pub(super) fn forget(&mut self, key: GroupKey) {
        self.0.retain(|(of, _), _| *of != key);
    }
}

impl Vrrp {
    /// Tells the operator of a packet from `from`, unless one like it was told of lately.
    pub(super) fn complain(
        &mut self,
        at: Moment,
        key: GroupKey,
        from: IpAddr,
        complaint: Complaint,
    ) {
        let Some(untold) = self.complaints.take(at.now, key, complaint.into()) else {
            return;
        };
        let port = self.groups.get(&key);
        let port = port.map_or("", |group| group.config.port_name.as_str());
        tracing::warn!(port, vrid = key.vrid, %from, untold, "{complaint}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupKey = GroupKey { port: 0, vrid: 7 };

    #[test]
    fn of_each_kind_and_group_one_is_told_at_once_and_one_in_a_long_while() {
        let mut complaints = Complaints::default();
        let mut told = |second, key, refusal| {
            let now = Time::ZERO + Duration::from_secs(second);
            complaints.take(now, key, Complaint::Refused(refusal).into())
        };
        assert_eq!(told(0, GROUP, Refusal::Checksum), Some(0));
        assert_eq!(told(1, GROUP, Refusal::Checksum), None);
        assert_eq!(told(599, GROUP, Refusal::Checksum), None);
        assert_eq!(told(599, GROUP, Refusal::Password), Some(0));
        let other = GroupKey { vrid: 8, ..GROUP };
        assert_eq!(told(599, other, Refusal::Checksum), Some(0));
        // Of one kind whatever the packet said in detail.
        let ttl = |received| Refusal::Ttl {
            received,
            required: 255,
        };
        assert_eq!(told(599, GROUP, ttl(1)), Some(0));
        assert_eq!(told(599, GROUP, ttl(2)), None);
        assert_eq!(told(600, GROUP, Refusal::Checksum), Some(2));
        assert_eq!(told(601, GROUP, Refusal::Checksum), None);
    }

    #[test]
    fn a_group_that_comes_anew_is_told_of_anew() {
        let mut complaints = Complaints::default();
        let kind = || Complaint::Refused(Refusal::Checksum).into();
        assert!(complaints.take(Time::ZERO, GROUP, kind()).is_some());
        complaints.forget(GROUP);
        assert!(complaints.take(Time::ZERO, GROUP, kind()).is_some());
    }
}
