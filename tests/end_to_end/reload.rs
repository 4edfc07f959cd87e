//! A new configuration while the router runs: what changes at once, and what is named as needing a restart.

use lab::manifold::Manifold;
use lab::poll;
use lab::topology::Routed;
use nix::sys::signal::Signal;

use super::{DEADLINE, Router};

/// Where packets to a network beyond the right host go.
fn beyond(router: &Manifold<'_>) -> Option<String> {
    let route = router.json("show route 203.0.113.9").ok()?;
    Some(route["routes"][0]["gateway"].as_str()?.to_owned())
}

fn with_route(configuration: &str) -> String {
    format!(
        "{configuration}\n[[route]]\nprefix = \"203.0.113.0/24\"\nvia = \"{}\"\n",
        Routed::B
    )
}

#[test]
fn sighup_puts_a_new_route_in_force() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    assert_eq!(beyond(&router), None);
    router
        .configure(&with_route(&net.configuration()))
        .expect("written");
    router
        .process()
        .signal(Signal::SIGHUP)
        .expect("a process to signal");
    poll::until("the new route", DEADLINE, || Ok(beyond(&router))).expect("it leads somewhere");
    assert_eq!(beyond(&router), Some(Routed::B.to_string()));

    router.configure(&net.configuration()).expect("written");
    router.ctl("reload").expect("taken over");
    assert_eq!(beyond(&router), None);
    router.finish();
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_in_force() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let before = router.json("show config").expect("shown");
    let new = with_route(&net.configuration()).replacen("mtu = 1500", "mtu = 1400", 1);
    router.configure(&new).expect("written");
    let said = router.ctl("reload").expect("taken over");
    assert!(said.contains("mtu of port \"left\""), "{said}");
    assert_eq!(beyond(&router), Some(Routed::B.to_string()));
    let after = router.json("show config").expect("shown");
    assert_eq!(after["config"]["port"], before["config"]["port"]);
    assert_ne!(after["config"]["route"], before["config"]["route"]);
    router.finish();
}

#[test]
fn other_ports_are_refused() {
    let net = Routed::new().expect("a network");
    let router = Router::start(&net);
    let renamed = net.configuration().replace("\"left\"", "\"middle\"");
    router.configure(&renamed).expect("written");
    let refused = router.ctl("reload").expect_err("refused").to_string();
    assert!(
        refused.contains("left, right") && refused.contains("middle, right"),
        "{refused}"
    );
    router.finish();
}
