//! Keys: from what the operator configures to the code at the end of a message. Who is believed is decided in `trust`.

use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use super::{EXTENSION_VERSION, HMAC_LEN};
use crate::{Family, Vrid};

/// Fewer octets than this are no secret.
pub const SECRET_LEN_MIN: usize = 16;

/// What goes into every derived key, so that the same secret used elsewhere gives no key of a group.
const LABEL: &[u8] = b"VRRP load sharing";

/// The key id of groups without authentication.
pub const KEY_ID_NONE: u8 = 0;

/// A key of one group and family, derived from the configured secret.
#[derive(Clone)]
pub struct Key {
    id: u8,
    mac: Hmac<Sha256>,
}

/// Why a secret makes no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Key id 0 stands for the lack of a key.
    #[error("key id 0 is reserved")]
    Id,
    /// Too short to be secret.
    #[error("a key needs at least {SECRET_LEN_MIN} octets, this one has {0}")]
    Short(usize),
    /// The hash takes no key of this length.
    #[error("a key of this length cannot be used")]
    Length,
}

impl Key {
    /// The key `id` of the group `vrid` in `family`.
    ///
    /// # Errors
    ///
    /// See [`KeyError`].
    pub fn new(id: u8, secret: &[u8], vrid: Vrid, family: Family) -> Result<Key, KeyError> {
        if id == KEY_ID_NONE {
            return Err(KeyError::Id);
        }
        if secret.len() < SECRET_LEN_MIN {
            return Err(KeyError::Short(secret.len()));
        }
        Key::derive(id, secret, vrid, family)
    }

    /// What stands in for a key where the operator wants no authentication: the key that everyone knows. It finds
    /// damage and messages of other groups, and keeps nobody out.
    ///
    /// # Errors
    ///
    /// None that can happen.
    pub fn none(vrid: Vrid, family: Family) -> Result<Key, KeyError> {
        Key::derive(KEY_ID_NONE, &[], vrid, family)
    }

    fn derive(id: u8, secret: &[u8], vrid: Vrid, family: Family) -> Result<Key, KeyError> {
        let number = match family {
            Family::Ipv4 => 4,
            Family::Ipv6 => 6,
        };
        let derived = Hmac::<Sha256>::new_from_slice(secret)
            .map_err(|_| KeyError::Length)?
            .chain_update(LABEL)
            .chain_update([EXTENSION_VERSION, id, vrid.get(), number])
            .finalize()
            .into_bytes();
        let mac = Hmac::new_from_slice(&derived).map_err(|_| KeyError::Length)?;
        Ok(Key { id, mac })
    }

    /// The id that messages name it by.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// The code of `message`, which has its checksum field zeroed and no code yet, on its way from `src` to `dst`.
    pub(super) fn code(&self, src: IpAddr, dst: IpAddr, message: &[u8]) -> [u8; HMAC_LEN] {
        let full = self.over(src, dst, &[message]).finalize().into_bytes();
        let mut code = [0; HMAC_LEN];
        for (octet, of_full) in code.iter_mut().zip(full) {
            *octet = of_full;
        }
        code
    }

    /// Whether `code` is that of the message in `parts`, compared in constant time.
    pub(super) fn confirms(
        &self,
        src: IpAddr,
        dst: IpAddr,
        parts: &[&[u8]],
        code: &[u8; HMAC_LEN],
    ) -> bool {
        self.over(src, dst, parts)
            .verify_truncated_left(code)
            .is_ok()
    }

    fn over(&self, src: IpAddr, dst: IpAddr, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for address in [src, dst] {
            match address {
                IpAddr::V4(address) => mac.update(&address.octets()),
                IpAddr::V6(address) => mac.update(&address.octets()),
            }
        }
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Key {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
