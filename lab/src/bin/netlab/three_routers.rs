//! The demo with three routers and twelve end systems: all route at once; end systems change hands under load; a router
//! crashes, the master crashes, a router is drained.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::carried::Reading;
use lab::group::Group;
use lab::load::{Load, Rates};
use lab::table::Table;
use lab::topology::sharing::{KEYS, Setup, Sharing};
use lab::{Result, poll};
use serde::Serialize;

use super::moves::{Carried, move_around, under_load};

pub(crate) const HOSTS: u8 = 12;
pub(crate) const ROUTERS: u8 = 3;
const SERVERS: u8 = 3;
/// Moves in sequence mode, in whole rounds of all end systems.
const ROUNDS: u8 = 17;
/// Rounds in timer mode, whose moves take longer and lose packets.
const TIMER_ROUNDS: u8 = 2;
/// For what takes milliseconds, or a few advertisement intervals.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// From one advertisement to the next where routers crash.
const CRASH_INTERVAL: Duration = Duration::from_millis(100);
/// For how long it is shown what each router carries.
const SHOWN: Duration = Duration::from_secs(3);
/// For how long the load goes on behind a crash.
const AFTERWARDS: Duration = Duration::from_secs(2);

pub(crate) const RATES: Rates = Rates {
    seconds: 300,
    udp_pps: 250,
    icmp_pps: 50,
    tcp_pps: 100,
    streams: 6,
};

/// What became of the packets of all protocols while end systems changed hands.
#[derive(Debug, Serialize)]
struct Moved {
    mode: &'static str,
    moves: u32,
    sent: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    tcp_retransmitted: u64,
    /// The same without moves, for comparison.
    tcp_retransmitted_without_moves: u64,
    seconds: f64,
}

/// What became of them when a router went.
#[derive(Debug, Serialize)]
struct Gone {
    /// Of the end system that lost most: packets lost ÷ the rate that it sent at.
    blocked_ms: f64,
    /// No longer than this is wanted.
    blocked_ms_max: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
}

/// The figures.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    routers: u8,
    end_systems: u8,
    /// Conditions that each router is in charge of, the rest counted.
    conditions: Vec<usize>,
    /// Bit/s of each router towards the servers, with end systems that all send alike.
    carried: Vec<u64>,
    handover: Moved,
    handover_timer_mode: Moved,
    backup_crash: Gone,
    master_crash: Gone,
    drain: Gone,
    /// Lost in the laboratory, not in the routers: full sockets and links.
    dropped_by_the_network: u64,
}

/// Shows it all in a network that is there; the routers go on running in it.
pub(crate) fn show_in<'a>(net: &'a Sharing, program: &Path) -> Result<(Group<'a>, Figures)> {
    let mut group = Group::start(net, program, &setup("sequence"))?;
    let load = Load::start(net, RATES)?;
    wait_until_shared(&group)?;
    eprintln!("every end system is known; each router carries:");
    let carried = watch(net, &group, SHOWN)?;
    let in_charge = group.in_charge()?;
    let of = |router| in_charge.values().filter(|of| **of == router).count();
    let conditions = (0..ROUTERS).map(of).collect();
    let mut drops = load.stop()?.socket_drops;

    eprintln!("no moves, for comparison …");
    let still = under_load(net, RATES, || {
        std::thread::sleep(SHOWN);
        Ok(())
    })?;
    eprintln!("moves in sequence mode …");
    let handover = moved(net, &group, "sequence", ROUNDS, &still)?;
    group.reload(&setup("timer"))?;
    eprintln!("moves in timer mode …");
    let handover_timer_mode = moved(net, &group, "timer", TIMER_ROUNDS, &still)?;
    drop(group);

    // What was moved by hand stays where it was put, so the crashes are shown with routers that share as they like.
    let quick = Setup {
        interval: CRASH_INTERVAL,
        ..setup("sequence")
    };
    let mut group = Group::start(net, program, &quick)?;
    let crash_max = net.blocked_max(CRASH_INTERVAL);
    let load = Load::start(net, RATES)?;
    wait_until_shared(&group)?;
    drops += load.stop()?.socket_drops;
    eprintln!("a backup crashes …");
    let backup_crash = gone(net, &mut group, crash_max, |group| {
        group.kill(1);
        Ok(())
    })?;
    bring_back(net, &mut group, 1)?;
    eprintln!("a router is drained …");
    let drain = gone(net, &mut group, Duration::ZERO, |group| {
        group.stop(1).map(drop)
    })?;
    bring_back(net, &mut group, 1)?;
    eprintln!("the master crashes …");
    let master_crash = gone(net, &mut group, crash_max, |group| {
        group.kill(0);
        Ok(())
    })?;
    bring_back(net, &mut group, 0)?;
    drops += net.link_drops()?;
    let figures = Figures {
        routers: ROUTERS,
        end_systems: HOSTS,
        conditions,
        carried,
        handover,
        handover_timer_mode,
        backup_crash,
        master_crash,
        drain,
        dropped_by_the_network: drops,
    };
    Ok((group, figures))
}

