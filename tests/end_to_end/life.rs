//! The program's life: start, reload, stop, and what others on the machine may see of it.

use std::os::unix::fs::PermissionsExt;

use lab::manifold::Manifold;
use lab::namespace::Namespace;
use lab::probe;
use lab::topology::Routed;
use lab::turn;
use serde_json::{Value, json};

use super::{DEADLINE, Router};

#[test]
fn sigterm_ends_it_cleanly_and_removes_its_socket() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let socket = net.r.run_file("manifold/control.sock");
    assert!(socket.exists());
    router.finish();
    assert!(!socket.exists());
}

#[test]
fn the_control_socket_is_the_owners_alone() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let mode = std::fs::metadata(net.r.run_file("manifold/control.sock"))
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    router.finish();
}

#[test]
fn dpdk_telemetry_tells_of_its_ports_and_nothing_of_dpdk_stays_behind() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let ask = |what: &str| -> Value {
        let line = format!("echo '{what}' | dpdk-telemetry.py -f manifold");
        let answer = net.r.run(&["sh", "-c", &line]).expect("an answer");
        let line = answer.lines().rev().find(|line| line.starts_with('{'));
        serde_json::from_str(line.expect("an object")).expect("an object")
    };
    assert_eq!(ask("/ethdev/list")["/ethdev/list"], json!([0, 1]));
    let sent = || ask("/ethdev/stats,1")["/ethdev/stats"]["opackets"].clone();
    let before = sent().as_u64().expect("a count");
    let ping = probe::ping(&net.a, Routed::B, "-c 3 -i 0.2 -W 5").expect("a ping");
    assert_eq!(ping.received, 3);
    let after = sent().as_u64().expect("a count");
    assert!(after >= before + 3, "{before} frames sent, then {after}");

    // What the router itself counts, by the numbers and names that the console has.
    let told = |command: &str| {
        let name = command.split(',').next().unwrap_or(command);
        ask(command)[name].clone()
    };
    let shown = || router.json("show fwd stats all").expect("shown")["ports"].clone();
    let ports = shown();
    assert_eq!(
        told("/manifold/ports"),
        json!({"0": ports[0]["name"], "1": ports[1]["name"]})
    );
    let before = shown()[1]["tx_packets"].as_u64();
    let port = told("/manifold/port,1");
    assert_eq!(port["name"], ports[1]["name"]);
    let sent = port["tx_packets"].as_u64();
    assert!(before >= Some(3) && before <= sent && sent <= shown()[1]["tx_packets"].as_u64());
    assert_eq!(told("/manifold/port,2"), Value::Null);
    let counted = router.counters();
    for (command, group) in [
        ("/manifold/discards", "discards"),
        ("/manifold/punts", "punts"),
    ] {
        let (all, later) = (told(command), router.counters());
        let all = all.as_object().expect("an object");
        let names = counted.keys().filter(|name| name.starts_with(group));
        assert_eq!(all.len(), names.count());
        for (name, count) in all {
            let name = format!("{group} {}", name.replace('_', "-"));
            let count = count.as_u64().expect("a count");
            assert!(counted[&name] <= count && count <= later[&name], "{name}");
        }
        assert!(told(&format!("{command},0")).is_object());
        assert_eq!(told(&format!("{command},1")), Value::Null);
    }
    let worker = told("/manifold/worker,0");
    assert!(worker["busy_rounds"].as_u64() > Some(0));
    assert!(worker["parked"].is_u64() && worker["unresolved"].is_u64());
    let directory = net.r.run_file("dpdk/manifold");
    assert!(directory.exists());
    router.finish();
    assert!(!directory.exists());
}

#[test]
fn a_reload_of_a_bad_file_changes_nothing() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let before = (
        router.ctl("show config").expect("shown"),
        router.ctl("show route").expect("shown"),
    );
    let bad = net.configuration().replace(
        "addresses = [\"10.71.2.1/24\"]",
        "addresses = [\"10.71.2.1\"]\nflavour = 3",
    );
    router.configure(&bad).expect("written");
    let refused = router.ctl("reload").expect_err("refused").to_string();
    assert!(
        refused.contains("flavour") && refused.contains("10.71.2.1"),
        "{refused}"
    );
    assert_eq!(
        (
            router.ctl("show config").expect("shown"),
            router.ctl("show route").expect("shown")
        ),
        before
    );
    assert_eq!(
        probe::ping(&net.a, Routed::B, "-c 1 -W 5")
            .expect("a ping")
            .received,
        1
    );
}

#[test]
fn a_start_without_the_interface_is_refused_by_its_name() {
    let _turn = turn::take();
    let machine = Namespace::new("bare").expect("a machine");
    let configuration = "[[port]]\nname = \"lan\"\ndevice = \"net_af_packet0,iface=nowhere\"\naddresses = [\"192.0.2.1/24\"]\n";
    let refused = Manifold::spawn(&machine, Router::program(), configuration, &[])
        .expect("started")
        .end(DEADLINE)
        .expect("an end");
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("nowhere"), "{refused:?}");
}
