//! Two virtual routers with different masters on one LAN.

use std::collections::BTreeMap;

use lab::group::Group;
use lab::load::Load;
use lab::topology::sharing::{KEYS, LAN, Setup, Sharing};
use serde_json::Value;

use super::shares::routed_by;
use super::{DEADLINE, RATES, expect_exact, program};

/// The VRID of the second one.
const OTHER: u8 = 9;
const OTHER_GATEWAY: &str = "10.75.1.201";

fn shown(group: &Group<'_>, router: u8, command: &str, vrid: u8) -> lab::Result<Value> {
    let answer = group.router(router)?.ask(command)?;
    let mut groups = answer["groups"].as_array().into_iter().flatten();
    let found = groups.find(|group| group["vrid"] == vrid);
    Ok(found.cloned().unwrap_or_default())
}

/// Who is in charge of what, as a router has it.
fn in_charge(group: &Group<'_>, router: u8, vrid: u8) -> lab::Result<BTreeMap<String, String>> {
    let allocation = shown(group, router, "show allocation", vrid)?;
    let conditions = allocation["conditions"].as_array().into_iter().flatten();
    Ok(conditions
        .filter_map(|row| {
            let text = |field: &str| Some(row[field].as_str()?.to_owned());
            Some((text("condition")?, text("router")?))
        })
        .collect())
}

/// Both routers' table, once it has these end systems and the rest, each router one of them, and nothing is under way.
fn shared(
    group: &Group<'_>,
    vrid: u8,
    systems: [u8; 2],
) -> lab::Result<Option<BTreeMap<String, String>>> {
    let tables = [in_charge(group, 0, vrid)?, in_charge(group, 1, vrid)?];
    let [table, other] = tables;
    let of = systems.map(|system| table.get(&Sharing::host(system).to_string()));
    let whole = of.iter().all(Option::is_some) && of[0] != of[1] && table.len() == 3;
    let moves = |router| shown(group, router, "show moves", vrid);
    let quiet = moves(0)?["total"] == 0 && moves(1)?["total"] == 0;
    Ok((whole && quiet && table == other).then_some(table))
}

#[test]
fn two_virtual_routers_with_different_masters_share_load_independently() {
    let net = Sharing::new(4, 2, 1).expect("a network");
    for host in &net.hosts[2..] {
        let line = format!("ip route replace default via {OTHER_GATEWAY}");
        host.sh(&line).expect("a gateway");
    }
    // Each learns those that send to it.
    let sharing = format!("{KEYS}\nsweep = false\n");
    let setup = Setup {
        further: format!(
            "\n[[virtual-router]]\nvrid = {OTHER}\nport = \"{LAN}\"\npriority = {{priority}}\nvirtual-addresses = [\"{OTHER_GATEWAY}\"]\n\
             [virtual-router.load-sharing]\n{sharing}"
        ),
        sharing: Some(sharing),
        ..Setup::default()
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    lab::poll::until("a different authority of each", DEADLINE, || {
        let of = |vrid| shown(&group, 0, "show routers", vrid);
        let authorities = [of(Sharing::VRID)?, of(OTHER)?].map(|group| group["authority"].clone());
        let expected = [0, 1].map(|router| Value::from(Sharing::router(router).to_string()));
        Ok((authorities == expected).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}{}", group.said(30)));
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    let settled = |vrid, systems| {
        lab::poll::until("end systems shared", DEADLINE, || {
            shared(&group, vrid, systems)
        })
        .unwrap_or_else(|error| panic!("{error}{}", group.said(30)))
    };
    let mut tables = [settled(Sharing::VRID, [0, 1]), settled(OTHER, [2, 3])];

    // A move in one is none in the other, though the same machines, the same port and the same hub carry both.
    let moved = Sharing::host(2).to_string();
    let to = if tables[1][&moved] == Sharing::router(0).to_string() {
        1
    } else {
        0
    };
    let order = format!("move {moved} to {}", Sharing::router(to));
    group
        .router(1)
        .expect("a router")
        .ask(&order)
        .expect("an order");
    let after = lab::poll::until("the move", DEADLINE, || {
        let tables = [in_charge(&group, 0, OTHER)?, in_charge(&group, 1, OTHER)?];
        let there = |table: &BTreeMap<String, String>| {
            table.get(&moved) == Some(&Sharing::router(to).to_string())
        };
        let quiet = [0, 1]
            .into_iter()
            .map(|router| shown(&group, router, "show moves", OTHER));
        let quiet: Vec<Value> = quiet.collect::<lab::Result<_>>()?;
        let over = tables.iter().all(there) && quiet.iter().all(|moves| moves["total"] == 0);
        Ok(over.then(|| tables[0].clone()))
    })
    .unwrap_or_else(|error| panic!("{error}{}", group.said(30)));
    tables[1] = after;
    let unmoved = in_charge(&group, 0, Sharing::VRID).expect("a table");
    assert_eq!(unmoved, tables[0]);

    let seen = routed_by(&net, || {
        std::thread::sleep(std::time::Duration::from_secs(1));
    });
    for (host, routers) in seen {
        let id = tables.iter().find_map(|table| table.get(&host));
        let number =
            |router: &usize| Sharing::router(u8::try_from(*router).expect("few")).to_string();
        let routers: Vec<String> = routers.iter().map(number).collect();
        assert_eq!(
            routers.iter().collect::<Vec<_>>(),
            id.into_iter().collect::<Vec<_>>(),
            "{host}"
        );
    }
    expect_exact(&net, &group, &since, &load.stop().expect("counts"));
}
