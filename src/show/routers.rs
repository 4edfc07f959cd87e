//! `show routers`: who shares the load of each group, and what each has installed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::table::{Table, or_hyphen};

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Routers {
    /// The groups that share their load, by port and VRID.
    pub groups: Vec<GroupRouters>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupRouters {
    /// The port's name.
    pub port: String,
    /// The VRID.
    pub vrid: u8,
    /// `timer` or `sequence`.
    pub mode: &'static str,
    /// This router.
    pub router_id: Ipv4Addr,
    /// Who allocates, as far as known.
    pub authority: Option<Ipv4Addr>,
    /// The id of the key that this router sends with; none without `keys`.
    pub key_id: Option<u8>,
    /// The allocation that this router has installed.
    #[serde(flatten)]
    pub installed: Installed,
    /// Whether all routers that answer have installed the same, as far as known here.
    pub agreed: bool,
    /// The routers, this one among them.
    pub routers: Vec<GroupRouter>,
    /// What happened, by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// Messages refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

/// An allocation that a router has installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// The counter of its epoch.
    pub epoch: u32,
    /// Who issued it.
    pub issuer: Option<Ipv4Addr>,
    /// Its number in the epoch.
    pub generation: u32,
    /// The table's digest, in hexadecimal: the same on routers that have the same conditions with the same routers in charge.
    pub digest: String,
}

/// One router. Of itself a router does not say when it was heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupRouter {
    /// Its id.
    pub router_id: Ipv4Addr,
    /// Its address on the link, as far as known.
    pub address: Option<IpAddr>,
    /// Whether it is this one.
    pub is_this: bool,
    /// `working`, `suspended`, `draining`, `faulty`.
    pub state: String,
    /// Whether it is VRRP master.
    pub master: bool,
    /// Its VRRP priority.
    pub priority: u8,
    /// Its share relative to the others'.
    pub weight: u16,
    /// How many conditions it is in charge of, the rest counted.
    pub conditions: usize,
    /// How long ago it was heard.
    pub heard_ms_ago: Option<f64>,
    /// What it has installed.
    #[serde(flatten)]
    pub installed: Installed,
}

impl Routers {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&[
            "port",
            "vrid",
            "router",
            "address",
            "state",
            "role",
            "priority",
            "weight",
            "conditions",
            "generation",
            "epoch",
            "digest",
        ]);
        for group in &self.groups {
            for router in &group.routers {
                let role = match (router.master, group.authority == Some(router.router_id)) {
                    (true, true) => "master",
                    (true, false) => "master, no authority",
                    (false, true) => "authority",
                    (false, false) => "",
                };
                let name = if router.is_this {
                    format!("{} (this)", router.router_id)
                } else {
                    router.router_id.to_string()
                };
                table.row(&[
                    &group.port,
                    &group.vrid,
                    &name,
                    &or_hyphen(router.address),
                    &router.state,
                    &role,
                    &router.priority,
                    &router.weight,
                    &router.conditions,
                    &router.installed.generation,
                    &router.installed.epoch,
                    &router.installed.digest,
                ]);
            }
        }
        let tables = self.groups.iter().map(|group| {
            let GroupRouters { port, vrid, .. } = group;
            match group.agreed {
                true => format!("{port} {vrid}: all that answer have the same table\n"),
                false => format!("{port} {vrid}: tables differ\n"),
            }
        });
        table.to_string() + &tables.collect::<String>()
    }
}
