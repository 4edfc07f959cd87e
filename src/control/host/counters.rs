//! What the host counts. The console and the telemetry show each under the name given here.

/// Declares counters once: the fields, and the names under which they are shown.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident = $shown:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $name {
            /// Every counter with its name, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($shown, self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// What ARP received, and what was wrong with it.
    ArpCounters {
        /// Requests for an address that is answered for here.
        requests_for_us = "arp-requests-for-us",
        /// Requests for the virtual address, which its master answers, not this router.
        requests_for_master = "arp-requests-for-master",
        /// Requests for other addresses.
        requests_for_others = "arp-requests-for-others",
        /// Replies.
        replies = "arp-replies",
        /// Answers sent.
        answers_sent = "arp-answers-sent",
        /// Announcements (gratuitous ARP) sent.
        announcements_sent = "arp-announcements-sent",
        /// Frames too short for a packet.
        short = "arp-short",
        /// Packets for other link layers than Ethernet.
        hardware = "arp-hardware",
        /// Packets for other protocols than IPv4.
        protocol = "arp-protocol",
        /// Packets that are neither request nor reply.
        operation = "arp-operation",
        /// Packets of this router itself that came back.
        looped = "arp-looped",
        /// Sender link addresses that no station has: zero, multicast, broadcast.
        sender_mac = "arp-sender-mac",
        /// Sender addresses that no host has: loopback, multicast, a network's first or broadcast address, …
        sender_martian = "arp-sender-martian",
        /// Sender addresses outside the networks of the port.
        sender_off_link = "arp-sender-off-link",
        /// Another station claims an address of this router, or the virtual address with a MAC other than the virtual one.
        conflicts = "arp-conflicts",
    }
}

counters! {
    /// The neighbour cache, and the packets that wait in it.
    NeighbourCounters {
        /// Resolutions begun.
        resolutions = "neighbour-resolutions",
        /// Resolutions that ended with an address.
        resolved = "neighbour-resolved",
        /// Resolutions given up, because nobody answered.
        gave_up = "neighbour-gave-up",
        /// Resolutions not begun, because too many had just been.
        refused_rate = "neighbour-refused-rate",
        /// Resolutions not begun, because too many neighbours are not resolved, or the cache is full.
        refused_full = "neighbour-refused-full",
        /// Requests sent to everyone.
        requests_sent = "neighbour-requests-sent",
        /// Requests sent to the neighbour alone, to learn whether it is still there.
        probes_sent = "neighbour-probes-sent",
        /// Neighbours learned because they asked for this router.
        learned = "neighbour-learned",
        /// Neighbours not learned, because the cache is full.
        not_learned_full = "neighbour-not-learned-full",
        /// Neighbours that moved to another link address.
        moved = "neighbour-moved",
        /// Neighbours forgotten, because they answered no probe.
        aged_out = "neighbour-aged-out",
        /// Packets that had to wait.
        packets_queued = "neighbour-packets-queued",
        /// Packets that had waited and went on.
        packets_released = "neighbour-packets-released",
        /// Packets that had waited in vain.
        packets_failed = "neighbour-packets-failed",
        /// Packets dropped while they waited, because newer ones took their place.
        packets_overflowed = "neighbour-packets-overflowed",
        /// Packets dropped, because a resolution could not begin.
        packets_refused = "neighbour-packets-refused",
        /// Packets dropped while they waited, because their port or neighbour was removed.
        packets_flushed = "neighbour-packets-flushed",
    }
}