/// The network that it is shown in.
pub(crate) fn network() -> Result<Sharing> {
    Sharing::new(HOSTS, ROUTERS, SERVERS)
}

pub(crate) fn setup(mode: &str) -> Setup {
    Setup {
        sharing: Some(format!("mode = \"{mode}\"\n{KEYS}\n")),
        ..Setup::default()
    }
}

/// Prints once a second what each router sends towards the servers; returns the bits per second over all of the time.
fn watch(net: &Sharing, group: &Group<'_>, time: Duration) -> Result<Vec<u64>> {
    let first = Reading::take(net)?;
    let (start, mut last) = (Instant::now(), first.clone());
    // Once at least, however slow a reading is on a crowded machine.
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = Reading::take(net)?;
        let rates = now.since(&last);
        let in_charge = group.in_charge()?;
        let line: Vec<String> = (0..ROUTERS)
            .zip(&rates)
            .map(|(router, rate)| {
                let conditions = in_charge.values().filter(|of| **of == router).count();
                format!(
                    "r{}: {:5.2} Mbit/s, {conditions} conditions",
                    router + 1,
                    *rate as f64 / 1e6
                )
            })
            .collect();
        eprintln!("  {}", line.join("    "));
        last = now;
        if start.elapsed() >= time {
            return Ok(last.since(&first));
        }
    }
}

/// Moves every end system to the next router, one after the other, round after round, under load.
fn moved(
    net: &Sharing,
    group: &Group<'_>,
    mode: &'static str,
    rounds: u8,
    still: &Carried,
) -> Result<Moved> {
    let moves = u32::from(rounds) * u32::from(HOSTS);
    let carried = under_load(net, RATES, || move_around(group, moves))?;
    let Carried {
        seconds,
        sent,
        lost,
        duplicated,
        reordered,
        tcp_retransmitted,
        ..
    } = carried;
    let scale = seconds / still.seconds;
    Ok(Moved {
        mode,
        moves,
        sent,
        lost,
        duplicated,
        reordered,
        tcp_retransmitted,
        tcp_retransmitted_without_moves: (still.tcp_retransmitted as f64 * scale) as u64,
        seconds,
    })
}

