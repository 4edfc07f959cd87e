//! What is to be seen of a LAN from outside: who is master, whether all agree, who routes whom.

use vrrpd::Time;
use vrrpd::sharing::LoadSharing;
use vrrpd::sharing::names::{Condition, MemberState};

use super::{Deafness, Lan, Node, US};

impl Lan {
    pub(crate) fn time(&self) -> Time {
        Time::from_nanos(self.now)
    }

    pub(crate) fn sharing(&self, node: usize) -> &LoadSharing {
        self.nodes[node].as_ref().unwrap().sharing.as_ref().unwrap()
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(number, node)| Some((number, node.as_ref()?)))
    }

    /// The routers that share load and are there.
    pub(crate) fn members(&self) -> impl Iterator<Item = (usize, &LoadSharing)> {
        self.living()
            .filter(|(number, _)| self.plugged[*number])
            .filter_map(|(number, node)| Some((number, node.sharing.as_ref()?)))
    }

    pub(crate) fn master(&self) -> Option<usize> {
        let mut masters = self.living().filter(|(_, node)| node.vrrp.is_master());
        let master = masters.next().map(|(number, _)| number);
        masters.next().is_none().then_some(master).flatten()
    }

    /// Who shall allocate: the substitution server that is there, or else the master.
    pub(crate) fn authority(&self) -> Option<usize> {
        let servers = &self.settings.servers;
        let mut members = self.members().map(|(number, _)| number);
        members
            .find(|number| servers.contains(number))
            .or_else(|| self.master())
    }

    /// The routers that can be in charge of something.
    pub(crate) fn routers(&self) -> impl Iterator<Item = (usize, &LoadSharing)> {
        let servers = &self.settings.servers;
        self.members()
            .filter(|(number, _)| !servers.contains(number))
    }

    /// Whether everyone agrees on who is in charge of everything, and nothing is on the way.
    pub(crate) fn is_settled(&self) -> bool {
        let (Some(_), Some(ruler)) = (self.master(), self.authority()) else {
            return false;
        };
        let Some((_, authority)) = self.members().find(|(number, _)| *number == ruler) else {
            return false;
        };
        let table = authority.table();
        let unfinished = table.rows().any(|(_, row)| row.unfinished.is_some());
        authority.is_authority()
            && table.rows().len() > self.settings.hosts.max(self.settings.configured)
            && !unfinished
            && self.members().all(|(_, member)| {
                member.table().installed() == table.installed()
                    && member.table().digest() == table.digest()
                    && member.moves().reports().is_empty()
            })
            && table
                .members()
                .filter(|record| record.state == MemberState::Working)
                .count()
                == self.routers().count()
    }

    /// Who routes packets of `source`.
    pub(crate) fn routing(&self, source: Condition) -> Vec<usize> {
        self.living()
            .filter(|(number, node)| {
                let hears = self.plugged[*number] && self.deaf[*number] == Deafness::No;
                node.plane.routes(source) && hears
            })
            .map(|(number, _)| number)
            .collect()
    }

    pub(crate) fn state(&self) -> String {
        let mut lines = vec![format!("at {} us: {:?}", self.now / US, self.settings)];
        for (number, node) in self.living() {
            lines.push(format!("node {number}: {}", node.vrrp.state()));
            if let Some(sharing) = &node.sharing {
                lines.push(format!(
                    "  installed {}, heard {}, {} rows, digest {:016x}, quiet {}, authority {:?} ({}), {}",
                    sharing.table().installed(),
                    sharing.table().heard(),
                    sharing.table().rows().len(),
                    sharing.table().digest(),
                    sharing.is_quiet(),
                    sharing.authority(),
                    sharing.is_authority(),
                    sharing.state(),
                ));
                for record in sharing.table().members() {
                    lines.push(format!("  {}: {}", record.router, record.state));
                }
                for report in sharing.moves().reports() {
                    lines.push(format!("  {}: {:?}", report.name, report.status));
                }
                for (condition, row) in sharing.table().rows() {
                    let routes = node.plane.routes(condition);
                    lines.push(format!(
                        "  {condition}: {} {:?} {routes}",
                        row.router,
                        row.unfinished.map(|name| name.to_string())
                    ));
                }
            }
        }
        for (at, node, event) in self.events.iter().rev().take(60).rev() {
            lines.push(format!("{:>8} us, {node}: {event}", at / US));
        }
        lines.join("\n")
    }
}
