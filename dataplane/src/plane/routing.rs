//! Routes, next hops and neighbours: what the control thread keeps of them, and how changes reach the workers.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use thiserror::Error;

use super::Dataplane;
use crate::addr::{Ipv4Prefix, MacAddr};
use crate::backlog::Neighbour;
use crate::fib::{Fib, FibError, FibTable, HOPS_MAX, HopIndex, UnlinkedGroup};
use crate::grace::Retired;
use crate::hop::{Hop, NextHop};
use crate::neighbours::{Neighbours, TooWide};

/// One change of the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// Adds a route, or changes where it leads.
    Add {
        /// Which packets.
        prefix: Ipv4Prefix,
        /// Where to.
        next_hop: NextHop,
    },
    /// Removes a route; one that is not there is removed already.
    Delete {
        /// Which packets.
        prefix: Ipv4Prefix,
    },
}

/// Why a change of routes was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The forwarding table is full.
    #[error(transparent)]
    Fib(#[from] FibError),
    /// There are too many different next hops.
    #[error("no room for one more next hop: there are 32,767 at most")]
    Hops,
    /// A connected network is too large.
    #[error(transparent)]
    Width(#[from] TooWide),
    /// The next hop names a port that does not exist.
    #[error("there is no port {0}")]
    Port(u16),
}

/// A connected route has neighbours of its own; every other next hop is shared by all routes that lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum HopKey {
    Connected(u16, Ipv4Prefix),
    Other(NextHop),
}

impl HopKey {
    fn new(prefix: Ipv4Prefix, next_hop: NextHop) -> Self {
        match next_hop {
            NextHop::Connected { port } => Self::Connected(port, prefix.masked()),
            other => Self::Other(other),
        }
    }
}

/// The control thread's side of routing.
#[derive(Debug)]
pub(super) struct Routing {
    fib: Fib,
    /// By index; shared with the workers' snapshot.
    hops: Vec<Arc<Hop>>,
    /// For each next hop its key and the number of routes that lead there; the first stands for "no route".
    uses: Vec<Option<(HopKey, usize)>>,
    indices: HashMap<HopKey, HopIndex>,
    free: Vec<HopIndex>,
    /// Those that are connected networks, with their ports: few beside the gateways.
    connected: Vec<(u16, HopIndex)>,
    /// What workers may still be reading.
    retired_hops: Retired<HopIndex>,
    retired_groups: Retired<UnlinkedGroup>,
    /// The gateways' and hosts' MACs that are known, so that a route that comes later finds them.
    neighbours: HashMap<(u16, Ipv4Addr), MacAddr>,
    /// The addresses of the router itself: its local routes of length 32.
    own: BTreeSet<Ipv4Addr>,
    /// The workers' snapshot lacks some of `hops`.
    hops_changed: bool,
    /// The workers' snapshot has another `own`.
    own_changed: bool,
}

impl Routing {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            fib: Fib::new()?,
            hops: vec![Arc::new(Hop::new(NextHop::Unreachable, None))],
            uses: vec![None],
            indices: HashMap::new(),
            free: Vec::new(),
            connected: Vec::new(),
            retired_hops: Retired::default(),
            retired_groups: Retired::default(),
            neighbours: HashMap::new(),
            own: BTreeSet::new(),
            hops_changed: false,
            own_changed: false,
        })
    }

    pub(super) fn fib_table(&self) -> &Arc<FibTable> {
        self.fib.table()
    }

    pub(super) fn hops(&self) -> Arc<Vec<Arc<Hop>>> {
        Arc::new(self.hops.clone())
    }

    /// The index of a next hop, made if there is none; it counts one use more.
    fn acquire(&mut self, prefix: Ipv4Prefix, next_hop: NextHop) -> Result<HopIndex, RouteError> {
        let key = HopKey::new(prefix, next_hop);
        if let Some(&index) = self.indices.get(&key) {
            if let Some(Some((_, uses))) = self.uses.get_mut(usize::from(index)) {
                *uses += 1;
            }
            return Ok(index);
        }
        let hop = Arc::new(self.make_hop(prefix, next_hop)?);
        let index = match self.free.pop() {
            Some(index) => {
                self.hops[usize::from(index)] = hop;
                self.uses[usize::from(index)] = Some((key, 1));
                index
            }
            None if self.hops.len() < HOPS_MAX => {
                self.hops.push(hop);
                self.uses.push(Some((key, 1)));
                (self.hops.len() - 1) as HopIndex
            }
            None => return Err(RouteError::Hops),
        };
        self.indices.insert(key, index);
        if let HopKey::Connected(port, _) = key {
            self.connected.push((port, index));
        }
        self.hops_changed = true;
        Ok(index)
    }

    fn make_hop(&self, prefix: Ipv4Prefix, next_hop: NextHop) -> Result<Hop, TooWide> {
        match next_hop {
            NextHop::Connected { port } => {
                let neighbours = Neighbours::new(prefix)?;
                for (&(on, address), &mac) in &self.neighbours {
                    if on == port {
                        neighbours.set(address.to_bits(), Some(mac));
                    }
                }
                Ok(Hop::new(next_hop, Some(Arc::new(neighbours))))
            }
            NextHop::Gateway { port, address } => {
                let hop = Hop::new(next_hop, None);
                hop.mac
                    .store(self.neighbours.get(&(port, address)).copied());
                Ok(hop)
            }
            _ => Ok(Hop::new(next_hop, None)),
        }
    }

    /// Counts one use less; returns the index if that was the last.
    fn release(&mut self, index: HopIndex) -> Option<HopIndex> {
        let entry = self.uses.get_mut(usize::from(index))?;
        let (key, uses) = entry.as_mut()?;
        *uses -= 1;
        if *uses > 0 {
            return None;
        }
        self.indices.remove(key);
        self.connected.retain(|&(_, connected)| connected != index);
        *entry = None;
        Some(index)
    }

    /// Changes one route; returns the next hop that it had.
    fn apply(
        &mut self,
        change: &RouteChange,
        index: Option<HopIndex>,
    ) -> Result<Option<HopIndex>, FibError> {
        let (prefix, before) = match (*change, index) {
            (RouteChange::Add { prefix, .. }, Some(index)) => {
                (prefix, self.fib.add(prefix, index)?)
            }
            (RouteChange::Add { prefix, .. } | RouteChange::Delete { prefix }, _) => {
                (prefix, self.fib.delete(prefix))
            }
        };
        if prefix.len() == 32 {
            let is_local = |index: HopIndex| {
                self.hops
                    .get(usize::from(index))
                    .is_some_and(|hop| matches!(hop.kind, NextHop::Local))
            };
            self.own_changed |= if index.is_some_and(is_local) {
                self.own.insert(prefix.addr())
            } else {
                self.own.remove(&prefix.addr())
            };
        }
        Ok(before)
    }
}