/// Has a router go under load, and goes on until the others have settled and have the same tables, as their commands show them.
fn gone<'a>(
    net: &'a Sharing,
    group: &mut Group<'a>,
    blocked_max: Duration,
    go: impl FnOnce(&mut Group<'a>) -> Result<()>,
) -> Result<Gone> {
    let load = Load::start(net, RATES)?;
    eprintln!("  before: {}", shares(&group.in_charge()?));
    std::thread::sleep(Duration::from_secs(1));
    go(group)?;
    std::thread::sleep(AFTERWARDS);
    group.wait_until_whole(DEADLINE)?;
    eprintln!(
        "  after:  {}; all have the same tables",
        shares(&group.in_charge()?)
    );
    let report = load.stop()?;
    let most = report.udp.iter().map(|count| count.lost).max();
    let total = report.udp_total();
    Ok(Gone {
        blocked_ms: most.unwrap_or_default() as f64 * 1e3 / RATES.udp_pps as f64,
        blocked_ms_max: blocked_max.as_millis() as u64,
        lost: total.lost,
        duplicated: total.duplicated,
        reordered: total.reordered,
    })
}

/// How many conditions each router is in charge of, in words.
fn shares(in_charge: &BTreeMap<String, u8>) -> String {
    let of = |router| in_charge.values().filter(|of| **of == router).count();
    let each = (0..ROUTERS).map(|router| format!("r{}: {} conditions", router + 1, of(router)));
    each.collect::<Vec<_>>().join(", ")
}

/// Starts a router again, and waits until it has a share.
fn bring_back(net: &Sharing, group: &mut Group<'_>, index: u8) -> Result<()> {
    group.start_router(index)?;
    // What it learned may be gone with the crash; packets bring it back.
    let load = Load::start(net, RATES)?;
    let shared = wait_until_shared(group);
    load.stop()?;
    shared
}

/// Waits until every end system is known, every router has a share, and nothing moves any more.
pub(crate) fn wait_until_shared(group: &Group<'_>) -> Result<()> {
    poll::until("a share for every router", DEADLINE, || {
        let in_charge = group.in_charge()?;
        let is_whole = in_charge.len() > usize::from(HOSTS);
        let has_share = |router| in_charge.values().any(|of| *of == router);
        Ok((is_whole && (0..ROUTERS).all(has_share)).then_some(()))
    })?;
    group.wait_until_agreed(DEADLINE)
}

/// Prints the figures for people.
pub(crate) fn print(figures: &Figures) {
    println!(
        "\n  {HOSTS} end systems ── hub ── {ROUTERS} routers ── bridge ── {SERVERS} servers\n"
    );
    let mut shares = Table::new(&["router", "conditions", "Mbit/s to the servers"]);
    let each = figures.conditions.iter().zip(&figures.carried);
    for (router, (conditions, bits)) in (1..).zip(each) {
        let rate = format!("{:.2}", *bits as f64 / 1e6);
        shares.row(&[&format!("r{router}"), conditions, &rate]);
    }
    println!("{shares}");
    let mut moves = Table::new(&[
        "end systems change hands",
        "moves",
        "packets sent",
        "lost",
        "duplicated",
        "reordered",
        "TCP segments sent again",
        "without moves",
    ]);
    for moved in [&figures.handover, &figures.handover_timer_mode] {
        moves.row(&[
            &format!("{} mode", moved.mode),
            &moved.moves,
            &moved.sent,
            &moved.lost,
            &moved.duplicated,
            &moved.reordered,
            &moved.tcp_retransmitted,
            &moved.tcp_retransmitted_without_moves,
        ]);
    }
    println!("{moves}");
    let mut gone = Table::new(&[
        "a router goes",
        "blocked",
        "at most wanted",
        "lost",
        "duplicated",
        "reordered",
    ]);
    for (name, of) in [
        ("a backup crashes", &figures.backup_crash),
        ("the master crashes", &figures.master_crash),
        ("a router is drained", &figures.drain),
    ] {
        let blocked = format!("{:.0} ms", of.blocked_ms);
        let wanted = format!("{} ms", of.blocked_ms_max);
        gone.row(&[
            &name,
            &blocked,
            &wanted,
            &of.lost,
            &of.duplicated,
            &of.reordered,
        ]);
    }
    println!("{gone}");
    println!(
        "dropped by the laboratory's own links and sockets: {}",
        figures.dropped_by_the_network
    );
}
