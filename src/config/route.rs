//! `[[route]]`: where packets go that no connected prefix covers.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use dataplane::addr::Ipv4Prefix;
use serde::Serialize;
use toml::de::DeValue;

use super::mistake::{Located, Mistake};
use super::port::{Ports, check_connected, check_host};
use super::section::{Mistakes, Section};
use super::value;
use super::virtual_router::VirtualRouterConfig;

/// One configured route.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouteConfig {
    /// The destinations.
    #[serde(serialize_with = "serialize_prefix")]
    pub prefix: Located<Ipv4Prefix>,
    /// What becomes of packets to them.
    #[serde(flatten)]
    pub target: RouteTarget,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RouteTarget {
    /// It goes to a gateway.
    Gateway {
        /// The gateway's address, in a connected prefix.
        via: Located<Ipv4Addr>,
        /// The port of that prefix.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<Located<String>>,
    },
    /// Its destination is on the link of this port.
    Port {
        /// The port.
        port: Located<String>,
    },
    /// It is discarded without a word.
    Blackhole {
        /// Always `true`.
        blackhole: bool,
    },
    /// It is discarded, and its sender is told that the host is unreachable.
    Unreachable {
        /// Always `true`.
        unreachable: bool,
    },
}

fn serialize_prefix<S: serde::Serializer>(
    prefix: &Located<Ipv4Prefix>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&prefix.value)
}

impl RouteConfig {
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Option<Self> {
        let prefix = table.required(mistakes, "prefix", "\"198.51.100.0/24\"", destination);
        let before = mistakes.len();
        let via = table.optional(
            mistakes,
            "via",
            value::parsed("an IPv4 address", "192.0.2.254"),
        );
        let port = table.optional(mistakes, "port", value::text);
        let blackhole = table.optional(mistakes, "blackhole", only_true);
        let unreachable = table.optional(mistakes, "unreachable", only_true);
        let readable = mistakes.len() == before;
        let span = table.span().clone();
        table.close(mistakes);
        let target = match (via, port, blackhole, unreachable) {
            (Some(via), port, None, None) => RouteTarget::Gateway { via, port },
            (None, Some(port), None, None) => RouteTarget::Port { port },
            (None, None, Some(_), None) => RouteTarget::Blackhole { blackhole: true },
            (None, None, None, Some(_)) => RouteTarget::Unreachable { unreachable: true },
            (None, None, None, None) => {
                if readable {
                    mistakes.note(
                        &span,
                        Mistake::new(
                            "this route leads nowhere",
                            "add one of `via = \"192.0.2.254\"`, `port = \"lan\"`, `blackhole = true`, `unreachable = true`",
                        ),
                    );
                }
                return None;
            }
            (via, port, blackhole, unreachable) => {
                let given = [
                    via.map(|via| ("via", via.span)),
                    port.map(|port| ("port", port.span)),
                    blackhole.map(|blackhole| ("blackhole", blackhole.span)),
                    unreachable.map(|unreachable| ("unreachable", unreachable.span)),
                ];
                let given: Vec<_> = given.into_iter().flatten().collect();
                let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
                let last = given.last().map_or(span, |(_, span)| span.clone());
                mistakes.note(
                    &last,
                    Mistake::new(
                        format!("this route has {} at once", names.join(" and ")),
                        "keep one of them; two routes need two [[route]]",
                    ),
                );
                return None;
            }
        };
        Some(Self {
            prefix: prefix?,
            target,
        })
    }

