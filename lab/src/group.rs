//! Several manifolds that share the load of one group, on the network that is made for that.

mod moves;
mod places;
mod tables;
mod upsets;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::manifold::Manifold;
use crate::process::Finished;
use crate::topology::sharing::{Setup, Sharing};
use crate::{LabError, Result, poll};

pub use places::Places;
pub use upsets::{Mark, is_upset};

/// The routers of the LAN's group; those that run.
#[derive(Debug)]
pub struct Group<'a> {
    net: &'a Sharing,
    program: PathBuf,
    setup: Setup,
    routers: Vec<Option<Manifold<'a>>>,
}

impl<'a> Group<'a> {
    /// Starts them all.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(net: &'a Sharing, program: &Path, setup: &Setup) -> Result<Self> {
        let count = u8::try_from(net.routers.len()).unwrap_or(u8::MAX);
        Self::start_first(net, program, setup, count)
    }

    /// Starts the first ones.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_first(net: &'a Sharing, program: &Path, setup: &Setup, count: u8) -> Result<Self> {
        let mut group = Self {
            net,
            program: program.into(),
            setup: setup.clone(),
            routers: net.routers.iter().map(|_| None).collect(),
        };
        // Whoever does the control work is there when there is some.
        let (servers, routers): (Vec<u8>, Vec<u8>) =
            (0..count).partition(|index| net.is_server(*index, setup));
        for index in servers.into_iter().chain(routers) {
            group.start_router(index)?;
        }
        Ok(group)
    }

    /// The number of routers, running or not.
    #[must_use]
    pub fn count(&self) -> u8 {
        u8::try_from(self.routers.len()).unwrap_or(u8::MAX)
    }

    /// The number of those that route, running or not: all but substitution servers.
    #[must_use]
    pub fn routing(&self) -> u8 {
        self.count().saturating_sub(self.setup.servers)
    }

    /// Starts a router that does not run.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_router(&mut self, index: u8) -> Result<()> {
        let at = usize::from(index);
        let configuration = self.net.configuration(index, &self.setup);
        // Named apart and with little memory, because several run on this machine.
        let started = Manifold::start(&self.net.routers[at], &self.program, &configuration, &[])?;
        self.routers[at] = Some(started);
        Ok(())
    }

    /// A router that runs.
    ///
    /// # Errors
    /// When it does not.
    pub fn router(&self, index: u8) -> Result<&Manifold<'a>> {
        let running = self.routers.get(usize::from(index));
        running
            .and_then(Option::as_ref)
            .ok_or_else(|| LabError::Unreadable {
                what: format!("router {}", index + 1),
                text: "it does not run".into(),
            })
    }

    /// Has all that run take up another setup, one after the other, as an operator does.
    ///
    /// # Errors
    /// When one refuses.
    pub fn reload(&mut self, setup: &Setup) -> Result<()> {
        self.setup = setup.clone();
        for (index, router) in self.running() {
            router.configure(&self.net.configuration(index, setup))?;
            router.ask("reload")?;
        }
        Ok(())
    }

    /// Sends a signal to a router.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, index: u8, signal: Signal) -> Result<()> {
        self.router(index)?.process().signal(signal)
    }

    /// Kills a router at once (SIGKILL).
    pub fn kill(&mut self, index: u8) {
        self.routers[usize::from(index)] = None;
    }

    /// Asks a router to stop (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub fn stop(&mut self, index: u8) -> Result<Finished> {
        self.router(index)?;
        match self.routers[usize::from(index)].take() {
            Some(running) => running.stop(),
            None => unreachable!("it was there just now"),
        }
    }

    /// The routers that run, with their numbers.
    pub fn running(&self) -> impl Iterator<Item = (u8, &Manifold<'a>)> {
        (0..)
            .zip(&self.routers)
            .filter_map(|(index, router)| Some((index, router.as_ref()?)))
    }

    /// The LAN's group in a router's answer to a command.
    ///
    /// # Errors
    /// When it does not answer, or has no such group.
    pub fn shown(router: &Manifold<'_>, command: &str) -> Result<Value> {
        let answer = router.ask(command)?;
        let groups = answer["groups"].as_array();
        groups
            .and_then(|groups| groups.first())
            .cloned()
            .ok_or_else(|| LabError::Unreadable {
                what: format!("the answer to {command}"),
                text: answer.to_string(),
            })
    }

    /// Waits until all routers that run have the same table, in which they, and they alone, work, no move is unfinished, and nobody is
    /// about to be another master, on either side.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what each has, if they do not come to agree.
    pub fn wait_until_agreed(&self, deadline: Duration) -> Result<()> {
        let mut last = String::new();
        let agreed = poll::until("the routers agreeing", deadline, || {
            let seen: Vec<(u8, Value)> = self
                .running()
                .map(|(index, router)| Ok((index, Self::shown(router, "show routers")?)))
                .collect::<Result<_>>()?;
            last = seen
                .iter()
                .map(|(index, group)| format!("\nr{}: {group}", index + 1))
                .collect();
            let agreed = self.agree(&seen) && self.has_settled_masters()?;
            Ok((agreed && self.is_quiet()?).then_some(()))
        });
        agreed.map_err(|error| match error {
            LabError::Deadline {
                awaited, deadline, ..
            } => LabError::Deadline {
                awaited,
                deadline,
                detail: last + &self.said(30),
            },
            other => other,
        })
    }

    fn agree(&self, seen: &[(u8, Value)]) -> bool {
        let version = |group: &Value| {
            ["epoch", "issuer", "generation", "digest"].map(|field| group[field].clone())
        };
        let working = |group: &Value| -> Vec<String> {
            let routers = group["routers"].as_array().into_iter().flatten();
            routers
                .filter(|router| router["state"] == "working")
                .filter_map(|router| Some(router["router_id"].as_str()?.to_owned()))
                .collect()
        };
        let ids: Vec<String> = seen
            .iter()
            .filter(|(index, _)| !self.net.is_server(*index, &self.setup))
            .map(|(index, _)| Sharing::router(*index).to_string())
            .collect();
        seen.first().is_some_and(|(_, first)| {
            first["generation"].as_u64() > Some(0)
                && seen.iter().all(|(_, group)| {
                    let same = version(group) == version(first) && group["agreed"] == true;
                    same && working(group) == ids
                })
        })
    }

    /// Whether, of each virtual router, all have the same master: if it is one of these, the one that outranks the others.
    fn has_settled_masters(&self) -> Result<bool> {
        let mut masters: BTreeMap<u64, Vec<(String, u64, String)>> = BTreeMap::new();
        for (_, router) in self.running() {
            let shown = router.ask("show vrrp")?;
            for group in shown["virtual_routers"].as_array().into_iter().flatten() {
                let text = |field: &str| group[field].as_str().unwrap_or_default().to_owned();
                let own = text("local_address");
                let master = match group["state"].as_str() {
                    Some("master") => own.clone(),
                    _ => text("master_address"),
                };
                let priority = group["priority"].as_u64().unwrap_or_default();
                let members = masters.entry(group["vrid"].as_u64().unwrap_or_default());
                members.or_default().push((own, priority, master));
            }
        }
        Ok(masters.into_values().all(|members| {
            let highest = members.iter().max_by_key(|(_, priority, _)| *priority);
            highest.is_some_and(|(highest, ..)| {
                let (_, _, named) = &members[0];
                let is_ours = members.iter().any(|(own, ..)| own == named);
                !named.is_empty()
                    && members.iter().all(|(_, _, master)| master == named)
                    && (!is_ours || named == highest)
            })
        }))
    }

    /// Whether no router has an unfinished move.
    ///
    /// # Errors
    /// When one does not answer.
    pub fn is_quiet(&self) -> Result<bool> {
        for (_, router) in self.running() {
            if Self::shown(router, "show moves")?["total"] != 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The last lines that the routers logged.
    #[must_use]
    pub fn said(&self, lines_max: usize) -> String {
        self.running()
            .map(|(index, router)| {
                let log = tail(&router.process().stderr(), lines_max);
                format!("\nr{} said:\n{log}", index + 1)
            })
            .collect()
    }

    /// Which router is in charge of which condition, by its number, as the first router that runs has it.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn in_charge(&self) -> Result<BTreeMap<String, u8>> {
        let Some((_, router)) = self.running().next() else {
            return Ok(BTreeMap::new());
        };
        let group = Self::shown(router, "show allocation")?;
        let conditions = group["conditions"].as_array().into_iter().flatten();
        Ok(conditions
            .filter_map(|row| {
                let condition = row["condition"].as_str()?.to_owned();
                Some((condition, self.number(row["router"].as_str()?)?))
            })
            .collect())
    }

    /// The number of the router with this id.
    fn number(&self, id: &str) -> Option<u8> {
        let id: Ipv4Addr = id.parse().ok()?;
        (0..self.count()).find(|index| Sharing::router(*index) == id)
    }

    /// Has the authority move a condition (an address, or `rest`) to a router.
    ///
    /// # Errors
    /// When there is no authority, or it refuses.
    pub fn move_to(&self, condition: &str, to: u8) -> Result<()> {
        let mut authority = None;
        for (_, router) in self.running() {
            let group = Self::shown(router, "show routers")?;
            authority = group["authority"].as_str().and_then(|id| self.number(id));
            if authority.is_some() {
                break;
            }
        }
        let authority = authority.ok_or_else(|| LabError::Unreadable {
            what: "the authority".into(),
            text: "nobody knows one".into(),
        })?;
        let command = format!("move {condition} to {}", Sharing::router(to));
        self.router(authority)?.ask(&command).map(drop)
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}
