//! Fills in what `show routers`, `show allocation`, `show moves` and `show end-systems` show. What it looks like is the
//! business of [`crate::show`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::verdict::Verdict;
use vrrpd::Time;
use vrrpd::sharing::load_sharing::{Counters, Role};
use vrrpd::sharing::names::{Condition, Mode, RouterId, Seen, Version};
use vrrpd::sharing::wire::MoveStatus;

use super::Sharing;
use crate::control::vrrp::Vrrp;
use crate::control::vrrp::config::GroupConfig;
use crate::show;

/// `show routers`.
#[must_use]
pub fn routers(vrrp: &Vrrp, now: Time) -> show::Routers {
    show::Routers {
        groups: vrrp
            .sharing()
            .map(|(config, router, sharing)| {
                group_routers(config, router.is_master(), sharing, now)
            })
            .collect(),
    }
}

/// `show allocation`, of everything or of the condition that an address falls under.
#[must_use]
pub fn allocation(vrrp: &Vrrp, address: Option<Ipv4Addr>) -> show::Allocation {
    show::Allocation {
        groups: vrrp
            .sharing()
            .map(|(config, _, sharing)| group_allocation(config, sharing, address))
            .collect(),
    }
}

/// `show moves`.
#[must_use]
pub fn moves(vrrp: &Vrrp) -> show::Moves {
    show::Moves {
        groups: vrrp
            .sharing()
            .map(|(config, _, sharing)| group_moves(config, sharing))
            .collect(),
    }
}

/// `show end-systems`.
#[must_use]
pub fn end_systems(vrrp: &Vrrp, now: Time) -> show::EndSystems {
    show::EndSystems {
        groups: vrrp
            .sharing()
            .map(|(config, _, sharing)| group_end_systems(config, sharing, now))
            .collect(),
    }
}

/// The condition that an index is of, and its group's port and VRID.
#[must_use]
pub fn condition(vrrp: &Vrrp, index: u32) -> Option<String> {
    vrrp.sharing().find_map(|(_, _, sharing)| {
        let condition = sharing.verdicts.condition(index)?;
        Some(condition.to_string())
    })
}

fn group_routers(
    config: &GroupConfig,
    is_master: bool,
    sharing: &Sharing,
    now: Time,
) -> show::GroupRouters {
    let part = sharing.part();
    let table = part.table();
    let mut in_charge: BTreeMap<RouterId, usize> = BTreeMap::new();
    for (_, row) in table.rows() {
        *in_charge.entry(row.router).or_default() += 1;
    }
    let conditions = |router| in_charge.get(&router).copied().unwrap_or_default();
    let me = part.config().router;
    let this = show::GroupRouter {
        router_id: id(me),
        address: Some(config.local.into()),
        is_this: true,
        state: part.state().to_string(),
        master: is_master,
        priority: config.protocol.priority,
        weight: match part.config().role {
            Role::Router => sharing.config().settings.weight,
            Role::SubstitutionServer => 0,
        },
        conditions: conditions(me),
        heard_ms_ago: None,
        installed: installed(table.installed(), table.digest()),
    };
    let others = part
        .membership()
        .iter()
        .map(|(router, member)| show::GroupRouter {
            router_id: id(router),
            address: part.address(router),
            is_this: false,
            state: member.state.to_string(),
            master: member.master,
            priority: member.priority,
            weight: member.weight,
            conditions: conditions(router),
            heard_ms_ago: Some(milliseconds(now.since(member.heard_at))),
            installed: installed(member.installed, member.digest),
        });
    let installed_here = (table.installed(), table.digest());
    let mut answering = part
        .membership()
        .iter()
        .filter(|(_, member)| member.is_alive());
    let agreed = answering.all(|(_, member)| (member.installed, member.digest) == installed_here);
    let mut routers: Vec<_> = std::iter::once(this).chain(others).collect();
    routers.sort_by_key(|router| router.router_id);
    let mut counters = counters(part.counters());
    counters.extend(sharing.finding.counters());
    show::GroupRouters {
        port: config.port_name.clone(),
        vrid: config.protocol.vrid.get(),
        mode: match table.mode() {
            Mode::Timer => "timer",
            Mode::Sequence => "sequence",
        },
        router_id: id(me),
        authority: part.authority().map(id),
        key_id: part.sending_key_id().filter(|id| *id > 0),
        installed: installed(table.installed(), table.digest()),
        agreed,
        routers,
        counters,
        refused: part
            .refusals()
            .iter()
            .map(|(refusal, count)| (refusal.name(), count))
            .collect(),
    }
}

