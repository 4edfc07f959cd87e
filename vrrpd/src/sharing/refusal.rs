//! Why a message of the types 2 to 8 is refused, and how often that happened. Nothing else happens on a refusal.
//! The reasons to refuse an advertisement are in [`crate::Refusal`].

use std::fmt;

/// Declares the reasons once: the variants, their counters' names, what they say.
macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a message was refused; each reason has a counter of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Refusal {
            $($(#[$doc])* $variant,)*
        }

        impl Refusal {
            /// All reasons.
            pub const ALL: &[Refusal] = &[$(Refusal::$variant,)*];

            /// The name of its counter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Refusal::$variant => $name,)*
                }
            }
        }
    };
}

refusals! {
    /// The TTL or hop limit is not 255: the packet may have come from beyond the link.
    Ttl = "ttl",
    /// Sent to another address than the group's.
    Destination = "destination",
    /// Sent from the receiver's own address: a frame looped back, or an address given out twice.
    OwnSource = "own-source",
    /// Shorter or longer than it says itself.
    Length = "length",
    /// Another version of VRRP than the group's.
    Version = "version",
    /// A type other than 2 to 8.
    Type = "type",
    /// For another virtual router, by number or by address family.
    Vrid = "vrid",
    /// Damaged on the way.
    Checksum = "checksum",
    /// A version of the extension that is not known here.
    ExtensionVersion = "extension-version",
    /// An authentication type other than the group's.
    AuthenticationType = "authentication-type",
    /// Authenticated with a key that is not accepted here.
    Key = "key",
    /// The authentication code is wrong.
    Hmac = "hmac",
    /// A fragment number that is not below its count.
    Fragment = "fragment",
    /// A number of entries that contradicts the length.
    Count = "count",
    /// A field with a value that means nothing, or contradicts another.
    Value = "value",
    /// From a router that has the receiver's id.
    OwnRouterId = "own-router-id",
    /// From a router that has not yet proved to be there now.
    Stranger = "stranger",
    /// An advertisement of a router that answers none, and is taken for faulty: it is deaf.
    Faulty = "faulty",
    /// From an earlier life of its sender.
    Boot = "boot",
    /// A message number taken before, or too old to tell.
    Number = "number",
    /// More routers than a group can have.
    TooManyRouters = "too-many-routers",
    /// An allocation of an authority that has been followed by another.
    Epoch = "epoch",
    /// An older allocation than the one known.
    Generation = "generation",
    /// An allocation from another than the issuer of its epoch.
    Issuer = "issuer",
    /// A confirmation or answer of a move that its sender has no part in.
    Move = "move",
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Refusal {}

/// How often each [`Refusal`] happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    /// Counts one more.
    pub fn count(&mut self, refusal: Refusal) {
        if let Some(count) = self.0.get_mut(refusal as usize) {
            *count += 1;
        }
    }

    /// How often `refusal` happened.
    #[must_use]
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0.get(refusal as usize).copied().unwrap_or_default()
    }

    /// Every reason with its count, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL.iter().copied().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_counter_and_a_name_of_its_own() {
        let mut refusals = Refusals::default();
        for (position, refusal) in Refusal::ALL.iter().enumerate() {
            for _ in 0..=position {
                refusals.count(*refusal);
            }
        }
        for (position, (refusal, count)) in refusals.iter().enumerate() {
            assert_eq!(count, position as u64 + 1, "{refusal}");
            assert_eq!(refusals.of(refusal), count);
        }
        let mut names: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Refusal::ALL.len());
    }
}
