//! `show config`: the configuration in force, as its file could say it.

use serde::Serialize;
use serde_json::Value;

/// The answer: as text TOML, in JSON the same keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfigInForce {
    config: Value,
    #[serde(skip)]
    toml: String,
}

impl ConfigInForce {
    /// Of this configuration.
    ///
    /// # Errors
    /// A value that TOML or JSON cannot say, as a sentence; a configuration has none.
    pub fn new(config: &impl Serialize) -> Result<Self, String> {
        Ok(Self {
            config: serde_json::to_value(config).map_err(|error| error.to_string())?,
            toml: toml::to_string(config).map_err(|error| error.to_string())?,
        })
    }

    pub(super) fn table(&self) -> String {
        self.toml.clone()
    }
}
