//! `manifold top` at the routers of a real group: what each carries, the heaviest end systems, and moves as they happen.

use std::process::Command;

use lab::group::Group;
use lab::load::Load;
use lab::process::command;
use lab::skew::{self, Skew, WINDOW};
use lab::terminal::Terminal;
use lab::topology::sharing::Sharing;

use super::reviews::{RATES, wait_until_measured};
use super::{DEADLINE, program};

const HOSTS: u8 = 12;
/// Wide enough for all columns.
const SIZE: (u16, u16) = (120, 30);

/// The live view of a router, as its operator has it.
pub(super) fn top(net: &Sharing, router: u8) -> Terminal {
    let machine = &net.routers[usize::from(router)];
    let mut top: Command = command(program());
    top.args(["top", "--socket"]);
    top.arg(machine.run_file("manifold/control.sock"));
    Terminal::spawn(top, SIZE).expect("a live view")
}

/// The line of a router in its table, and the words behind its name.
pub(super) fn line_of(screen: &str, router: u8) -> Vec<&str> {
    let id = Sharing::router(router).to_string();
    let mut lines = screen
        .lines()
        .map(|line| line.trim_start_matches('│').trim());
    let line = lines.find(|line| line.split_whitespace().next() == Some(id.as_str()));
    let words = line.into_iter().flat_map(str::split_whitespace);
    words.filter(|word| *word != "│").skip(1).collect()
}

/// What a line says that the router carries, in Mbit/s, and the length of its bar.
fn load(line: &[&str]) -> Option<(f64, usize)> {
    let bar = line.iter().position(|word| word.starts_with('█'))?;
    let megabits = line.get(bar + 1)?.trim_start_matches('~').parse().ok()?;
    Some((megabits, line[bar].chars().count()))
}

#[test]
fn the_live_view_of_a_real_group_shows_shares_heaviest_end_systems_and_moves_as_they_happen() {
    const HEAVY: u8 = 1;
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    let group = Group::start(&net, program(), &skew::setup(HOSTS)).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    skew::wait_until_shared(&group, HOSTS, DEADLINE).expect("shares");
    let skew = Skew::of(&group, HOSTS, HEAVY).expect("a skew");
    let heaviest = (0..HOSTS).max_by_key(|host| skew.pps(*host)).expect("some");
    let heaviest = Sharing::host(heaviest).to_string();
    let sending = Load::start_uneven(&net, RATES, |host| skew.pps(host));
    let sending = sending.and_then(Load::steady).expect("a load");
    wait_until_measured(&group, &skew);

    // At the heavy router: what it carries itself is known to it.
    let mut at_heavy = top(&net, HEAVY);
    let screen = at_heavy
        .wait_until("what the heavy router carries", DEADLINE, |screen| {
            load(&line_of(screen, HEAVY)).is_some_and(|(megabits, _)| megabits > 1.0)
                && screen.contains(&heaviest)
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("at the heavy router, before:\n{screen}");
    assert!(line_of(&screen, HEAVY).contains(&"working"), "{screen}");

    // At the one that allocates: after a review all are known.
    let mut at_master = top(&net, 0);
    for router in 0..group.count() {
        skew::let_go(&group, router, 1).expect("a threshold");
    }
    let moves = |screen: &str| {
        screen
            .lines()
            .filter(|line| line.contains(" s ago  10.75.1."))
            .count()
    };
    for view in [&mut at_master, &mut at_heavy] {
        let screen = view
            .wait_until("moves", DEADLINE, |screen| moves(screen) > 0)
            .unwrap_or_else(|error| panic!("{error}"));
        println!("as end systems change hands:\n{screen}");
    }
    skew.wait_until_balanced(&group, 1.10, DEADLINE)
        .unwrap_or_else(|error| panic!("{error}{}", group.said(30)));
    let screen = at_master
        .wait_until("equal shares", DEADLINE + WINDOW * 2, |screen| {
            let lines = (0..3).map(|router| load(&line_of(screen, router)));
            let lines: Option<Vec<(f64, usize)>> = lines.collect();
            lines.is_some_and(|lines| {
                let most = lines
                    .iter()
                    .map(|(megabits, _)| *megabits)
                    .fold(0.0, f64::max);
                // No bar is much shorter than the longest.
                most > 0.2 && lines.iter().all(|(_, bar)| *bar >= 15)
            }) && screen.contains("last review")
                && screen.contains("(0 under way)")
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("at the master, after:\n{screen}");
    assert!(screen.contains(&heaviest), "{screen}");
    at_master
        .type_until("q", "\x1b[?1049l", DEADLINE)
        .expect("an end");
    assert!(at_master.finish(DEADLINE).expect("an end").status.success());

    // One that ends is waited for, and the last figures stay.
    let mut group = group;
    group.stop(HEAVY).expect("an end");
    at_heavy
        .wait_until("the router being missed", DEADLINE, |screen| {
            screen.contains("trying again") && screen.contains("s old")
        })
        .unwrap_or_else(|error| panic!("{error}"));
    drop(sending);
}