counters! {
    /// Packets that the workers could not finish, or that are for this router.
    PacketCounters {
        /// Frames that are neither ARP nor IPv4.
        other_protocol = "host-other-protocol",
        /// Frames too short or with an IPv4 header that says the impossible.
        malformed = "host-malformed",
        /// Frames from a port that does not exist.
        no_port = "host-no-port",
        /// Packets from an address that no host has.
        martian_source = "host-martian-source",
        /// Packets for a group or a broadcast address, by their IP or their link address.
        not_unicast = "host-not-unicast",
        /// Packets to go on, given to the neighbour cache; the fragmented ones included.
        forwarded = "host-forwarded",
        /// Packets cut into fragments.
        fragmented = "host-fragmented",
        /// Packets that could not be cut.
        not_fragmented = "host-not-fragmented",
        /// Packets for which a route says that they be dropped silently.
        blackhole = "host-blackhole",
        /// Packets without a route, or whose route says unreachable.
        unreachable = "host-unreachable",
        /// Packets whose time to live ended here.
        ttl_exceeded = "host-ttl-exceeded",
        /// Packets longer than the next network takes, that may not be cut.
        too_long = "host-too-long",
        /// Packets whose neighbour could not be found.
        neighbour_unreachable = "host-neighbour-unreachable",
        /// Echo requests answered.
        echo_answered = "host-echo-answered",
        /// Echo replies to this router.
        echo_replies = "host-echo-replies",
        /// Information replies to this router.
        information_replies = "host-information-replies",
        /// Other ICMP messages for this router.
        icmp_ignored = "host-icmp-ignored",
        /// UDP datagrams for a port where nobody listens.
        port_unreachable = "host-port-unreachable",
        /// TCP segments for a port where nobody listens.
        connection_refused = "host-connection-refused",
        /// Packets of other protocols for this router.
        protocol_unreachable = "host-protocol-unreachable",
        /// Packets for this router whose ICMP, UDP or TCP header is wrong.
        bad_payload = "host-bad-payload",
        /// Packets for the virtual address while another router is its master.
        virtual_of_master = "host-virtual-of-master",
        /// Packets for a virtual address at which none are accepted (`Accept_Mode` of RFC 9568 section 6.1).
        virtual_not_accepted = "host-virtual-not-accepted",
        /// Packets of this router itself that have no way out.
        own_unroutable = "host-own-unroutable",
    }
}

counters! {
    /// Fragments of packets for this router.
    ReassemblyCounters {
        /// Fragments received.
        fragments = "reassembly-fragments",
        /// Packets put together.
        reassembled = "reassembly-reassembled",
        /// Fragments of an impossible length or place.
        malformed = "reassembly-malformed",
        /// Fragments that were here already.
        repeated = "reassembly-repeated",
        /// Packets dropped, because two of their fragments contradict each other.
        overlapping = "reassembly-overlapping",
        /// Packets dropped, because a fragment did not come in time.
        timed_out = "reassembly-timed-out",
        /// Packets dropped, because newer ones needed the room.
        displaced = "reassembly-displaced",
    }
}

counters! {
    /// The ICMP errors sent, and those not sent (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2).
    IcmpCounters {
        /// Destination unreachable, fragmentation needed apart.
        unreachable_sent = "icmp-unreachable-sent",
        /// Fragmentation needed.
        fragmentation_needed_sent = "icmp-fragmentation-needed-sent",
        /// Time exceeded.
        time_exceeded_sent = "icmp-time-exceeded-sent",
        /// TCP resets; no ICMP, but limited by a rate in the same way.
        tcp_reset_sent = "icmp-tcp-reset-sent",
        /// Not sent, because the rate was exceeded.
        rate_limited = "icmp-rate-limited",
        /// Not sent about an ICMP error, or about ICMP whose type cannot be read.
        about_error = "icmp-about-error",
        /// Not sent about a fragment other than the first.
        about_fragment = "icmp-about-fragment",
        /// Not sent about a packet that was sent to many, by its IP or its link address.
        about_broadcast = "icmp-about-broadcast",
        /// Not sent to an address that is not one host's.
        to_martian = "icmp-to-martian",
        /// Not sent, because the port has no address to send from.
        no_source = "icmp-no-source",
    }
}

/// Everything that the host counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// ARP received and answered.
    pub arp: ArpCounters,
    /// The neighbour cache.
    pub neighbours: NeighbourCounters,
    /// Packets punted.
    pub packets: PacketCounters,
    /// Fragments of packets for this router.
    pub reassembly: ReassemblyCounters,
    /// ICMP errors.
    pub icmp: IcmpCounters,
}

impl Counters {
    /// Every counter with its name, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        self.arp
            .iter()
            .chain(self.neighbours.iter())
            .chain(self.packets.iter())
            .chain(self.reassembly.iter())
            .chain(self.icmp.iter())
    }
}
