//! Instants, and the moments that every entry of this crate takes. Nothing here, or anywhere in the crate, reads a clock.

use std::ops::Add;
use std::time::Duration;

/// An instant: nanoseconds since an arbitrary start chosen by the driver.
///
/// The driver must take it from a clock that goes on while the process is stopped
/// (`CLOCK_BOOTTIME` or `CLOCK_MONOTONIC`, the TSC), or a stall could not be noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The start.
    pub const ZERO: Time = Time(0);

    /// The instant `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at the end of the range, some 584 years after the start.
    fn add(self, duration: Duration) -> Time {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

/// Now, and up to when this router has listened.
///
/// The two differ when somebody between the wire and this crate was not there for a while: frames may then wait in a queue
/// that nobody has looked into, and silence says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: Time,
    /// Everything that had arrived by then has been handed over, or is before the next tick. Not later than `now`.
    pub heard: Time,
}

impl From<Time> for Moment {
    /// Nobody stands between: everything that has arrived is handed over at once.
    fn from(now: Time) -> Moment {
        Moment { now, heard: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_instead_of_wrapping() {
        let late = Time::from_nanos(u64::MAX - 1);
        assert_eq!(late + Duration::from_secs(1), Time::from_nanos(u64::MAX));
        assert_eq!(late + Duration::MAX, Time::from_nanos(u64::MAX));
        assert_eq!(Time::ZERO.since(late), Duration::ZERO);
    }
}
