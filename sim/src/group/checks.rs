//! What must hold of a run: what became of each packet, who is in charge of whom, and that everything settles.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use dataplane::verdict::Verdict;
use vrrpd::sharing::names::Condition;

use super::node::{Node, end_system, group};
use super::plan::{MS, Plan};
use super::world::Phase;

/// Around a take-over without hand-over, for how long its packets may be doubled or lost: until everyone has heard of it.
const TAKE_OVER_BEFORE: u64 = 700 * MS;
const TAKE_OVER_AFTER: u64 = 700 * MS;
/// The most violations that are told.
const TOLD_MAX: usize = 10;

/// What became of a packet.
#[derive(Clone, Debug, Default)]
struct Fate {
    sent: u64,
    host: u8,
    side: u8,
    /// Which routers were there, and which took it, one bit each; substitution servers do not count.
    expected: u16,
    taken: u16,
    /// Who sent it on, and when.
    routed: Vec<(u8, u64)>,
}

pub(crate) struct Checks {
    fates: Vec<Fate>,
    routers: usize,
    timer_mode: bool,
    exact: bool,
    /// When faults, or their consequences, excuse whatever happens to packets.
    disturbed: Vec<(u64, u64)>,
    /// When that is so for an end system on a port: it was taken without hand-over.
    taken: Vec<(u64, u8, u8)>,
    /// Whether a backlog was full.
    pub(crate) overflowed: bool,
    pub(crate) safety: Vec<String>,
    pub(crate) liveness: Vec<String>,
    pub(crate) figures: Vec<(&'static str, u64)>,
}

impl Checks {
    pub(crate) fn new(plan: &Plan) -> Checks {
        Checks {
            fates: Vec::new(),
            routers: plan.routers,
            timer_mode: plan.timer_mode,
            exact: plan.is_exact(),
            disturbed: Vec::new(),
            taken: Vec::new(),
            overflowed: false,
            safety: Vec::new(),
            liveness: Vec::new(),
            figures: Vec::new(),
        }
    }

    pub(crate) fn safety(&mut self, now: u64, what: String) {
        tell(&mut self.safety, now, what);
    }

    pub(crate) fn liveness(&mut self, now: u64, what: String) {
        tell(&mut self.liveness, now, what);
    }

    pub(crate) fn disturb(&mut self, from: u64, to: u64) {
        self.disturbed.push((from, to));
    }

    pub(crate) fn settled(&mut self, what: &'static str, after: u64) {
        self.figures.push((what, after));
    }

    // Packets.

    pub(crate) fn sent(&mut self, now: u64, host: usize, side: u16) -> u32 {
        self.fates.push(Fate {
            sent: now,
            host: host as u8,
            side: side as u8,
            ..Fate::default()
        });
        self.fates.len() as u32 - 1
    }

    fn fate(&mut self, packet: u32) -> &mut Fate {
        &mut self.fates[packet as usize]
    }

    pub(crate) fn expected(&mut self, packet: u32, node: usize) {
        self.fate(packet).expected |= 1 << node;
    }

    pub(crate) fn arrived(&mut self, packet: u32, node: usize, taken: bool) {
        if taken {
            self.fate(packet).taken |= 1 << node;
        }
    }

    pub(crate) fn routed(&mut self, packet: u32, node: usize, now: u64) {
        let fate = self.fate(packet);
        let twice = fate.routed.iter().any(|(by, _)| usize::from(*by) == node);
        fate.routed.push((node as u8, now));
        if twice {
            let of = describe(&self.fates[packet as usize], packet);
            self.safety(now, format!("router {node} sent a packet on twice: {of}"));
        }
        if node >= self.routers {
            let of = describe(&self.fates[packet as usize], packet);
            let what = format!("substitution server {node} sent a packet on: {of}");
            self.safety(now, what);
        }
    }

    // Who is in charge.

    pub(crate) fn taken_outright(
        &mut self,
        now: u64,
        phase: Phase,
        node: usize,
        port: u16,
        address: Ipv4Addr,
    ) {
        if phase == Phase::Starting {
            return;
        }
        let host = address.octets()[3].wrapping_sub(128);
        if self.exact && !self.timer_mode {
            self.safety(
                now,
                format!("router {node} took {address} on port {port} without hand-over, and nobody had failed"),
            );
        }
        self.taken.push((now, host, port as u8));
    }

