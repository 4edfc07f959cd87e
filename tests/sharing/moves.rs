//! End systems change hands under load.

use lab::group::{Group, Mark};
use lab::load::Load;
use lab::topology::sharing::{KEYS, Setup, Sharing};

use super::{DEADLINE, RATES, blames_the_machine, expect_exact, program};

/// Moves every end system in turn, `rounds` times, each time to the next router. Returns how many moves that were.
pub(super) fn move_around(group: &Group<'_>, hosts: u8, rounds: u8) -> u32 {
    let mut moves = 0;
    for _ in 0..rounds {
        for host in 0..hosts {
            move_on(group, &Sharing::host(host).to_string());
            moves += 1;
        }
    }
    moves
}

/// Moves a condition to the next router that routes.
pub(super) fn move_on(group: &Group<'_>, condition: &str) {
    let present = group.in_charge().expect("a table");
    let to = (present[condition] + 1) % group.routing();
    group.move_to(condition, to).expect("an order");
    let moved = group.wait_until_moved(condition, to, DEADLINE);
    moved.expect("an end of the move");
}

/// A group under load that knows all its end systems.
fn with_group(mode: &str, work: impl FnOnce(&Sharing, &Group<'_>, &Mark, Load<'_>)) {
    let net = Sharing::new(6, 3, 2).expect("a network");
    let setup = Setup {
        sharing: Some(format!(
            "mode = \"{mode}\"\n{KEYS}\nend-systems = [\"10.75.1.8/29\"]\n"
        )),
        ..Setup::default()
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    work(&net, &group, &since, load);
}

#[test]
fn moves_in_sequence_mode_lose_double_and_reorder_nothing() {
    with_group("sequence", |net, group, since, load| {
        let moves = move_around(group, 4, 8);
        println!("{moves} moves");
        let report = load.stop().expect("counts");
        expect_exact(net, group, since, &report);
        group.wait_until_whole(DEADLINE).expect("equal tables");
    });
}

#[test]
fn moves_in_timer_mode_double_nothing() {
    with_group("timer", |_, group, since, load| {
        let moves = move_around(group, 4, 2);
        let report = load.stop().expect("counts");
        println!("{moves} moves in timer mode: {:?}", report.udp_total());
        let duplicated = report.total().duplicated;
        assert!(duplicated == 0 || !blames_the_machine(group, since, &[]));
        assert_eq!(duplicated, 0, "{report:#?}");
    });
}
