//! What the routers of a group authenticate their messages with: keys, each a secret or a file that holds one, or openly
//! nothing.

use std::fmt;
use std::path::PathBuf;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use toml::de::DeValue;
use vrrpd::sharing::wire::{Key, SECRET_LEN_MIN};
use vrrpd::{Family, Vrid};

use crate::config::file;
use crate::config::mistake::{Located, Mistake};
use crate::config::section::{Mistakes, Section};
use crate::config::value;

/// The largest file that holds a secret.
const SECRET_FILE_OCTETS_MAX: u64 = 4096;

/// What messages are authenticated with.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Keys {
    /// The keys accepted, oldest first. The newest that every member accepts is used. None only with `authentication`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyConfig>,
    /// Written out where nothing is authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<NoAuthentication>,
}

/// That whoever reaches the link may say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoAuthentication {
    /// Written so.
    None,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyConfig {
    /// What the messages call it.
    pub id: Located<u8>,
    /// The secret, from the file if there is one.
    pub secret: Secret,
    /// The file that it was read from.
    pub secret_file: Option<PathBuf>,
}

impl Serialize for KeyConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("id", &self.id)?;
        match &self.secret_file {
            Some(path) => map.serialize_entry("secret-file", path)?,
            None => map.serialize_entry("secret", "********")?,
        }
        map.end()
    }
}

/// A secret, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Keys {
    pub(super) fn read(table: &mut Section<'_, '_>, mistakes: &mut Mistakes) -> Self {
        let before = mistakes.len();
        let at = table.span().clone();
        let keys: Vec<KeyConfig> = table
            .tables(mistakes, "keys", "keys = [{ id = 1, secret = \"..\" }]")
            .into_iter()
            .filter_map(|key| KeyConfig::read(key, mistakes))
            .collect();
        let authentication = table.optional(
            mistakes,
            "authentication",
            value::choice(&[("none", NoAuthentication::None)]),
        );
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.id == key.id) {
                mistakes.note(
                    &key.id.span,
                    Mistake::new(
                        format!("there are two keys with the id {}", key.id.value),
                        "give every key an id of its own",
                    ),
                );
            }
        }
        match (&authentication, keys.is_empty()) {
            (Some(none), false) => mistakes.note(
                &none.span,
                Mistake::new(
                    "there are keys, and no authentication is wanted",
                    "keep either `keys` or `authentication = \"none\"`",
                ),
            ),
            (None, true) if mistakes.len() == before => mistakes.note(
                &at,
                Mistake::new(
                    "load sharing has no `keys`: whoever reaches the link could take the traffic",
                    "add `keys = [{ id = 1, secret = \"..\" }]`, the same on every router, or, if that is what you want, `authentication = \"none\"`",
                ),
            ),
            _ => {}
        }
        Self {
            keys,
            authentication: authentication.map(|none| none.value),
        }
    }

    /// The keys as the messages of the group `vrid` use them; `None` if one cannot be derived, which checked ones can.
    #[must_use]
    pub fn derive(&self, vrid: Vrid, family: Family) -> Option<Vec<Key>> {
        if self.keys.is_empty() {
            return Key::none(vrid, family).ok().map(|key| vec![key]);
        }
        self.keys
            .iter()
            .map(|key| Key::new(key.id.value, &key.secret.0, vrid, family).ok())
            .collect()
    }
}

impl KeyConfig {
    fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Option<Self> {
        let before = mistakes.len();
        let span = table.span().clone();
        let id = table.required(mistakes, "id", "1", value::integer(1..=255, ""));
        let written = table.optional(mistakes, "secret", |value| {
            secret(value::text(value)?.into())
        });
        let file = table.optional(mistakes, "secret-file", secret_file);
        let readable = mistakes.len() == before;
        table.close(mistakes);
        let (secret, secret_file) = match (written, file) {
            (Some(secret), None) => (secret.value, None),
            (None, Some(file)) => {
                let (secret, path) = file.value;
                (secret, Some(path))
            }
            (written, _) => {
                if readable {
                    let cause = match written {
                        Some(_) => "this key has a `secret` and a `secret-file`",
                        None => "this key has no `secret`",
                    };
                    mistakes.note(
                        &span,
                        Mistake::new(
                            cause,
                            "give it either `secret = \"..\"` or `secret-file = \"/etc/manifold/lan.key\"`",
                        ),
                    );
                }
                return None;
            }
        };
        Some(Self {
            id: id?,
            secret,
            secret_file,
        })
    }
}

fn secret(octets: Vec<u8>) -> Result<Secret, Mistake> {
    if octets.len() >= SECRET_LEN_MIN {
        return Ok(Secret(octets));
    }
    Err(Mistake::new(
        format!("a secret of {} octets can be guessed", octets.len()),
        format!("use at least {SECRET_LEN_MIN} octets, as from `openssl rand -hex 32`"),
    ))
}

/// Reads the secret that a file holds, without the line's end.
fn secret_file(value: &DeValue<'_>) -> Result<(Secret, PathBuf), Mistake> {
    let path = PathBuf::from(value::text(value)?);
    let named = |cause: &dyn fmt::Display| {
        Mistake::new(
            format!("cannot read {}: {cause}", path.display()),
            "name a file that holds the secret and that this program may read",
        )
    };
    if !path.is_absolute() {
        return Err(named(&"it is no absolute path"));
    }
    let mut octets = file::read(&path, SECRET_FILE_OCTETS_MAX).map_err(|error| named(&error))?;
    while octets
        .pop_if(|octet| matches!(octet, b'\n' | b'\r'))
        .is_some()
    {}
    Ok((secret(octets)?, path))
}
