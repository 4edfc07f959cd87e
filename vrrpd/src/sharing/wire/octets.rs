//! Reading and writing fields of a message in network order. What the fields mean is not known here.

use std::net::IpAddr;

use crate::Family;
use crate::sharing::names::{Condition, Epoch, RouterId, Version};
use crate::sharing::refusal::Refusal;

/// What is left to read of a body. Running out is [`Refusal::Count`]: the counts of entries promised more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(Refusal::Count)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refusal> {
        self.take::<1>().map(|[octet]| octet)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refusal> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refusal> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn router(&mut self) -> Result<RouterId, Refusal> {
        RouterId::new(self.u32()?).ok_or(Refusal::Value)
    }

    pub(super) fn epoch(&mut self) -> Result<Epoch, Refusal> {
        Ok(Epoch {
            counter: self.u32()?,
            issuer: RouterId::new(self.u32()?),
        })
    }

    pub(super) fn version(&mut self) -> Result<Version, Refusal> {
        Ok(Version {
            epoch: self.epoch()?,
            generation: self.u32()?,
        })
    }

    pub(super) fn address(&mut self, family: Family) -> Result<IpAddr, Refusal> {
        Ok(match family {
            Family::Ipv4 => IpAddr::from(self.take::<4>()?),
            Family::Ipv6 => IpAddr::from(self.take::<16>()?),
        })
    }

    pub(super) fn condition(&mut self, family: Family) -> Result<Condition, Refusal> {
        self.address(family).map(Condition::from)
    }

    /// Reads `count` times.
    pub(super) fn list<T>(
        &mut self,
        count: impl Into<usize>,
        read: impl Fn(&mut Self) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        (0..count.into()).map(|_| read(self)).collect()
    }

    /// Says that nothing is left.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Count)
        }
    }
}

/// A message being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn octets(&mut self, octets: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(octets);
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Writer {
        self.octets(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Writer {
        self.octets(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Writer {
        self.octets(&value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Writer {
        self.octets(&value.to_be_bytes())
    }

    pub(super) fn router(&mut self, router: RouterId) -> &mut Writer {
        self.u32(router.get())
    }

    pub(super) fn epoch(&mut self, epoch: Epoch) -> &mut Writer {
        self.u32(epoch.counter)
            .u32(epoch.issuer.map_or(0, RouterId::get))
    }

    pub(super) fn version(&mut self, version: Version) -> &mut Writer {
        self.epoch(version.epoch).u32(version.generation)
    }

    pub(super) fn address(&mut self, address: IpAddr) -> &mut Writer {
        match address {
            IpAddr::V4(address) => self.octets(&address.octets()),
            IpAddr::V6(address) => self.octets(&address.octets()),
        }
    }

    pub(super) fn condition(&mut self, condition: Condition, family: Family) -> &mut Writer {
        self.address(condition.address(family))
    }
}
