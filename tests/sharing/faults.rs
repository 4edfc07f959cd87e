//! Routers die in the middle of moves, stand still, or hear only one way, and come back: afterwards all have the same tables, nothing is
//! held or unserved, and moves are exact.

use std::time::Duration;

use lab::group::Group;
use lab::load::Load;
use lab::poll;
use lab::topology::sharing::{KEYS, Setup, Sharing};
use nix::sys::signal::Signal;

use super::moves::move_around;
use super::{DEADLINE, RATES, expect_exact, program};

const HOSTS: u8 = 4;
/// Short enough for a silence to be noticed soon, long enough for a busy machine not to look like one.
const INTERVAL: Duration = Duration::from_millis(500);

/// A group that is whole, with every end system known.
fn group(net: &Sharing) -> Group<'_> {
    let setup = Setup {
        interval: INTERVAL,
        sharing: Some(format!("{KEYS}\nend-systems = [\"10.75.1.8/29\"]\n")),
        ..Setup::default()
    };
    let group = Group::start(net, program(), &setup).expect("routers");
    group.wait_until_whole(DEADLINE).expect("equal tables");
    group
}

/// Expects that the group is whole, and moves every end system once, which disturbs no packet.
fn expect_whole_and_exact(net: &Sharing, group: &Group<'_>) {
    group.wait_until_whole(DEADLINE).expect("equal tables");
    let since = group.mark();
    let load = Load::start(net, RATES).expect("a load");
    move_around(group, HOSTS, 1);
    expect_exact(net, group, &since, &load.stop().expect("counts"));
    group.wait_until_whole(DEADLINE).expect("equal tables");
}

/// Pseudo-random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }
}

/// Waits until a router is in charge of a condition, and nothing moves.
fn put(group: &Group<'_>, condition: &str, at: u8) {
    if group.in_charge().expect("a table").get(condition) == Some(&at) {
        return;
    }
    group.move_to(condition, at).expect("an order");
    poll::until("the move", DEADLINE, || {
        let moved = group.in_charge()?.get(condition) == Some(&at);
        Ok((moved && group.is_quiet()?).then_some(()))
    })
    .expect("an end of the move");
}

#[test]
fn whoever_restarts_in_the_middle_of_a_move_the_tables_converge_and_nothing_stays_held() {
    /// A move takes some tens of milliseconds here.
    const MOMENT_END_US: u64 = 40_000;
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    let mut group = group(&net);
    let mut dice = Dice(4);
    // From, to, and who is killed; the first is the authority.
    for (from, to, victim) in [
        (1, 2, 1),
        (1, 2, 2),
        (1, 2, 0),
        (2, 1, 2),
        (2, 1, 1),
        (0, 1, 0),
        (1, 0, 0),
    ] {
        let condition = Sharing::host(u8::try_from(dice.below(u64::from(HOSTS))).expect("few"));
        let condition = condition.to_string();
        put(&group, &condition, from);
        let load = Load::start(&net, RATES).expect("a load");
        group.move_to(&condition, to).expect("an order");
        let moment = Duration::from_micros(dice.below(MOMENT_END_US));
        std::thread::sleep(moment);
        group.kill(victim);
        group.start_router(victim).expect("a router");
        group.wait_until_whole(DEADLINE).expect("equal tables");
        let udp = load.stop().expect("counts").udp_total();
        println!(
            "r{} to r{}, r{} killed after {moment:?}: {udp:?}",
            from + 1,
            to + 1,
            victim + 1
        );
    }
    expect_whole_and_exact(&net, &group);
}

/// What happens to a router, who is master then, and how it is brought about, and ended.
type Fault<'a> = (&'a str, u8, &'a dyn Fn(bool));

#[test]
fn a_master_that_stood_still_or_heard_or_spoke_one_way_comes_back_to_equal_tables() {
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    let group = group(&net);
    let is_master = |index: u8| -> lab::Result<bool> {
        let shown = Group::shown(group.router(index)?, "show routers")?;
        let routers = shown["routers"].as_array().into_iter().flatten();
        let mut this = routers.filter(|router| router["is_this"] == true);
        Ok(this.any(|router| router["master"] == true))
    };
    let wait_for_master = |index: u8| {
        poll::until("another master", DEADLINE, || {
            Ok(is_master(index)?.then_some(()))
        })
        .expect("another master");
    };
    let faults: [Fault<'_>; 4] = [
        ("stands still", 1, &|on| {
            let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
            group.signal(0, signal).expect("a router");
        }),
        ("is not heard", 1, &|on| {
            net.set_mute(0, on).expect("the hub");
        }),
        ("hears nobody", 0, &|on| {
            net.set_deaf(0, on).expect("the hub");
        }),
        ("hears nobody, a backup", 2, &|on| {
            net.set_deaf(2, on).expect("the hub");
        }),
    ];
    for (what, master, set) in faults {
        let load = Load::start(&net, RATES).expect("a load");
        set(true);
        wait_for_master(master);
        // Long enough for whoever does not hear the others to miss them.
        std::thread::sleep(Duration::from_secs(3));
        set(false);
        group.wait_until_whole(DEADLINE).expect("equal tables");
        let udp = load.stop().expect("counts").udp_total();
        println!("a master {what}: {udp:?}");
        expect_whole_and_exact(&net, &group);
    }
}