    /// A move was finished without an answer, because the other router counts as lost.
    pub(crate) fn taken_from_the_lost(&mut self, now: u64, node: usize) {
        if self.exact {
            let what = format!("router {node} did not wait for an answer, and nobody had failed");
            self.safety(now, what);
        }
        self.disturb(now.saturating_sub(TAKE_OVER_BEFORE), now + TAKE_OVER_AFTER);
    }

    /// Nobody but one router may be in charge of an end system.
    pub(crate) fn look(&mut self, now: u64, nodes: &[Node]) {
        for port in 0..2u16 {
            for host in 0..self.hosts(nodes) {
                let in_charge: Vec<usize> = nodes
                    .iter()
                    .filter(|node| {
                        node.is_up()
                            && node.plane.verdict(group(port), end_system(host))
                                == Some(Verdict::Route)
                    })
                    .map(Node::number)
                    .collect();
                if in_charge.len() > 1 && !self.is_excused(now, host as u8, port as u8) {
                    let address = end_system(host);
                    self.safety(
                        now,
                        format!(
                            "routers {in_charge:?} are all in charge of {address} on port {port}"
                        ),
                    );
                }
            }
        }
    }

    fn hosts(&self, _: &[Node]) -> usize {
        self.fates
            .iter()
            .map(|fate| usize::from(fate.host) + 1)
            .take(64)
            .max()
            .unwrap_or(0)
    }

    fn is_excused(&self, at: u64, host: u8, side: u8) -> bool {
        let within = |(from, to): &(u64, u64)| (*from..=*to).contains(&at);
        let taken = |(when, of_host, of_side): &(u64, u8, u8)| {
            (*of_host, *of_side) == (host, side)
                && (when.saturating_sub(TAKE_OVER_BEFORE)..=when + TAKE_OVER_AFTER).contains(&at)
        };
        self.disturbed.iter().any(within) || self.taken.iter().any(taken)
    }

    // The end.

    /// Why the group is not settled, if it is not.
    pub(crate) fn unsettled(plan: &Plan, nodes: &[Node]) -> Option<String> {
        for node in nodes {
            if node.is_up() && !node.plane.is_empty() {
                return Some(format!("router {} holds packets", node.number()));
            }
        }
        for node in nodes.iter().filter(|_| plan.follows) {
            if let Some(address) = differing(node) {
                let number = node.number();
                return Some(format!(
                    "router {number} has {address} with others on the sides"
                ));
            }
        }
        for port in 0..plan.sides {
            let mut digests = Vec::new();
            for node in nodes {
                let Some(router) = node.router() else {
                    continue;
                };
                for (key, part) in router.vrrp().parts() {
                    if key.port != port {
                        continue;
                    }
                    let table = part.table();
                    digests.push((table.installed(), table.digest()));
                    let unfinished = table.rows().filter(|(_, row)| row.unfinished.is_some());
                    let unfinished = unfinished.count();
                    if unfinished > 0 {
                        return Some(format!(
                            "router {} has {unfinished} unfinished moves on port {port}",
                            node.number()
                        ));
                    }
                    if table.rows().count() < plan.hosts {
                        return Some(format!(
                            "router {} knows {} of {} end systems on port {port}",
                            node.number(),
                            table.rows().count(),
                            plan.hosts
                        ));
                    }
                }
            }
            if digests.iter().any(|digest| Some(digest) != digests.first()) {
                return Some(format!("tables differ on port {port}: {digests:?}"));
            }
            for host in 0..plan.hosts {
                let of = |node: &Node| node.plane.verdict(group(port), end_system(host));
                let up = nodes.iter().filter(|node| node.is_up());
                let verdicts: Vec<Option<Verdict>> = up.map(of).collect();
                let routing = verdicts
                    .iter()
                    .filter(|verdict| **verdict == Some(Verdict::Route));
                let others = verdicts
                    .iter()
                    .filter(|verdict| **verdict == Some(Verdict::Discard));
                if routing.count() != 1 || others.count() + 1 != verdicts.len() {
                    return Some(format!("{} on port {port}: {verdicts:?}", end_system(host)));
                }
            }
        }
        None
    }

