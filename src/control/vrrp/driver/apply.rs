//! A configuration comes into force: virtual routers go, stay, change and come.

use std::collections::BTreeMap;
use std::net::IpAddr;

use thiserror::Error;
use vrrpd::sharing::load_sharing;
use vrrpd::{ConfigError, Moment, VirtualRouter};

use super::group::Group;
use super::output::{Charge, GroupKey, Output};
use super::{PortState, Vrrp};
use crate::control::host::Port;
use crate::control::vrrp::config::GroupConfig;

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// No such port.
    #[error("virtual router {vrid} is on port {port_name}, which does not exist")]
    UnknownPort {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
    },
    /// Two of the same port and VRID.
    #[error("port {port_name} has two virtual routers {vrid}")]
    Duplicate {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
    },
    /// The parts of its load sharing do not make sense together.
    #[error("load sharing of virtual router {vrid} on port {port_name}: {source}")]
    Sharing {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
        /// What is wrong.
        source: load_sharing::ConfigError,
    },
    /// The parts do not make sense together.
    #[error("virtual router {vrid} on port {port_name}: {source}")]
    Protocol {
        /// The virtual router.
        vrid: u8,
        /// The port's name.
        port_name: String,
        /// What is wrong.
        source: ConfigError,
    },
}

impl Vrrp {
    /// These are the ports and the virtual routers from now on. Those that stay keep their state as far as
    /// [`VirtualRouter::reconfigure`] allows, those that go resign, new ones start in Initialise.
    ///
    /// # Errors
    ///
    /// The first mistake found; nothing has changed then.
    pub fn apply(
        &mut self,
        at: impl Into<Moment>,
        ports: &[Port],
        configs: Vec<GroupConfig>,
    ) -> Result<(), ApplyError> {
        let at = at.into();
        let configs = checked(ports, configs)?;
        let gone = |key: &GroupKey| !configs.contains_key(key);
        let gone: Vec<GroupKey> = self.groups.keys().copied().filter(gone).collect();
        for key in gone {
            self.remove(at, key);
        }
        let old = std::mem::take(&mut self.ports);
        self.ports = ports
            .iter()
            .map(|port| {
                let old = old.get(&port.index);
                let state = PortState {
                    mac: port.mac,
                    link_up: old.is_some_and(|old| old.link_up),
                    frames: old.map_or(0, |old| old.frames),
                };
                (port.index, state)
            })
            .collect();
        let watches = configs.values().flat_map(GroupConfig::address_watches);
        self.tracker.set(at.heard, &watches.collect());
        self.virtuals_changed = true;
        let adopted = configs
            .into_iter()
            .try_for_each(|(key, config)| self.adopt(at, key, config));
        self.note_ties();
        adopted
    }

    fn remove(&mut self, at: Moment, key: GroupKey) {
        self.enter(at, key, |router| router.shutdown(at));
        if let Some(group) = self.groups.remove(&key) {
            if let Some(due) = group.due {
                self.due.remove(&(due, key));
            }
            self.forget_sharing(key, group.sharing);
        }
        self.complaints.forget(key);
        self.outbox.push(Output::Charge {
            group: key,
            charge: None,
        });
    }

    /// Makes the virtual router `key` what `config` says.
    fn adopt(&mut self, at: Moment, key: GroupKey, config: GroupConfig) -> Result<(), ApplyError> {
        let (protocol, local) = (config.protocol(), IpAddr::V4(config.local));
        let named = |source| protocol_error(&config, source);
        if let Some(group) = self.groups.get_mut(&key) {
            if group.config == config {
                return Ok(());
            }
            let reconfigured =
                self.enter(at, key, |router| router.reconfigure(at, protocol, local));
            reconfigured.unwrap_or(Ok(())).map_err(named)?;
            self.adopt_sharing(at, key, &config)?;
            if let Some(group) = self.groups.get_mut(&key) {
                group.config = config;
            }
        } else {
            let router = VirtualRouter::new(protocol, local, at.now).map_err(named)?;
            self.outbox.push(Output::Charge {
                group: key,
                charge: Some(Charge::Others),
            });
            let group = Group::new(config.clone(), router);
            self.groups.insert(key, group);
            self.adopt_sharing(at, key, &config)?;
            let up = self.link_up(key.port);
            self.enter(at, key, |router| router.port_link(at, up));
        }
        self.tell_tracks(at, key);
        Ok(())
    }
}

/// Checks that virtual routers on these ports make sense, as [`Vrrp::apply`] does before it changes anything.
///
/// # Errors
/// The first mistake found.
pub fn check(ports: &[Port], configs: Vec<GroupConfig>) -> Result<(), ApplyError> {
    checked(ports, configs).map(|_| ())
}

/// The configurations by what tells them apart, if all of them make sense.
fn checked(
    ports: &[Port],
    configs: Vec<GroupConfig>,
) -> Result<BTreeMap<GroupKey, GroupConfig>, ApplyError> {
    let mut checked = BTreeMap::new();
    for config in configs {
        let (vrid, port_name) = (config.protocol.vrid.get(), config.port_name.clone());
        if !ports.iter().any(|port| port.index == config.port) {
            return Err(ApplyError::UnknownPort { vrid, port_name });
        }
        config
            .protocol()
            .validate(config.local.into())
            .map_err(|source| protocol_error(&config, source))?;
        if let Some(sharing) = &config.sharing {
            sharing
                .validate()
                .map_err(|source| sharing_error(&config, source))?;
        }
        if checked.insert(config.key(), config).is_some() {
            return Err(ApplyError::Duplicate { vrid, port_name });
        }
    }
    Ok(checked)
}

fn protocol_error(config: &GroupConfig, source: ConfigError) -> ApplyError {
    ApplyError::Protocol {
        vrid: config.protocol.vrid.get(),
        port_name: config.port_name.clone(),
        source,
    }
}

pub(super) fn sharing_error(config: &GroupConfig, source: load_sharing::ConfigError) -> ApplyError {
    ApplyError::Sharing {
        vrid: config.protocol.vrid.get(),
        port_name: config.port_name.clone(),
        source,
    }
}
