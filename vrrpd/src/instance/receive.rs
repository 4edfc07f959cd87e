//! The checks that a received message has to pass (RFC 9568 §7.1, RFC 3768 §7.1), and whom it is handed to by its type.

use std::net::IpAddr;

use super::{Received, VirtualRouter};
use crate::config::{Peers, Version};
use crate::election::{Event, Heard};
use crate::refusal::{Mismatch, Refusal};
use crate::wire::{Family, Header, PRIORITY_OWNER, PRIORITY_STOP, TYPE_ADVERTISEMENT, v2, v3};

impl VirtualRouter {
    /// The checks that any message passes, and then those of its type.
    pub(super) fn dispatch(
        &mut self,
        received: &Received<'_>,
    ) -> Result<Option<Mismatch>, Refusal> {
        let Received {
            src,
            dst,
            ttl,
            payload,
        } = *received;
        let required = self.config.ttl_min();
        if ttl < required {
            return Err(Refusal::Ttl {
                received: ttl,
                required,
            });
        }
        let header = Header::parse(payload)?;
        if header.version != self.config.version.number() {
            return Err(Refusal::Version {
                received: header.version,
            });
        }
        let family = self.config.family();
        if header.vrid != self.config.vrid.get()
            || Family::of(src) != family
            || Family::of(dst) != family
        {
            return Err(Refusal::Vrid {
                received: header.vrid,
            });
        }
        match header.message_type {
            TYPE_ADVERTISEMENT => self.receive_advertisement(received),
            other => Err(Refusal::Type { received: other }),
        }
    }

    fn receive_advertisement(
        &mut self,
        received: &Received<'_>,
    ) -> Result<Option<Mismatch>, Refusal> {
        let Received {
            src, dst, payload, ..
        } = *received;
        self.admit(src, dst)?;
        let (heard, addresses_match) = match &self.config.version {
            Version::V2 { authentication } => {
                let advertisement = v2::Advertisement::parse(payload)?;
                advertisement.authenticate(authentication)?;
                let heard = Heard {
                    router: src,
                    priority: advertisement.priority(),
                    interval: advertisement.interval(),
                };
                if heard.interval != self.config.interval {
                    return Err(Refusal::Interval {
                        received: heard.interval,
                    });
                }
                let addresses_match = self.addresses_match(advertisement.addresses());
                if !addresses_match && heard.priority != PRIORITY_OWNER {
                    return Err(Refusal::AddressList);
                }
                (heard, addresses_match)
            }
            Version::V3 { .. } => {
                let advertisement = v3::Advertisement::parse(payload, src, dst)?;
                let heard = Heard {
                    router: src,
                    priority: advertisement.priority(),
                    interval: advertisement.interval(),
                };
                if heard.interval.is_zero() {
                    return Err(Refusal::Interval {
                        received: heard.interval,
                    });
                }
                self.pseudo_header_heard = Some(advertisement.pseudo_header());
                (heard, self.addresses_match(advertisement.addresses()))
            }
        };
        let mismatch = self.count_accepted(&heard, addresses_match);
        self.step(Event::Advertisement(heard));
        Ok(mismatch)
    }

    /// Whether an advertisement on its way from `src` to `dst` may have a say. The place for further conditions on who
    /// may be master.
    fn admit(&self, src: IpAddr, dst: IpAddr) -> Result<(), Refusal> {
        if src == self.local {
            return Err(Refusal::OwnSource);
        }
        match &self.config.peers {
            Peers::Multicast if dst != self.config.family().group() => Err(Refusal::Destination),
            Peers::Unicast { .. } if dst != self.local => Err(Refusal::Destination),
            Peers::Unicast { addresses, .. } if !addresses.contains(&src) => {
                Err(Refusal::UnknownPeer)
            }
            Peers::Multicast | Peers::Unicast { .. } => Ok(()),
        }
    }

    /// Whether `received` are the configured addresses, in whatever order.
    fn addresses_match(&self, received: impl Iterator<Item = IpAddr> + Clone) -> bool {
        if received.clone().eq(self.config.addresses.iter().copied()) {
            return true;
        }
        let mut received: Vec<IpAddr> = received.collect();
        let mut configured = self.config.addresses.clone();
        received.sort_unstable();
        configured.sort_unstable();
        received == configured
    }

    /// Counts an advertisement that is accepted, with what is odd about it; returns the gravest of that.
    fn count_accepted(&mut self, heard: &Heard, addresses_match: bool) -> Option<Mismatch> {
        let (router, configured) = (heard.router, self.config.interval);
        let owner = heard.priority == PRIORITY_OWNER && self.config.is_owner();
        let interval = heard.interval != configured;
        let counters = &mut self.counters;
        counters.advertisement_rcvd += 1;
        counters.priority_zero_pkts_rcvd += u64::from(heard.priority == PRIORITY_STOP);
        counters.interval_errors += u64::from(interval);
        counters.address_list_errors += u64::from(!addresses_match);
        counters.owner_conflicts += u64::from(owner);
        if owner {
            Some(Mismatch::Owner { router })
        } else if !addresses_match {
            Some(Mismatch::AddressList { router })
        } else if interval {
            Some(Mismatch::Interval {
                router,
                received: heard.interval,
                configured,
            })
        } else {
            None
        }
    }
}
