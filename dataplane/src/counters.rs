//! What workers count. Each worker writes its own counters with plain stores; whoever asks adds them up.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owner may.
    #[inline(always)]
    pub fn add(&self, amount: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }

    /// Sets a gauge; only the owner may.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counted {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in tables, JSON and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

counted! {
    /// Why a frame was discarded. A frame counts under exactly one reason.
    DiscardReason {
        /// Shorter than an Ethernet header.
        Runt = "runt",
        /// Spread over several buffers: larger than the port's MTU allows.
        Chained = "chained",
        /// VLAN-tagged; there are no sub-interfaces.
        Vlan = "vlan",
        /// From the port's own MAC: a loop, or somebody who took the address.
        OwnSource = "own-source",
        /// From the virtual MAC of a group on this port, from which nobody may send: it teaches the switch.
        VirtualSource = "virtual-source",
        /// From a multicast MAC, which is nobody's.
        MulticastSource = "multicast-source",
        /// Unicast for another MAC, the virtual MAC of a group that is not here included.
        NotForUs = "not-for-us",
        /// IPv6, which is not routed yet.
        Ipv6 = "ipv6",
        /// Neither IPv4 nor ARP nor IPv6.
        UnknownProtocol = "unknown-protocol",
        /// The frame ends within the IPv4 header.
        ShortHeader = "short-header",
        /// IP version other than 4.
        BadVersion = "bad-version",
        /// An IPv4 header shorter than 20 octets, or longer than the packet.
        BadHeaderLength = "bad-header-length",
        /// A total length below the header's, or beyond the frame.
        BadTotalLength = "bad-total-length",
        /// The header checksum is wrong.
        BadChecksum = "bad-checksum",
        /// Received with a TTL of zero.
        TtlZero = "ttl-zero",
        /// A source that no other host can have: 0/8, 127/8, 224/3, or one of this router's own addresses.
        MartianSource = "martian-source",
        /// A destination that nobody can have: 0/8, 127/8, 240/4.
        MartianDestination = "martian-destination",
        /// An IPv4 multicast that this router is not part of.
        Multicast = "multicast",
        /// The limited broadcast address, or a directed broadcast (RFC 2644).
        Broadcast = "broadcast",
        /// A unicast packet in a broadcast or multicast frame (RFC 1812 section 5.3.4).
        UnicastInBroadcast = "unicast-in-broadcast",
        /// A source-route option.
        SourceRoute = "source-route",
        /// Options that do not fit each other or the header.
        BadOption = "bad-option",
        /// Another router of the group is in charge of it.
        NotInCharge = "not-in-charge",
        /// Held during a move, and accepted by the router that was in charge before.
        AcceptedBefore = "accepted-before",
        /// To be held, and the backlog is full.
        HoldOverflow = "hold-overflow",
        /// Waiting for its next hop's link address, and newer ones took its place, or too many next hops are asked for.
        NeighbourOverflow = "neighbour-overflow",
        /// A route that leads nowhere, silently.
        Blackhole = "blackhole",
        /// The egress is congested and the backlog is full.
        EgressOverflow = "egress-overflow",
        /// The control thread's ring for VRRP is full.
        PuntVrrpOverflow = "punt-vrrp-overflow",
        /// The control thread's ring for ARP is full.
        PuntArpOverflow = "punt-arp-overflow",
        /// The control thread's ring for the rest is full.
        PuntRestOverflow = "punt-rest-overflow",
    }
}

counted! {
    /// The rings to the control thread, in the order in which it empties them.
    PuntClass {
        /// VRRP.
        Vrrp = "vrrp",
        /// ARP.
        Arp = "arp",
        /// Everything else.
        Rest = "rest",
    }
}

counted! {
    /// Why a frame went to the control thread.
    PuntCause {
        /// VRRP, an advertisement or a message of the extension.
        Vrrp = "vrrp",
        /// ARP.
        Arp = "arp",
        /// For an address of this router.
        ForUs = "for-us",
        /// The next hop's MAC is not to be found out, or not for a packet like this one.
        NoNeighbour = "no-neighbour",
        /// The TTL would become zero.
        TtlExceeded = "ttl-exceeded",
        /// No route, or one that says so.
        Unreachable = "unreachable",
        /// Too large for the next network, and not to be cut.
        FragmentationNeeded = "fragmentation-needed",
        /// Too large for the next network, to be cut.
        Fragment = "fragment",
    }
}

