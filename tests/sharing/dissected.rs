//! What the routers of a group say to each other, as the Wireshark dissector in `scripts/wireshark/` reads it off the link.

use std::collections::BTreeMap;
use std::path::Path;

use lab::capture::Capture;
use lab::group::Group;
use lab::poll;
use lab::topology::sharing::{KEYS, Setup, Sharing};

use super::moves::move_around;
use super::{DEADLINE, END_SYSTEMS, program};

#[test]
fn every_message_of_a_group_that_moves_and_reviews_is_read_off_the_link() {
    let net = Sharing::new(2, 2, 1).expect("a network");
    let systems: Vec<String> = (0..END_SYSTEMS)
        .map(|host| format!("\"{}\"", Sharing::host(host)))
        .collect();
    let setup = Setup {
        sharing: Some(format!(
            "{KEYS}\nend-systems = [{}]\nreview-window = \"1s\"\nreview-hold = \"1s\"\nreview-rate-mbit = 1\n",
            systems.join(", ")
        )),
        ..Setup::default()
    };
    let capture = Capture::start(net.host_end(0), "ip proto 112").expect("a capture");
    let group = Group::start(&net, program(), &setup).expect("routers");
    let known = group.wait_until_known(usize::from(END_SYSTEMS) + 1, DEADLINE);
    known.expect("agreement");
    move_around(&group, END_SYSTEMS, 1);
    let authority = group.router(0).expect("a router");
    authority.ask("review now").expect("a review");
    poll::until("a review", DEADLINE, || {
        let shown = Group::shown(authority, "show flow-rates")?;
        Ok((!shown["last_review"].is_null()).then_some(()))
    })
    .expect("a review");
    let sent: u64 = group
        .running()
        .map(|(_, router)| {
            let shown = Group::shown(router, "show routers").expect("routers");
            let counters = shown["counters"].as_object().into_iter().flatten();
            let sent = counters.filter(|(name, _)| {
                name.ends_with("-sent") && !name.contains("information") && !name.contains("sweep")
            });
            sent.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
        })
        .sum();
    drop(group);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/wireshark/vrrp-sharing.lua");
    let captured = capture.finish().expect("an end").with_dissector(&script);

    let bad = captured.fields(
        "vrrp_sharing and (_ws.malformed or _ws.expert)",
        &["frame.number", "_ws.col.info"],
    );
    assert_eq!(bad.expect("packets"), Vec::<String>::new());
    let read = captured.fields(
        "vrrp_sharing",
        &["vrrp_sharing.type", "vrrp_sharing.router"],
    );
    let mut types: BTreeMap<String, u64> = BTreeMap::new();
    for line in read.expect("packets") {
        let kind = line.split('\t').next().unwrap_or_default();
        *types.entry(kind.to_owned()).or_default() += 1;
    }
    println!("{types:?}, {sent} sent when it was last asked");
    for kind in ["2", "3", "4", "5", "7", "8"] {
        assert!(types.contains_key(kind), "type {kind} of {types:?}");
    }
    let not_read = captured.fields(
        "ip.proto == 112 and not vrrp_sharing and not vrrp.type == 1",
        &["frame.number"],
    );
    assert_eq!(not_read.expect("packets"), Vec::<String>::new());
    assert!(types.values().sum::<u64>() >= sent, "each that was sent");
}
