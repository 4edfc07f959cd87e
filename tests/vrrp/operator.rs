//! What an operator configures beside an election: tracking, commands on a change of state, reloads; and what is shown and logged.

use std::os::unix::fs::PermissionsExt;

use lab::poll;
use serde_json::Value;

use crate::member::{Member, PATIENCE, changes, configuration, port};
use crate::network::{HOST, INTERFACE, Lan, PREFIX_LEN, UPLINK, VIRTUAL, VRID, address_of};
use crate::router::{await_alone, await_master};
use crate::settings::Settings;
use crate::watch::Watch;

/// Two routers, of which the one that is 50 ahead tracks something.
fn tracking<'a>(lan: &'a Lan, track: &str, further: &str) -> (Member<'a>, Member<'a>) {
    let track = format!("[[virtual-router.track]]\n{track}\n");
    let text = configuration(0, &Settings::new(3, 150), &track) + further;
    let first = Member::run(lan, 0, &text);
    let second = Member::start(lan, 1, &Settings::new(3, 100));
    await_master(&first, &second);
    (first, second)
}

/// A second port on the link that leads nowhere.
fn uplink() -> String {
    format!("[[port]]\nname = \"up\"\ndevice = \"net_af_packet1,iface={UPLINK}\"\n")
}

#[test]
fn a_watched_address_that_falls_silent_hands_mastership_to_another() {
    let lan = Lan::new(2);
    let track = format!("address = \"{HOST}\"\ninterval = \"100ms\"\nweight = -100");
    let (first, second) = tracking(&lan, &track, "");
    let set_address = |verb: &str| {
        lan.host
            .sh(&format!(
                "ip address {verb} {HOST}/{PREFIX_LEN} dev {INTERFACE}"
            ))
            .expect("the address set");
    };
    set_address("delete");
    await_master(&second, &first);
    assert_eq!(first.group()["priority"], 50);
    set_address("add");
    await_master(&first, &second);
    assert_eq!(first.group()["priority"], 150);
}

#[test]
fn another_ports_link_that_goes_down_costs_its_weight_and_hands_mastership_to_another() {
    let lan = Lan::new(2);
    lan.add_uplink(0);
    let (first, second) = tracking(&lan, "port = \"up\"\nweight = -100", &uplink());
    lan.set_uplink(0, false);
    await_master(&second, &first);
    let shown = first.group();
    assert_eq!(
        (&shown["state"], &shown["priority"]),
        (&"backup".into(), &50.into())
    );
    assert_eq!(first.last_cause(), "higher-priority");
    assert_eq!(second.last_cause(), "lower-priority-master");
    lan.set_uplink(0, true);
    await_master(&first, &second);
}

#[test]
fn an_essential_link_that_goes_down_takes_the_router_out_with_a_farewell() {
    let lan = Lan::new(2);
    lan.add_uplink(0);
    let (first, second) = tracking(&lan, "port = \"up\"", &uplink());
    lan.set_uplink(0, false);
    await_master(&second, &first);
    let shown = first.group();
    assert_eq!(
        (&shown["state"], &shown["obstacle"]),
        (&"initialise".into(), &"port up fails".into())
    );
    assert_eq!(first.last_cause(), "track-fails");
    assert_eq!(second.last_cause(), "master-resigned");
    lan.set_uplink(0, true);
    await_master(&first, &second);
    assert_eq!(first.refusals(), []);
}

#[test]
fn a_command_of_the_operators_runs_on_every_change_of_state_which_the_log_tells_with_its_cause() {
    let lan = Lan::new(1);
    let machine = lan.router(0);
    let script = "#!/bin/sh\necho \"$1 $MANIFOLD_NEW_STATE $MANIFOLD_CAUSE\" >>/run/notified\n";
    let command = machine.run_file("notify");
    std::fs::write(&command, script).expect("a command");
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o700)).expect("executable");
    // What a shell would make something of.
    let notify = "notify = [\"/run/notify\", \"$(id)\"]";
    let member = Member::start_with(&lan, 0, &Settings::new(3, 100), notify);
    await_alone(&member);
    let said = member.stop();
    let told = std::fs::read_to_string(machine.run_file("notified")).expect("commands run");
    let expected = "$(id) backup link-up\n$(id) master master-silent\n$(id) initialise stopped\n";
    assert_eq!(told, expected);
    let logged = changes(&said).into_iter();
    let logged: String = logged
        .map(|change| format!("$(id) {} {}\n", change.to, change.cause))
        .collect();
    assert_eq!(logged, expected);
}