/// A worker's counters of one port.
#[derive(Debug, Default)]
pub struct PortCounters {
    /// Frames received.
    pub rx_packets: Counter,
    /// Octets received.
    pub rx_octets: Counter,
    /// Frames sent.
    pub tx_packets: Counter,
    /// Octets sent.
    pub tx_octets: Counter,
    /// Frames that wait for this egress.
    pub backlog: Counter,
    /// Frames that had to wait, since the start.
    pub congested: Counter,
}

/// All counters of one worker.
#[derive(Debug)]
pub struct WorkerCounters {
    /// By port index.
    pub ports: Box<[PortCounters]>,
    discards: [Counter; DiscardReason::COUNT],
    punts: [Counter; PuntCause::COUNT],
    /// Rounds that moved a frame or took a command.
    pub busy_rounds: Counter,
    /// Rounds that found nothing to do.
    pub idle_rounds: Counter,
    /// Frames that wait on hold.
    pub held: Counter,
    /// Frames that wait for their next hop's MAC.
    pub unresolved: Counter,
    /// Frames that had to, since the start.
    pub parked: Counter,
    /// Frames of the control thread that were sent, or queued to be; not those that found no room.
    pub control_frames: Counter,
    /// Fingerprints that gave way to later ones while a condition was given away.
    pub record_overflow: Counter,
    /// Addresses not offered to be learned, as the ring was full.
    pub learn_overflow: Counter,
}

impl WorkerCounters {
    /// All zero, for this number of ports.
    #[must_use]
    pub fn new(ports: usize) -> Self {
        Self {
            ports: (0..ports).map(|_| PortCounters::default()).collect(),
            discards: Default::default(),
            punts: Default::default(),
            busy_rounds: Counter::default(),
            idle_rounds: Counter::default(),
            held: Counter::default(),
            unresolved: Counter::default(),
            parked: Counter::default(),
            control_frames: Counter::default(),
            record_overflow: Counter::default(),
            learn_overflow: Counter::default(),
        }
    }

    /// The counter of one reason.
    #[inline(always)]
    #[must_use]
    pub fn discards(&self, reason: DiscardReason) -> &Counter {
        &self.discards[reason as usize]
    }

    /// The counter of one cause.
    #[inline(always)]
    #[must_use]
    pub fn punts(&self, cause: PuntCause) -> &Counter {
        &self.punts[cause as usize]
    }

    /// The values now.
    #[must_use]
    pub fn snapshot(&self) -> WorkerCounts {
        WorkerCounts {
            ports: self
                .ports
                .iter()
                .map(|port| PortCounts {
                    rx_packets: port.rx_packets.get(),
                    rx_octets: port.rx_octets.get(),
                    tx_packets: port.tx_packets.get(),
                    tx_octets: port.tx_octets.get(),
                    congested: port.congested.get(),
                    backlog: port.backlog.get(),
                })
                .collect(),
            discards: std::array::from_fn(|index| self.discards[index].get()),
            punts: std::array::from_fn(|index| self.punts[index].get()),
            busy_rounds: self.busy_rounds.get(),
            idle_rounds: self.idle_rounds.get(),
            control_frames: self.control_frames.get(),
            record_overflow: self.record_overflow.get(),
            learn_overflow: self.learn_overflow.get(),
            parked: self.parked.get(),
            held: self.held.get(),
            unresolved: self.unresolved.get(),
        }
    }
}

/// One worker's counts of one port, or all workers' added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounts {
    /// Frames received.
    pub rx_packets: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// Frames that had to wait for this egress.
    pub congested: u64,
    /// Frames that wait for this egress now.
    pub backlog: u64,
}

impl PortCounts {
    fn combine(
        &self,
        other: &Self,
        count: fn(u64, u64) -> u64,
        gauge: fn(u64, u64) -> u64,
    ) -> Self {
        Self {
            rx_packets: count(self.rx_packets, other.rx_packets),
            rx_octets: count(self.rx_octets, other.rx_octets),
            tx_packets: count(self.tx_packets, other.tx_packets),
            tx_octets: count(self.tx_octets, other.tx_octets),
            congested: count(self.congested, other.congested),
            backlog: gauge(self.backlog, other.backlog),
        }
    }
}