fn counters(counts: &Counters) -> BTreeMap<&'static str, u64> {
    const SENT: [&str; 7] = [
        "responses-sent",
        "allocations-sent",
        "confirmations-sent",
        "answers-sent",
        "review-requests-sent",
        "rate-requests-sent",
        "rate-responses-sent",
    ];
    const RECEIVED: [&str; 7] = [
        "responses-rcvd",
        "allocations-rcvd",
        "confirmations-rcvd",
        "answers-rcvd",
        "review-requests-rcvd",
        "rate-requests-rcvd",
        "rate-responses-rcvd",
    ];
    let sent = SENT.into_iter().zip(counts.sent);
    let received = RECEIVED.into_iter().zip(counts.received);
    let others = [
        ("authorities-taken", counts.authorities_taken),
        ("allocations-issued", counts.allocations_issued),
        ("fragments-repeated", counts.fragments_repeated),
        ("moves-ordered", counts.moves_ordered),
        ("moves-reverted", counts.moves_reverted),
        ("conditions-taken-over", counts.conditions_taken_over),
        ("reviews-requested", counts.reviews_requested),
        ("collections", counts.collections),
        ("reviews", counts.reviews),
        ("reallocations", counts.reallocations),
        ("reviews-ignored", counts.reviews_ignored),
        ("end-systems-taken-up", counts.end_systems_taken_up),
        ("end-systems-refused", counts.end_systems_refused),
        ("sharing-output-overflows", counts.output_overflows),
    ];
    sent.chain(received).chain(others).collect()
}

fn group_allocation(
    config: &GroupConfig,
    sharing: &Sharing,
    address: Option<Ipv4Addr>,
) -> show::GroupAllocation {
    let table = sharing.part().table();
    let wanted = address.map(|address| {
        let condition = Condition::Address(address.into());
        match table.row(condition) {
            Some(_) => condition,
            None => Condition::Rest,
        }
    });
    let rows = table
        .rows()
        .filter(|(condition, _)| wanted.is_none_or(|wanted| wanted == *condition))
        .map(|(condition, row)| show::Allocated {
            condition: condition.to_string(),
            router: id(row.router),
            from: row.unfinished.map(|name| id(name.from)),
            verdict: match sharing.verdicts.verdict(condition) {
                Verdict::Route => "route",
                Verdict::Discard => "discard",
                Verdict::Hold => "hold",
            },
        });
    show::GroupAllocation::new(
        config.port_name.clone(),
        config.protocol.vrid.get(),
        installed(table.installed(), table.digest()),
        rows,
    )
}

fn group_moves(config: &GroupConfig, sharing: &Sharing) -> show::GroupMoves {
    let moves = sharing.part().moves();
    let reports = moves.reports().into_iter().map(|report| show::Move {
        from: id(report.name.from),
        to: id(report.name.to),
        epoch: report.name.version.epoch.counter,
        generation: report.name.version.generation,
        batch: report.name.batch,
        status: status(report.status),
        conditions: report.conditions.len(),
        first: report
            .conditions
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
    });
    let counts = moves.counters();
    let counters = BTreeMap::from([
        ("taken", counts.taken),
        ("given", counts.given),
        ("stood-down", counts.stood_down),
        ("taken-without-answer", counts.taken_without_answer),
        ("confirmations-sent", counts.confirmations_sent),
        ("answers-sent", counts.answers_sent),
        ("early-confirmations", counts.early_confirmations),
        ("drain-timeouts", counts.drain_timeouts),
        ("too-many", counts.too_many),
    ]);
    show::GroupMoves::new(
        config.port_name.clone(),
        config.protocol.vrid.get(),
        reports,
        counters,
    )
}

fn group_end_systems(config: &GroupConfig, sharing: &Sharing, now: Time) -> show::GroupEndSystems {
    let rows = sharing.part().table().rows();
    let systems = rows.filter_map(|(condition, row)| match condition {
        Condition::Rest => None,
        Condition::Address(address) => Some(show::EndSystem {
            address: address.to_string(),
            behind: row.node.map(|node| node.to_string()),
            seen: match row.seen {
                Seen::Configured => "configured",
                Seen::InformationReply => "information-reply",
                Seen::Neighbour => "neighbour",
                Seen::Traffic => "traffic",
            },
            seen_ms_ago: (row.seen != Seen::Configured)
                .then(|| milliseconds(now.since(row.seen_at))),
            rate_kbit_s: row.rate_kbit_per_s,
        }),
    });
    show::GroupEndSystems::new(
        config.port_name.clone(),
        config.protocol.vrid.get(),
        systems,
    )
}

const fn status(status: MoveStatus) -> &'static str {
    match status {
        MoveStatus::Preparing => "preparing",
        MoveStatus::Ready => "ready",
        MoveStatus::Withdrawn => "withdrawn",
        MoveStatus::Kept => "kept",
        MoveStatus::Waiting => "waiting",
        MoveStatus::Holding => "holding",
        MoveStatus::Finished => "finished",
        MoveStatus::StoodDown => "stood-down",
    }
}

fn installed(version: Version, digest: u64) -> show::Installed {
    show::Installed {
        epoch: version.epoch.counter,
        issuer: version.epoch.issuer.map(id),
        generation: version.generation,
        digest: format!("{digest:016x}"),
    }
}

pub(super) const fn id(router: RouterId) -> Ipv4Addr {
    Ipv4Addr::from_bits(router.get())
}

/// Milliseconds, exact to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
