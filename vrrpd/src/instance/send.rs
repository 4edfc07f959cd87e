//! What a virtual router sends: one advertisement to the group, or one to each unicast peer.

use super::VirtualRouter;
use crate::config::{Checksum, Peers, Version};
use crate::output::{Output, Transmit};
use crate::wire::v3::PseudoHeader;
use crate::wire::{Family, Fields, PRIORITY_STOP, v2, v3};

impl VirtualRouter {
    /// Advertises itself with this priority, to whom it is configured to.
    pub(super) fn advertise(&mut self, priority: u8) {
        // Over a dead link not even a farewell arrives.
        if !self.link_up {
            return;
        }
        let group = [self.config.family().group()];
        let destinations = match &self.config.peers {
            Peers::Multicast => &group[..],
            Peers::Unicast { addresses, .. } => addresses,
        };
        let fields = Fields {
            vrid: self.config.vrid,
            priority,
            interval: self.config.interval,
            addresses: &self.config.addresses,
        };
        let src = self.local;
        let transmits: Vec<Transmit> = destinations
            .iter()
            .map(|dst| Transmit {
                src,
                dst: *dst,
                payload: match &self.config.version {
                    Version::V2 { authentication } => v2::emit(&fields, authentication),
                    Version::V3 { checksum } => {
                        v3::emit(&fields, src, *dst, self.pseudo_header(*checksum))
                    }
                },
            })
            .collect();
        for transmit in transmits {
            self.counters.advertisement_sent += 1;
            self.counters.priority_zero_pkts_sent += u64::from(priority == PRIORITY_STOP);
            self.queue(Output::Transmit(transmit));
        }
    }

    /// How a checksum is computed now, `option` being configured.
    pub(super) fn pseudo_header(&self, option: Checksum) -> PseudoHeader {
        match (self.config.family(), option) {
            (Family::Ipv6, _) | (Family::Ipv4, Checksum::With) => PseudoHeader::With,
            (Family::Ipv4, Checksum::Without) => PseudoHeader::Without,
            (Family::Ipv4, Checksum::Auto) => {
                self.pseudo_header_heard.unwrap_or(PseudoHeader::Without)
            }
        }
    }
}