#[test]
fn show_vrrp_has_a_line_for_each_virtual_router_and_says_why_it_is_what_it_is() {
    let lan = Lan::new(2);
    let first = Member::start(&lan, 0, &Settings::new(3, 150));
    await_alone(&first);
    let second = Member::start(&lan, 1, &Settings::new(3, 100));
    poll::until("a backup with a master", PATIENCE, || {
        Ok((second.group()["master_priority"] == 150).then_some(()))
    })
    .expect("a master");
    let table = second.table("show vrrp");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let (vrid, master, virtual_address) = (
        VRID.to_string(),
        address_of(0).to_string(),
        VIRTUAL.to_string(),
    );
    let backup = [
        "lan",
        &vrid,
        "backup",
        "100",
        &master,
        "100",
        "ms",
        &virtual_address,
        "link",
        "up",
    ];
    assert!(lines.iter().any(|line| line[..] == backup), "{table}");
    let table = first.table("show vrrp");
    assert!(table.contains("no master heard for "), "{table}");
}

/// A router with groups of these VRIDs and priorities, at 100 ms.
fn groups(index: usize, groups: &[(u8, u8)]) -> String {
    let group = |(vrid, priority): &(u8, u8)| {
        format!(
            "
[[virtual-router]]
port = \"lan\"
vrid = {vrid}
virtual-addresses = [\"10.73.1.{vrid}\"]
priority = {priority}
advertisement-interval = \"100ms\"
"
        )
    };
    port(index) + &groups.iter().map(group).collect::<String>()
}

fn of_group(member: &Member<'_>, vrid: u8) -> Option<Value> {
    let shown = member.show();
    let groups = shown["virtual_routers"].as_array().expect("groups");
    let found = groups.iter().find(|group| group["vrid"] == vrid);
    found.cloned()
}

#[test]
fn a_reload_adds_removes_and_changes_groups_and_disturbs_no_other() {
    let lan = Lan::new(2);
    let first = Member::run(&lan, 0, &groups(0, &[(1, 150), (2, 150), (3, 150)]));
    let second = Member::run(&lan, 1, &groups(1, &[(1, 100), (2, 100), (3, 100)]));
    let state = |member: &Member<'_>, vrid| {
        of_group(member, vrid).map(|group| group["state"].as_str().map(str::to_owned))
    };
    let is = |member: &Member<'_>, vrid, wanted: &str| {
        state(member, vrid) == Some(Some(wanted.to_owned()))
    };
    poll::until("the first as master of all", PATIENCE, || {
        let all = |member, state| (1..=3).all(|vrid| is(member, vrid, state));
        Ok((all(&first, "master") && all(&second, "backup")).then_some(()))
    })
    .expect("an election");
    let watch = Watch::start(lan.host_end());
    let before = [&first, &second].map(|member| of_group(member, 1).expect("group 1"));

    first.reload(&groups(0, &[(1, 150), (3, 50), (4, 150)]));
    poll::until("the new order", PATIENCE, || {
        let moved = is(&second, 2, "master") && is(&second, 3, "master");
        let there = is(&first, 3, "backup") && is(&first, 4, "master");
        Ok((moved && there).then_some(()))
    })
    .expect("what the file says");
    assert_eq!(state(&first, 2), None);
    let cause = |vrid| {
        let group = of_group(&second, vrid).expect("a group");
        group["transitions"]
            .as_array()
            .expect("transitions")
            .last()
            .expect("one")["cause"]
            .clone()
    };
    assert_eq!(cause(2), "master-resigned");
    assert_eq!(cause(3), "lower-priority-master");

    let after = [&first, &second].map(|member| of_group(member, 1).expect("group 1"));
    for (before, after) in before.iter().zip(&after) {
        for kept in ["state", "priority", "master_address"] {
            assert_eq!(before[kept], after[kept]);
        }
        let changes = |group: &Value| group["transitions"].as_array().map(Vec::len);
        assert_eq!(changes(before), changes(after));
        assert!(after["state_for_ms"].as_f64() > before["state_for_ms"].as_f64());
    }
    let seen = watch.finish();
    let of_first: Vec<_> = seen.iter().filter(|seen| seen.vrid == 1).collect();
    assert!(of_first.len() > 1);
    assert!(
        of_first
            .iter()
            .all(|seen| seen.from == address_of(0) && seen.priority == 150)
    );
}