    /// Judges what became of all packets; those sent from `last` on have nothing to excuse them.
    pub(crate) fn judge(&mut self, last: u64, nodes: &[Node]) {
        let all_up: u16 = nodes
            .iter()
            .take(self.routers)
            .filter(|node| node.is_up())
            .fold(0, |mask, node| mask | 1 << node.number());
        let mut order: HashMap<(u8, u8), (u64, u32)> = HashMap::new();
        let (mut excused, mut exact) = (0, 0);
        for number in 0..self.fates.len() as u32 {
            let fate = self.fates[number as usize].clone();
            let is_last = fate.sent >= last;
            if !is_last && self.is_excused(fate.sent, fate.host, fate.side) {
                excused += 1;
                continue;
            }
            exact += 1;
            let everywhere = fate.taken == fate.expected && fate.expected != 0;
            if fate.routed.len() > 1 {
                let of = describe(&fate, number);
                self.safety(fate.sent, format!("sent on twice: {of}"));
            }
            // In timer mode every move loses what comes meanwhile, and the authority may still have one to make.
            let may_be_lost = self.timer_mode || self.overflowed && !is_last;
            if fate.routed.is_empty() && everywhere && !may_be_lost {
                let of = describe(&fate, number);
                match is_last && fate.expected == all_up {
                    true => self.liveness(fate.sent, format!("not served at the end: {of}")),
                    false => self.safety(fate.sent, format!("lost: {of}")),
                }
            }
            if let Some((_, at)) = fate.routed.first().filter(|_| everywhere) {
                let before = order.insert((fate.host, fate.side), (*at, number));
                if let Some((before, earlier)) = before.filter(|(before, _)| before > at) {
                    let of = describe(&fate, number);
                    self.safety(
                        fate.sent,
                        format!(
                            "overtook packet {earlier}, sent on at {:.3} ms: {of}",
                            ms(before)
                        ),
                    );
                }
            }
        }
        self.figures.push(("packets judged", exact));
        self.figures.push(("packets excused by a fault", excused));
        self.figures.push((
            "conditions taken without hand-over",
            self.taken.len() as u64,
        ));
    }

    /// For how long at most an end system was without service on a side: from the first packet that nobody sent on to the last one in a row.
    pub(crate) fn blocked_ns(&self) -> u64 {
        let mut since = HashMap::new();
        let mut longest = 0;
        for fate in &self.fates {
            let of = (fate.host, fate.side);
            if fate.routed.is_empty() {
                let since = since.entry(of).or_insert(fate.sent);
                longest = longest.max(fate.sent - *since);
            } else {
                since.remove(&of);
            }
        }
        longest
    }

    pub(crate) fn packets(&self) -> u64 {
        self.fates.len() as u64
    }

    /// How many packets were sent on twice, and how many were sent on by nobody, for whatever reason.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let doubled = self.fates.iter().filter(|fate| fate.routed.len() > 1);
        let lost = self.fates.iter().filter(|fate| fate.routed.is_empty());
        (doubled.count() as u64, lost.count() as u64)
    }
}

/// The first end system, if there is one, that the groups of a node's two sides have with different routers.
fn differing(node: &Node) -> Option<Condition> {
    let mut groups = node.router()?.vrrp().parts();
    let (_, lan) = groups.next()?;
    let (_, carrier) = groups.next()?;
    let mut rows = lan.table().rows();
    rows.find_map(|(condition, row)| {
        let there = carrier.table().row(condition)?;
        (there.router != row.router).then_some(condition)
    })
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn describe(fate: &Fate, number: u32) -> String {
    let routed: Vec<String> = fate
        .routed
        .iter()
        .map(|(by, at)| format!("by router {by} at {:.3} ms", ms(*at)))
        .collect();
    format!(
        "packet {number} of {} on port {}, sent at {:.3} ms, taken by routers {:#b} of {:#b}, sent on {}",
        end_system(fate.host.into()),
        fate.side,
        ms(fate.sent),
        fate.taken,
        fate.expected,
        if routed.is_empty() {
            "by nobody".to_owned()
        } else {
            routed.join(" and ")
        }
    )
}

fn tell(told: &mut Vec<String>, now: u64, what: String) {
    if told.len() < TOLD_MAX {
        told.push(format!("at {:.3} ms: {what}", ms(now)));
    }
}
