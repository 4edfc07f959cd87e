//! A router in the group that knows VRRP alone.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::capture::Capture;
use lab::group::Group;
use lab::keepalived::Keepalived;
use lab::load::{Load, Rates};
use lab::poll;
use lab::topology::sharing::{CARRIER, KEYS, LAN, Setup, Sharing};

use super::shares::routed_by;
use super::{DEADLINE, RATES, expect_exact, program};

/// The machine that keepalived runs on, behind those of our two routers.
const THEIRS: u8 = 2;
/// Between those of our routers.
const PRIORITY: u8 = 199;

/// Starts keepalived, and lets its kernel route.
fn start_keepalived(net: &Sharing) -> Keepalived<'_> {
    let machine = &net.routers[usize::from(THEIRS)];
    machine.sysctl("ipv4/ip_forward", "1").expect("routing");
    // End systems whose gateway is the virtual address are to stay with it.
    machine
        .sysctl("ipv4/conf/all/send_redirects", "0")
        .expect("no redirects");
    let carrier = Sharing::router_at_carrier(THEIRS);
    net.router_end(THEIRS, CARRIER)
        .address(&format!("{carrier}/24"))
        .expect("an address");
    let address = format!("{}/24", Sharing::router(THEIRS));
    let (vrid, gateway) = (Sharing::VRID, Sharing::GATEWAY);
    let configuration = format!(
        "global_defs {{
  router_id witness
  vrrp_garp_master_delay 1
}}
vrrp_instance witness {{
  version 3
  state BACKUP
  interface {LAN}
  virtual_router_id {vrid}
  priority {PRIORITY}
  advert_int 1
  accept
  virtual_ipaddress {{
    {gateway}/24 dev {LAN}
  }}
}}
"
    );
    let end = net.router_end(THEIRS, LAN);
    Keepalived::start(end, &address, gateway, &configuration).expect("keepalived")
}

/// Packets of VRRP's protocol that end systems see in a time, by whether they are advertisements.
fn heard_by_end_systems(net: &Sharing, time: Duration) -> (usize, usize) {
    let capture = Capture::start(net.host_end(0), "ip proto 112").expect("a capture");
    std::thread::sleep(time);
    let captured = capture.finish().expect("an end");
    let count = |filter| captured.fields(filter, &["ip.src"]).expect("fields").len();
    (count("vrrp.type == 1"), count("vrrp.type != 1"))
}

#[test]
fn a_keepalived_router_elects_and_yields_and_routes_everything_alone_while_it_is_master() {
    let net = Sharing::new(4, 3, 2).expect("a network");
    let setup = Setup {
        // keepalived refuses what does not count the pseudo-header.
        lan: "checksum = \"with-pseudo-header\"".into(),
        sharing: Some(format!(
            "{KEYS}\nplain-members = [\"{}\"]\nend-systems = [\"10.75.1.8/29\"]\n",
            Sharing::router(THEIRS)
        )),
        ..Setup::default()
    };
    let mut group = Group::start_first(&net, program(), &setup, THEIRS).expect("routers");
    let theirs = start_keepalived(&net);
    group.wait_until_whole(DEADLINE).expect("equal tables");

    // As a backup it gets nothing.
    let in_charge: BTreeSet<u8> = group.in_charge().expect("a table").into_values().collect();
    assert_eq!(in_charge, BTreeSet::from([0, 1]));
    assert!(!theirs.is_master().expect("addresses"));

    // The master goes, and keepalived comes before our other router.
    group.stop(0).expect("an end");
    poll::until("keepalived as the only master", DEADLINE, || {
        let shown = group.router(1)?.ask("show vrrp")?;
        let routers = shown["virtual_routers"].as_array().into_iter().flatten();
        let mut lan = routers.filter(|router| router["vrid"] == Sharing::VRID);
        let its = Sharing::router(THEIRS).to_string();
        let is_backup = lan
            .any(|router| router["state"] == "backup" && router["master_address"] == its.as_str());
        Ok((is_backup && theirs.is_master()?).then_some(()))
    })
    .expect("keepalived as master");
    poll::until("everything discarded", DEADLINE, || {
        let group = Group::shown(group.router(1)?, "show allocation")?;
        let mut conditions = group["conditions"].as_array().into_iter().flatten();
        let discarded = conditions.all(|row| row["verdict"] == "discard");
        Ok(discarded.then_some(()))
    })
    .expect("nothing routed beside it");
    let only_datagrams = Rates {
        streams: 0,
        ..RATES
    };
    let (mut of_protocol, mut report) = ((0, 0), None);
    let seen = routed_by(&net, || {
        let load = Load::start(&net, only_datagrams).expect("a load");
        of_protocol = heard_by_end_systems(&net, Duration::from_secs(3));
        report = load.stop().ok();
    });
    let report = report.expect("counts");
    let by_keepalived = |routers: &BTreeSet<usize>| *routers == BTreeSet::from([2]);
    assert!(
        seen.len() == 4 && seen.values().all(by_keepalived),
        "{seen:?}"
    );
    assert!(report.udp_total().is_exact(), "{report:#?}");
    let (advertisements, extension) = of_protocol;
    assert!(advertisements > 0);
    assert_eq!(extension, 0, "the extension is not quiet");

    // It yields to the one with the higher priority, and the load is shared again.
    group.start_router(0).expect("a router");
    poll::until("keepalived as backup", DEADLINE, || {
        Ok((!theirs.is_master()?).then_some(()))
    })
    .expect("a master of higher priority");
    group.wait_until_whole(DEADLINE).expect("equal tables");
    poll::until("a share for either", DEADLINE, || {
        let routers: BTreeSet<u8> = group.in_charge()?.into_values().collect();
        Ok((routers == BTreeSet::from([0, 1])).then_some(()))
    })
    .expect("shares");
    group.wait_until_whole(DEADLINE).expect("equal tables");
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    std::thread::sleep(Duration::from_secs(2));
    expect_exact(&net, &group, &since, &load.stop().expect("counts"));
    assert_eq!(theirs.refusals().expect("statistics"), Vec::<String>::new());
}