impl Dataplane {
    /// Changes routes, in the order given. Packets follow the old route or the new one, and none is lost in between.
    ///
    /// A route to a connected network brings the table of its neighbours; a [`NextHop::Local`] route of length 32 is an
    /// address of this router, which no received packet may have as its source.
    ///
    /// # Errors
    /// The first change that cannot be made; those before it are made, and those after it are not.
    pub fn change_routes(&mut self, changes: &[RouteChange]) -> Result<(), RouteError> {
        // First every next hop that is new, then the workers' snapshot with them, then the routes that lead there.
        let mut acquired = Vec::with_capacity(changes.len());
        let mut failed = None;
        for change in changes {
            match self.acquire(change) {
                Ok(index) => acquired.push(index),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if std::mem::take(&mut self.routing.hops_changed) {
            let hops = self.routing.hops();
            self.publish(|tables| tables.hops = hops);
            self.settle();
        }
        let mut unused = Vec::new();
        let mut fits = true;
        for (change, index) in changes.iter().zip(acquired) {
            let before = if fits {
                self.routing.apply(change, index)
            } else {
                Ok(index)
            };
            match before {
                Ok(before) => unused.extend(before.and_then(|before| self.routing.release(before))),
                Err(error) => {
                    fits = false;
                    failed = Some(error.into());
                    unused.extend(index.and_then(|index| self.routing.release(index)));
                }
            }
        }
        let groups = self.routing.fib.take_unlinked();
        if std::mem::take(&mut self.routing.own_changed) {
            let own = Arc::new(self.routing.own.iter().copied().collect());
            self.publish(|tables| tables.own = own);
        } else if !(groups.is_empty() && unused.is_empty()) {
            self.publish(|_| ());
        }
        let generation = self.generation();
        self.routing.retired_groups.retire(groups, generation);
        self.routing.retired_hops.retire(unused, generation);
        self.maintain();
        failed.map_or(Ok(()), Err)
    }

    fn acquire(&mut self, change: &RouteChange) -> Result<Option<HopIndex>, RouteError> {
        let RouteChange::Add { prefix, next_hop } = *change else {
            return Ok(None);
        };
        let port = match next_hop {
            NextHop::Connected { port } | NextHop::Gateway { port, .. } => Some(port),
            NextHop::Local | NextHop::Broadcast | NextHop::Unreachable | NextHop::Blackhole => None,
        };
        if let Some(port) = port.filter(|&port| usize::from(port) >= self.ports.len()) {
            return Err(RouteError::Port(port));
        }
        self.routing.acquire(prefix, next_hop).map(Some)
    }

    /// All routes, by network and then length.
    pub fn routes(&self) -> impl Iterator<Item = (Ipv4Prefix, NextHop)> {
        self.routing.fib.iter().filter_map(|(prefix, hop)| {
            self.routing
                .hops
                .get(usize::from(hop))
                .map(|hop| (prefix, hop.kind))
        })
    }

    /// The number of routes.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.routing.fib.len()
    }

    /// Tells the workers a neighbour's MAC, and has what waits for it go on, or that it is not known any more. Hosts of connected networks and gateways
    /// alike; whoever bounds the number of neighbours is the caller.
    pub fn set_neighbour(&mut self, port: u16, address: Ipv4Addr, mac: Option<MacAddr>) {
        match mac {
            Some(mac) => self.routing.neighbours.insert((port, address), mac),
            None => self.routing.neighbours.remove(&(port, address)),
        };
        let gateway = HopKey::Other(NextHop::Gateway { port, address });
        if let Some(hop) = self
            .routing
            .indices
            .get(&gateway)
            .and_then(|&index| self.routing.hops.get(usize::from(index)))
        {
            hop.mac.store(mac);
        }
        for &(on, index) in &self.routing.connected {
            if on == port
                && let Some(hop) = self.routing.hops.get(usize::from(index))
                && let Some(neighbours) = &hop.neighbours
            {
                neighbours.set(address.to_bits(), mac);
            }
        }
        if mac.is_some() {
            self.settle_neighbour(Neighbour { port, address });
        }
    }

    /// Takes back next hops and parts of the forwarding table that no worker can be reading any more.
    pub(super) fn reclaim(&mut self) {
        let routing = &mut self.routing;
        for group in routing.retired_groups.reclaim(&self.grace) {
            routing.fib.free(group);
        }
        routing
            .free
            .extend(routing.retired_hops.reclaim(&self.grace));
    }
}
