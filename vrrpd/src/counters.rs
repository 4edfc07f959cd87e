//! What a virtual router counts. The names are those of the IETF VRRP YANG model (RFC 8347) wherever it has one.

/// Declares the counters once: the fields, and the names under which they are shown.
macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident = $name:literal,)*) => {
        /// The counters of one virtual router. All are monotonic until [cleared](crate::VirtualRouter::clear_counters).
        ///
        /// Those marked *global* stand in RFC 8347's container for the whole system; the sum over all
        /// virtual routers, and over what no virtual router was found for, is that model's value.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Counters {
            /// Every counter with its name, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($name, self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Times this router became master.
    master_transitions = "master-transitions",
    /// Advertisements accepted, those of priority 0 included.
    advertisement_rcvd = "advertisement-rcvd",
    /// Advertisements sent, those of priority 0 included; one per unicast peer.
    advertisement_sent = "advertisement-sent",
    /// Advertisements with another interval than the configured one. Version 2 refuses them (RFC 3768 §7.1);
    /// version 3 accepts and follows them (RFC 9568 §6.4.2) unless the interval is zero.
    interval_errors = "interval-errors",
    /// Advertisements of priority 0 accepted.
    priority_zero_pkts_rcvd = "priority-zero-pkts-rcvd",
    /// Advertisements of priority 0 sent.
    priority_zero_pkts_sent = "priority-zero-pkts-sent",
    /// Messages refused for their type.
    invalid_type_pkts_rcvd = "invalid-type-pkts-rcvd",
    /// Advertisements with another address list than the configured one. Version 2 refuses them
    /// unless they come from the owner of the addresses (RFC 3768 §7.1); version 3 accepts them (RFC 9568 §7.1).
    address_list_errors = "address-list-errors",
    /// Messages refused for their length.
    packet_length_errors = "packet-length-errors",
    /// Messages refused for their checksum. *Global.*
    checksum_errors = "checksum-errors",
    /// Messages refused for their version. *Global.*
    version_errors = "version-errors",
    /// Messages refused because they are for another virtual router. *Global.*
    vrid_errors = "vrid-errors",
    /// Messages refused for their TTL or hop limit. *Global.*
    ip_ttl_errors = "ip-ttl-errors",
    /// Messages with an authentication type that does not exist (`vrrpStatsInvalidAuthType` of RFC 2787).
    invalid_auth_type = "invalid-auth-type",
    /// Messages with another authentication type than the configured one (`vrrpStatsAuthTypeMismatch` of RFC 2787).
    auth_type_mismatch = "auth-type-mismatch",
    /// Messages with the wrong password (`vrrpStatsAuthFailures` of RFC 2787).
    auth_failures = "auth-failures",
    /// Messages refused for their destination address.
    destination_errors = "destination-errors",
    /// Messages refused because they bear this router's own source address.
    own_source_pkts_rcvd = "own-source-pkts-rcvd",
    /// Messages refused because their sender is not a configured unicast peer.
    unknown_peer_pkts_rcvd = "unknown-peer-pkts-rcvd",
    /// Advertisements of priority 255 accepted by a router that believes itself the owner (RFC 9568 §7.1).
    owner_conflicts = "owner-conflicts",
    /// Stalls of the control loop noticed.
    stalls = "stalls",
    /// Outputs lost because the driver did not drain them.
    output_overflows = "output-overflows",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_shown_under_its_own_name() {
        let counters = Counters {
            master_transitions: 1,
            output_overflows: 7,
            ..Counters::default()
        };
        let shown: Vec<_> = counters.iter().collect();
        assert_eq!(shown.first(), Some(&("master-transitions", 1)));
        assert_eq!(shown.last(), Some(&("output-overflows", 7)));
        let mut names: Vec<_> = shown.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), shown.len());
    }
}
