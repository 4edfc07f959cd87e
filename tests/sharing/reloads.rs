//! What a reload changes in a group that shares load, it changes at once.

use lab::group::Group;
use lab::load::Load;
use lab::poll;
use lab::topology::sharing::{KEYS, Setup, Sharing};

use super::{DEADLINE, RATES, expect_exact, program, told, told_group};

/// A field of each router's answer.
fn of_each(group: &Group<'_>, command: &str, field: &str) -> lab::Result<Vec<serde_json::Value>> {
    let shown = |(_, router)| Ok(Group::shown(router, command)?[field].clone());
    group.running().map(shown).collect()
}

#[test]
fn another_mode_is_in_force_for_all_without_waiting_for_anything_to_move() {
    let net = Sharing::new(6, 3, 1).expect("a network");
    let mut group = told_group(&net, &told("mode = \"sequence\""));
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    let moves = |group: &Group<'_>| of_each(group, "show moves", "counters").expect("moves");
    let before = moves(&group);
    for mode in ["timer", "sequence"] {
        let setup = told(&format!("mode = \"{mode}\""));
        group.reload(&setup).expect("a reload");
        poll::until("the mode in force", DEADLINE, || {
            let modes = of_each(&group, "show routers", "mode")?;
            Ok(modes.iter().all(|shown| shown == mode).then_some(()))
        })
        .expect(mode);
    }
    assert_eq!(moves(&group), before, "nothing has moved");
    let report = load.stop().expect("counts");
    expect_exact(&net, &group, &since, &report);
}

#[test]
fn more_end_systems_are_taken_up_and_counted_once_there_may_be_more() {
    const HOSTS: u8 = 6;
    const FEWER: usize = 3;
    let setup = |most: usize| Setup {
        sharing: Some(format!(
            "{KEYS}\nsweep = false\ninformation-requests = false\nend-systems-max = {most}\nreview-window = \"1s\"\nreview-hold = \"1s\"\n"
        )),
        ..Setup::default()
    };
    let net = Sharing::new(HOSTS, 2, 1).expect("a network");
    let mut group = Group::start(&net, program(), &setup(FEWER)).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let load = Load::start(&net, RATES).expect("a load");
    let full = poll::until("end systems refused", DEADLINE, || {
        let refused = of_each(&group, "show routers", "counters")?;
        let refused = refused
            .iter()
            .filter_map(|shown| shown["end-systems-refused"].as_u64());
        let is_full = group.in_charge()?.len() == FEWER + 1;
        Ok((is_full && refused.sum::<u64>() > 0).then_some(()))
    });
    if full.is_err() {
        println!("{:?}{}", group.in_charge(), group.story());
    }
    full.expect("a full table");
    group.reload(&setup(1_000)).expect("a reload");
    let all = usize::from(HOSTS);
    group
        .wait_until_known(all + 1, DEADLINE)
        .expect("all of them");
    poll::until("a rate of each", DEADLINE, || {
        let mut measured = std::collections::BTreeSet::new();
        for conditions in of_each(&group, "show flow-rates", "conditions")? {
            let rows = conditions.as_array().cloned().unwrap_or_default();
            let moving = rows.iter().filter(|row| row["bit_s"].as_u64() > Some(0));
            measured.extend(moving.filter_map(|row| row["condition"].as_str().map(str::to_owned)));
        }
        measured.remove("rest");
        Ok((measured.len() == all).then_some(()))
    })
    .expect("counted packets");
    load.stop().expect("counts");
}
