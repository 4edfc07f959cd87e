//! `follow`: a group that goes by what another one decides, so that both directions of an end system pass one router.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::LoadSharingConfig;
use crate::config::mistake::{Located, Mistake};
use crate::config::port::Ports;
use crate::config::section::Mistakes;
use crate::config::virtual_router::VirtualRouterConfig;

/// A group of this router, written `"lan/7"`: by its port's name and its VRID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    /// The port.
    pub port: String,
    /// The VRID.
    pub vrid: u8,
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.vrid)
    }
}

impl Serialize for GroupName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl GroupName {
    pub(super) fn read(value: &DeValue<'_>) -> Result<Self, Mistake> {
        let named = value.as_str().and_then(|text| {
            let (port, vrid) = text.rsplit_once('/')?;
            let vrid = vrid.parse().ok().filter(|vrid| *vrid > 0)?;
            let port = port.to_owned();
            Some(Self { port, vrid })
        });
        named.ok_or_else(|| {
            Mistake::new(
                "this names no virtual router",
                "write its port and its VRID, as in \"lan/7\"",
            )
        })
    }

    fn of(router: &VirtualRouterConfig) -> Self {
        Self {
            port: router.port.value.clone(),
            vrid: router.vrid.value,
        }
    }

    /// The virtual router of this name.
    pub(crate) fn find<'a>(
        &self,
        routers: &'a [VirtualRouterConfig],
    ) -> Option<&'a VirtualRouterConfig> {
        routers
            .iter()
            .find(|router| router.port.value == self.port && router.vrid.value == self.vrid)
    }
}

/// Checks that whoever is followed can be, and that both groups fit together.
pub(in crate::config) fn check(
    routers: &[VirtualRouterConfig],
    ports: &Ports,
    mistakes: &mut Mistakes,
) {
    for router in routers {
        if let Some(sharing) = &router.load_sharing
            && let Some(name) = &sharing.follow
        {
            check_one(routers, ports, (router, sharing, name), mistakes);
        }
    }
}

fn check_one(
    routers: &[VirtualRouterConfig],
    ports: &Ports,
    (router, sharing, name): (
        &VirtualRouterConfig,
        &LoadSharingConfig,
        &Located<GroupName>,
    ),
    mistakes: &mut Mistakes,
) {
    let leader = name.find(routers);
    let Some(leading) = leader.and_then(|leader| leader.load_sharing.as_ref()) else {
        let cause = match leader {
            None => format!("there is no virtual router {}", name.value),
            Some(_) => format!("virtual router {} does not share its load", name.value),
        };
        let others = routers.iter().filter(|other| {
            let sharing = other.load_sharing.as_ref();
            sharing.is_some_and(|sharing| sharing.follow.is_none()) && !std::ptr::eq(*other, router)
        });
        let others: Vec<String> = others
            .map(|other| format!("\"{}\"", GroupName::of(other)))
            .collect();
        let remedy = match &others[..] {
            [] => "give the virtual router on the end systems' side a table [virtual-router.load-sharing]".to_owned(),
            others => format!("follow {}", others.join(" or ")),
        };
        mistakes.note(&name.span, Mistake::new(cause, remedy));
        return;
    };
    let leader_id = leader.and_then(|leader| leader.router_id(ports));
    let mut wrong = |cause: String, remedy: String| {
        mistakes.note(&name.span, Mistake::new(cause, remedy));
    };
    if GroupName::of(router) == name.value {
        wrong(
            "a group cannot follow itself".to_owned(),
            "name the group on the end systems' side".to_owned(),
        );
        return;
    }
    if let Some(further) = &leading.follow {
        let (cause, remedy) = match further.value == GroupName::of(router) {
            true => (
                format!("{} follows this group in turn", name.value),
                "remove `follow` from the group on the end systems' side".to_owned(),
            ),
            false => (
                format!("{} follows {} itself", name.value, further.value),
                format!("follow \"{}\"", further.value),
            ),
        };
        wrong(cause, remedy);
        return;
    }
    if leading.match_on == sharing.match_on {
        wrong(
            format!("{} matches the same address of a packet", name.value),
            "write `match = \"destination\"` in the group on the carrier's side, and there alone"
                .to_owned(),
        );
    }
    if let (Some(own), Some(leader)) = (&sharing.router_id, leader_id)
        && own.value != leader
    {
        let cause = format!("this router is {leader} in {}", name.value);
        let remedy = "leave `router-id` out: both groups have the same routers";
        mistakes.note(&own.span, Mistake::new(cause, remedy));
    }
    let systems = sharing.end_systems.first().map(|prefix| &prefix.span);
    let nodes = sharing.node.first().map(|node| &node.address.span);
    if let Some(span) = systems.or(nodes) {
        let cause = format!("the end systems are those of {}", name.value);
        mistakes.note(span, Mistake::new(cause, "name them there"));
    }
}

impl VirtualRouterConfig {
    /// This router's name in the group: as configured, or else its address on the port.
    fn router_id(&self, ports: &Ports) -> Option<Ipv4Addr> {
        let configured = self.load_sharing.as_ref()?.router_id.as_ref();
        configured.map(|id| id.value).or_else(|| {
            let port = ports.ports.iter().find(|port| *port.name == *self.port)?;
            Some(self.local(port)?.addr())
        })
    }
}