/// One worker's counts, or all workers' added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCounts {
    /// By port index.
    pub ports: Vec<PortCounts>,
    discards: [u64; DiscardReason::COUNT],
    punts: [u64; PuntCause::COUNT],
    /// Rounds that moved a frame or took a command.
    pub busy_rounds: u64,
    /// Rounds that found nothing to do.
    pub idle_rounds: u64,
    /// Frames sent for the control thread.
    pub control_frames: u64,
    /// Fingerprints that gave way to later ones while a condition was given away.
    pub record_overflow: u64,
    /// Addresses not offered to be learned, as the ring was full.
    pub learn_overflow: u64,
    /// Frames that had to wait for their next hop's MAC.
    pub parked: u64,
    /// Frames that wait on hold now.
    pub held: u64,
    /// Frames that wait for their next hop's MAC now.
    pub unresolved: u64,
}

impl WorkerCounts {
    /// All zero.
    #[must_use]
    pub fn zero(ports: usize) -> Self {
        WorkerCounters::new(ports).snapshot()
    }

    /// Frames discarded for one reason.
    #[must_use]
    pub fn discarded(&self, reason: DiscardReason) -> u64 {
        self.discards[reason as usize]
    }

    /// Frames discarded, for all reasons.
    #[must_use]
    pub fn discarded_total(&self) -> u64 {
        self.discards.iter().sum()
    }

    /// Frames that reached the control thread's rings for one cause.
    #[must_use]
    pub fn punted(&self, cause: PuntCause) -> u64 {
        self.punts[cause as usize]
    }

    fn combine(
        &self,
        other: &Self,
        count: fn(u64, u64) -> u64,
        gauge: fn(u64, u64) -> u64,
    ) -> Self {
        Self {
            ports: self
                .ports
                .iter()
                .zip(&other.ports)
                .map(|(one, two)| one.combine(two, count, gauge))
                .collect(),
            discards: std::array::from_fn(|index| {
                count(self.discards[index], other.discards[index])
            }),
            punts: std::array::from_fn(|index| count(self.punts[index], other.punts[index])),
            busy_rounds: count(self.busy_rounds, other.busy_rounds),
            idle_rounds: count(self.idle_rounds, other.idle_rounds),
            control_frames: count(self.control_frames, other.control_frames),
            record_overflow: count(self.record_overflow, other.record_overflow),
            learn_overflow: count(self.learn_overflow, other.learn_overflow),
            parked: count(self.parked, other.parked),
            held: gauge(self.held, other.held),
            unresolved: gauge(self.unresolved, other.unresolved),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.combine(other, u64::wrapping_add, u64::wrapping_add)
    }

    /// What was counted since `then`; what waits now is what waits now.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        self.combine(then, u64::wrapping_sub, |now, _| now)
    }
}

/// Every worker's counts at one moment, since the start or the last clearing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// By worker.
    pub workers: Vec<WorkerCounts>,
}

impl Counters {
    /// All workers added up.
    #[must_use]
    pub fn total(&self) -> WorkerCounts {
        let ports = self.workers.first().map_or(0, |worker| worker.ports.len());
        self.workers
            .iter()
            .fold(WorkerCounts::zero(ports), |sum, worker| sum.plus(worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let mut names: Vec<&str> = DiscardReason::ALL
            .iter()
            .map(|reason| reason.name())
            .collect();
        assert!(names.iter().all(|name| {
            name.bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        }));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DiscardReason::COUNT);
    }

    #[test]
    fn workers_add_up_and_clearing_leaves_what_waits() {
        let (one, two) = (WorkerCounters::new(2), WorkerCounters::new(2));
        one.discards(DiscardReason::Runt).add(3);
        one.ports[1].backlog.set(5);
        let then = Counters {
            workers: vec![one.snapshot(), two.snapshot()],
        };
        one.discards(DiscardReason::Runt).add(1);
        two.discards(DiscardReason::Runt).add(2);
        two.punts(PuntCause::Arp).add(1);
        let now = Counters {
            workers: vec![one.snapshot(), two.snapshot()],
        };
        let since = now.total().since(&then.total());
        assert_eq!(since.discarded(DiscardReason::Runt), 3);
        assert_eq!(since.discarded_total(), 3);
        assert_eq!(since.punted(PuntCause::Arp), 1);
        assert_eq!(since.ports[1].backlog, 5);
    }
}