    fn check(
        &self,
        ports: &Ports,
        virtual_routers: &[VirtualRouterConfig],
        mistakes: &mut Mistakes,
    ) {
        match &self.target {
            RouteTarget::Gateway { via, port } => {
                let named = port.as_ref().map(|port| (port, ports.find(port, mistakes)));
                match ports.connected(via.value) {
                    Err(()) => mistakes.note(
                        &via.span,
                        Mistake::new(
                            format!("gateway {} is in no connected prefix", via.value),
                            "name a gateway in the prefix of one of the ports' `addresses`",
                        ),
                    ),
                    Ok(None) => {}
                    Ok(Some((at, prefix))) => {
                        if let Some((name, Some(named))) = named
                            && named.name != at.name
                        {
                            mistakes.note(
                                &name.span,
                                Mistake::new(
                                    format!(
                                        "gateway {} is at port \"{}\", not at \"{}\"",
                                        via.value, at.name.value, name.value
                                    ),
                                    "leave `port` out: the gateway's prefix says which it is",
                                ),
                            );
                        }
                        if let Err(mistake) = check_host(via.value, prefix) {
                            mistakes.note(&via.span, mistake);
                        }
                        // Even a backup cannot go there: to a member of the group the address is no neighbour's, whoever is master.
                        let virtual_router = virtual_routers.iter().find(|router| {
                            router.port == at.name && router.virtual_addresses.contains(via)
                        });
                        if ports.addresses().any(|(_, own)| own.addr() == via.value) {
                            mistakes.note(
                                &via.span,
                                Mistake::new(
                                    format!("gateway {} is this router itself", via.value),
                                    "name another router's address",
                                ),
                            );
                        } else if let Some(router) = virtual_router {
                            mistakes.note(
                                &via.span,
                                Mistake::new(
                                    format!(
                                        "gateway {} is a virtual address of this router itself, of VRID {}",
                                        via.value, router.vrid.value
                                    ),
                                    "name another router's own address",
                                ),
                            );
                        }
                    }
                }
            }
            RouteTarget::Port { port } => {
                if ports.find(port, mistakes).is_some()
                    && let Err(mistake) = check_connected(self.prefix.value)
                {
                    mistakes.note(&self.prefix.span, mistake);
                }
            }
            RouteTarget::Blackhole { .. } | RouteTarget::Unreachable { .. } => {}
        }
        if let Some((port, connected)) = ports
            .addresses()
            .find(|(_, connected)| connected.masked() == self.prefix.value)
        {
            mistakes.note(
                &self.prefix.span,
                Mistake::new(
                    format!(
                        "{} is connected at port \"{}\" already",
                        connected.masked(),
                        port.name.value
                    ),
                    "remove the route: a port's prefixes need none",
                ),
            );
        }
    }
}

pub(super) fn check(
    routes: &[RouteConfig],
    ports: &Ports,
    virtual_routers: &[VirtualRouterConfig],
    mistakes: &mut Mistakes,
) {
    let mut prefixes = HashSet::new();
    for route in routes {
        route.check(ports, virtual_routers, mistakes);
        if !prefixes.insert(route.prefix.value) {
            mistakes.note(
                &route.prefix.span,
                Mistake::new(
                    format!("there are two routes to {}", route.prefix.value),
                    "keep one of them",
                ),
            );
        }
    }
}

fn destination(value: &DeValue<'_>) -> Result<Ipv4Prefix, Mistake> {
    let prefix: Ipv4Prefix = value::parsed("a prefix", "198.51.100.0/24")(value)?;
    if prefix != prefix.masked() {
        return Err(Mistake::new(
            format!("{prefix} has bits set behind its length"),
            format!(
                "write \"{}\", or \"{}\" for the one address",
                prefix.masked(),
                Ipv4Prefix::host(prefix.addr())
            ),
        ));
    }
    if prefix.network().is_multicast() || prefix.network().is_loopback() {
        return Err(Mistake::new(
            format!("{prefix} is not routed by any router's table"),
            "name a prefix of unicast addresses",
        ));
    }
    Ok(prefix)
}

fn only_true(value: &DeValue<'_>) -> Result<(), Mistake> {
    if value::boolean(value)? {
        return Ok(());
    }
    Err(Mistake::new(
        "false says nothing",
        "write `true`, or remove the line",
    ))
}
