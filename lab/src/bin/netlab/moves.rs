//! End systems change hands, one after the other, under UDP, ICMP and TCP load: what becomes of the packets, and of the same load left
//! alone, for comparison.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::group::{Group, Places};
use lab::load::{Load, Rates, Report};
use lab::table::Table;
use lab::topology::sharing::Sharing;
use lab::traffic::Count;
use lab::{Result, poll};
use serde::Serialize;

use super::three_routers::{DEADLINE, HOSTS, RATES, ROUTERS, network, setup, wait_until_shared};

/// What became of all packets in a time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Carried {
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) tcp_retransmitted: u64,
    /// Packets for which a socket of the laboratory had no room.
    pub(crate) socket_drops: u64,
}

/// The same, and where packets were lost.
#[derive(Clone, Debug, Serialize)]
struct Accounted {
    #[serde(flatten)]
    carried: Carried,
    lost_at: Places,
}

impl Carried {
    fn new(report: &Report, time: Duration) -> Self {
        let Count {
            sent,
            lost,
            duplicated,
            reordered,
            ..
        } = report.total();
        Self {
            seconds: time.as_secs_f64(),
            sent,
            lost,
            duplicated,
            reordered,
            tcp_retransmitted: report.tcp_retransmitted,
            socket_drops: report.socket_drops,
        }
    }

    fn is_exact(&self) -> bool {
        (self.lost, self.duplicated, self.reordered) == (0, 0, 0)
    }
}

/// The load while `work` goes on.
pub(crate) fn under_load(
    net: &Sharing,
    rates: Rates,
    work: impl FnOnce() -> Result<()>,
) -> Result<Carried> {
    let (load, start) = (Load::start(net, rates)?, Instant::now());
    work()?;
    let time = start.elapsed();
    Ok(Carried::new(&load.stop()?, time))
}

/// Moves end systems to the next router, one after the other, so many times.
pub(crate) fn move_around(group: &Group<'_>, moves: u32) -> Result<()> {
    for (_, host) in (0..moves).zip((0..HOSTS).cycle()) {
        let condition = Sharing::host(host).to_string();
        let present = group.in_charge()?.get(&condition).copied();
        let to = (present.unwrap_or_default() + 1) % ROUTERS;
        group.move_to(&condition, to)?;
        poll::until("a move", DEADLINE, || {
            let moved = group.in_charge()?.get(&condition) == Some(&to);
            Ok((moved && group.is_quiet()?).then_some(()))
        })?;
    }
    Ok(())
}

/// The figures.
#[derive(Debug, Serialize)]
struct Figures {
    moves: u32,
    with_moves: Accounted,
    without_moves: Accounted,
    /// What routers logged of others that were silent, and of themselves that stood still: this machine's doing.
    upsets: Vec<String>,
}

/// Measures so many moves in sequence mode, then the same load for as long without, and prints both. Whether everything arrived once and in order,
/// and all routers have the same tables afterwards.
pub(crate) fn measure(program: &Path, moves: u32, json: bool) -> Result<bool> {
    let net = network()?;
    let group = Group::start(&net, program, &setup("sequence"))?;
    let known = Load::start(&net, RATES)?;
    wait_until_shared(&group)?;
    known.stop()?;
    let since = group.mark();
    let rates = Rates {
        seconds: 3600,
        ..RATES
    };
    eprintln!("{moves} moves …");
    let with_moves = accounted(&group, || {
        under_load(&net, rates, || move_around(&group, moves))
    })?;
    let time = Duration::from_secs_f64(with_moves.carried.seconds);
    eprintln!(
        "the same load for as long ({:.0} s) without …",
        time.as_secs_f64()
    );
    let without_moves = accounted(&group, || {
        under_load(&net, rates, || {
            std::thread::sleep(time);
            Ok(())
        })
    })?;
    group.wait_until_whole(DEADLINE)?;
    let figures = Figures {
        moves,
        with_moves,
        without_moves,
        upsets: group.upsets(&since, &[]),
    };
    if json {
        println!("{}", serde_json::json!(figures));
    } else {
        print(&figures);
    }
    Ok(figures.with_moves.carried.is_exact())
}

/// What became of a load, and where what it lost went.
fn accounted(group: &Group<'_>, load: impl FnOnce() -> Result<Carried>) -> Result<Accounted> {
    let before = group.places()?;
    let carried = load()?;
    Ok(Accounted {
        carried,
        lost_at: group.places()?.since(&before),
    })
}

fn print(figures: &Figures) {
    let mut table = Table::new(&[
        "moves",
        "seconds",
        "packets sent",
        "lost",
        "duplicated",
        "reordered",
        "TCP segments sent again",
    ]);
    let both = [
        (figures.moves, &figures.with_moves),
        (0, &figures.without_moves),
    ];
    for (moves, Accounted { carried, .. }) in both {
        table.row(&[
            &moves,
            &format!("{:.1}", carried.seconds),
            &carried.sent,
            &carried.lost,
            &carried.duplicated,
            &carried.reordered,
            &carried.tcp_retransmitted,
        ]);
    }
    println!("{table}");
    println!("All routers have the same tables; nothing is held or unserved.");
    for (moves, Accounted { carried, lost_at }) in both {
        println!(
            "with {moves} moves, all frames, those of ARP and of the routers among themselves included: {} were dropped by links, {} for want \
             of room in the packet sockets of routers that did not run, {} on their way out of routers, {} for want of room in receivers' \
             sockets; routers discarded {:?}",
            lost_at.links,
            lost_at.router_sockets,
            lost_at.router_egress,
            carried.socket_drops,
            lost_at.discards
        );
    }
    for upset in &figures.upsets {
        println!("this machine held up a router: {upset}");
    }
}
