//! What answers look like: testpmd's tables letter by letter where it has them, and the names in the JSON objects.

use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use serde_json::{Value, json};

use super::*;
use crate::config::Rss;

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.json().unwrap()).unwrap()
}

fn port_counters() -> PortCounters {
    PortCounters {
        number: 0,
        name: "lan".into(),
        rx_packets: 12_345_678_901,
        rx_missed: 1,
        rx_octets: 2,
        rx_errors: 3,
        rx_no_mbuf: 4,
        tx_packets: 5,
        tx_errors: 6,
        tx_octets: 7,
        since_last_show: Rates {
            rx_pps: 8,
            rx_bps: 9,
            tx_pps: 10,
            tx_bps: 11,
        },
    }
}

#[test]
fn port_stats_look_like_testpmds() {
    let shown = Answer::PortStats(PortStats {
        ports: vec![port_counters()],
    });
    assert_eq!(
        shown.text(),
        "
  ######################## NIC statistics for port 0 (lan) ########################
  RX-packets: 12345678901 RX-missed: 1          RX-bytes:  2
  RX-errors: 3
  RX-nombuf:  4
  TX-packets: 5          TX-errors: 6          TX-bytes:  7

  Throughput (since last show)
  Rx-pps:            8          Rx-bps:            9
  Tx-pps:           10          Tx-bps:           11
  ############################################################################
"
    );
    assert_eq!(
        json(&shown),
        json!({"ports": [{
            "number": 0, "name": "lan", "rx_packets": 12_345_678_901_u64, "rx_missed": 1, "rx_octets": 2, "rx_errors": 3,
            "rx_no_mbuf": 4, "tx_packets": 5, "tx_errors": 6, "tx_octets": 7,
            "since_last_show": {"rx_pps": 8, "rx_bps": 9, "tx_pps": 10, "tx_bps": 11},
        }]})
    );
}

#[test]
fn fwd_stats_look_like_testpmds_and_add_up() {
    let port = |number, name: &str| PortFwd {
        number,
        name: name.into(),
        counters: FwdCounters {
            rx_packets: 10,
            rx_octets: 600,
            rx_dropped: 1,
            tx_packets: u64::from(number),
            tx_octets: 60,
            tx_dropped: 0,
        },
    };
    let shown = Answer::FwdStats(FwdStats::new(vec![port(0, "lan"), port(1, "wan")]));
    let text = shown.text();
    assert!(
        text.starts_with(
            "
  ---------------------- Forward statistics for port 0 (lan) ----------------------
  RX-packets: 10             RX-dropped: 1             RX-total: 11
  TX-packets: 0              TX-dropped: 0             TX-total: 0
  ----------------------------------------------------------------------------
"
        ),
        "{text}"
    );
    assert!(
        text.ends_with(
            "
  +++++++++++++++ Accumulated forward statistics for all ports+++++++++++++++
  RX-packets: 20             RX-dropped: 2             RX-total: 22
  TX-packets: 1              TX-dropped: 0             TX-total: 1
  ++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++
"
        ),
        "{text}"
    );
    let object = json(&shown);
    assert_eq!(object["ports"][1]["name"], "wan");
    assert_eq!(object["ports"][1]["tx_packets"], 1);
    assert_eq!(object["total"]["rx_dropped"], 2);
    assert_eq!(object["total"]["rx_octets"], 1200);
}

#[test]
fn port_info_tells_the_link_and_the_queues() {
    let mut port = PortDetails {
        number: 1,
        name: "wan".into(),
        device: "net_null0".into(),
        driver: "net_null".into(),
        numa_node: None,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        addresses: vec!["192.0.2.1/24".parse().unwrap()],
        link: Some(LinkInfo {
            up: true,
            speed_mbps: Some(10_000),
            full_duplex: true,
            autonegotiated: false,
        }),
        mtu_octets: 1500,
        rx_queues: 1,
        tx_queues: 2,
        rss: Rss::None,
    };
    let shown = |port: &PortDetails| {
        Answer::PortInfo(PortInfo {
            ports: vec![port.clone()],
        })
    };
    let text = shown(&port).text();
    for line in [
        "********************* Infos for port 1 (wan) *********************",
        "MAC address: 02:00:00:00:00:01",
        "IPv4 addresses: 192.0.2.1/24",
        "Connect to socket: any",
        "Link status: up",
        "Link speed: 10 Gbps",
        "Link duplex: full-duplex",
        "Autoneg status: Off",
        "Current number of TX queues: 2",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is not in\n{text}"
        );
    }
    let object = json(&shown(&port));
    assert_eq!(object["ports"][0]["mac"], "02:00:00:00:00:01");
    assert_eq!(object["ports"][0]["addresses"], json!(["192.0.2.1/24"]));
    assert_eq!(object["ports"][0]["link"]["speed_mbps"], 10_000);

    port.link = None;
    assert!(shown(&port).text().contains("Link status: unknown"));
    assert_eq!(json(&shown(&port))["ports"][0]["link"], json!(null));
}

#[test]
fn counters_show_what_moved_and_tell_all_to_programs() {
    let mut counters = Counters::default();
    counters.group("discards", [("ttl", 3), ("short", 0)]);
    counters.group("host", [("arp-replies", 0)]);
    let shown = Answer::Counters(counters);
    assert_eq!(
        shown.text(),
        "discards: 1 at zero\n  ttl  3\nhost: 1 at zero\n"
    );
    assert_eq!(
        json(&shown),
        json!({"discards": {"ttl": 3, "short": 0}, "host": {"arp-replies": 0}})
    );
}

#[test]
fn xstats_keep_the_drivers_names_and_order() {
    let shown = Answer::PortXstats(PortXstats {
        ports: vec![ExtendedCounters {
            number: 0,
            name: "lan".into(),
            xstats: vec![("rx_good_packets".into(), 1), ("a".into(), 2)],
        }],
    });
    assert_eq!(
        shown.text(),
        "###### NIC extended statistics for port 0 (lan)\nrx_good_packets: 1\na: 2\n"
    );
    assert_eq!(
        json(&shown)["ports"][0]["xstats"],
        json!({"rx_good_packets": 1, "a": 2})
    );
}

fn route(index: u32) -> RouteEntry {
    RouteEntry {
        prefix: format!("{}/32", Ipv4Addr::from_bits(index))
            .parse()
            .unwrap(),
        leads: Leads::Gateway,
        port: Some("wan".into()),
        gateway: Some(Ipv4Addr::new(192, 0, 2, 254)),
    }
}

#[test]
fn a_route_is_a_row() {
    let shown = Answer::Route(Route::new([route(0x0A00_0001)]));
    assert_eq!(
        shown.text(),
        "prefix       leads    gateway      port\n\
         10.0.0.1/32  gateway  192.0.2.254  wan\n"
    );
    assert_eq!(
        json(&shown),
        json!({"total": 1, "routes": [{
            "prefix": "10.0.0.1/32", "leads": "gateway", "port": "wan", "gateway": "192.0.2.254",
        }]})
    );
}

#[test]
fn long_lists_are_cut_and_say_so() {
    let shown = Answer::Route(Route::new((0..5000).map(route)));
    assert!(shown.text().ends_with("4096 of 5000 shown\n"));
    let object = json(&shown);
    assert_eq!(object["total"], 5000);
    assert_eq!(object["routes"].as_array().unwrap().len(), ROWS_MAX);
}

#[test]
fn neighbours_are_sorted_and_unresolved_ones_have_no_mac() {
    let neighbour = |last, mac, state| Neighbour {
        port: "lan".into(),
        address: Ipv4Addr::new(192, 0, 2, last),
        mac,
        state,
    };
    let shown = Answer::Neighbours(Neighbours::new(
        2,
        [
            neighbour(20, None, NeighbourState::Incomplete),
            neighbour(3, Some(MacAddr([2; 6])), NeighbourState::Reachable),
        ],
    ));
    assert_eq!(
        shown.text(),
        "port  address     mac                state\n\
         lan   192.0.2.3   02:02:02:02:02:02  reachable\n\
         lan   192.0.2.20  -                  incomplete\n\
         packets waiting for a neighbour: 2\n"
    );
    let object = json(&shown);
    assert_eq!(object["packets_waiting"], 2);
    assert_eq!(object["neighbours"][1]["mac"], json!(null));
    assert_eq!(object["neighbours"][0]["state"], "reachable");
}

#[test]
fn lcores_tell_how_busy_they_are() {
    let shown = Answer::Lcores(Lcores {
        control: Control { cpu: Some(0) },
        workers: vec![Worker {
            number: 0,
            cpu: None,
            forwarding: true,
            rx_packets: 100,
            tx_packets: 99,
            busy_rounds: 1,
            idle_rounds: 3,
            backlog_packets: 1,
        }],
    });
    let text = shown.text();
    assert!(
        text.contains("25") && text.ends_with("control thread: cpu 0\n"),
        "{text}"
    );
    assert_eq!(json(&shown)["workers"][0]["idle_rounds"], 3);
}

#[test]
fn backlog_and_mempool_are_tables() {
    let backlog = Answer::Backlog(Backlog {
        workers: vec![WorkerBacklog {
            number: 0,
            limit: 2048,
            overflowed: 1,
            on_hold: vec![OnHold {
                condition: "192.0.2.17".into(),
                packets: 5,
            }],
            waiting: vec![Waiting {
                port: "wan".into(),
                packets: 2,
            }],
            unresolved: vec![Unresolved {
                port: "wan".into(),
                address: [198, 51, 100, 9].into(),
                packets: 3,
            }],
        }],
    });
    assert_eq!(
        backlog.text(),
        "lcore     why                            packets  limit  overflowed\n\
         worker 0  all                                 10   2048           1\n\
         worker 0  192.0.2.17 on hold                   5      -           -\n\
         worker 0  waiting for wan                      2      -           -\n\
         worker 0  198.51.100.9 (wan) unresolved        3      -           -\n"
    );
    assert_eq!(
        json(&backlog),
        json!({"workers": [{
            "number": 0, "limit": 2048, "overflowed": 1, "on_hold": [{"condition": "192.0.2.17", "packets": 5}],
            "waiting": [{"port": "wan", "packets": 2}],
            "unresolved": [{"port": "wan", "address": "198.51.100.9", "packets": 3}],
        }]})
    );
    let mempool = Answer::Mempool(Mempool {
        pools: vec![Pool {
            name: "mbufs".into(),
            mbufs: 1024,
            available: 1000,
            in_use: 24,
        }],
    });
    assert_eq!(
        json(&mempool),
        json!({"pools": [{"name": "mbufs", "mbufs": 1024, "available": 1000, "in_use": 24}]})
    );
}

#[test]
fn the_configuration_is_shown_as_toml_and_as_json() {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Config {
        idle_sleep: &'static str,
    }
    let shown = ConfigInForce::new(&Config { idle_sleep: "50us" }).unwrap();
    let shown = Answer::Config(shown);
    assert_eq!(shown.text(), "idle-sleep = \"50us\"\n");
    assert_eq!(json(&shown), json!({"config": {"idle-sleep": "50us"}}));
}

fn installed() -> Installed {
    Installed {
        epoch: 3,
        issuer: Some(Ipv4Addr::new(192, 0, 2, 2)),
        generation: 17,
        digest: "00000000000000ff".into(),
    }
}

#[test]
fn routers_are_shown_with_what_each_has_installed() {
    let router = |last: u8, is_this: bool| GroupRouter {
        router_id: Ipv4Addr::new(192, 0, 2, last),
        address: (!is_this).then(|| Ipv4Addr::new(192, 0, 2, last).into()),
        is_this,
        state: "working".into(),
        master: is_this,
        priority: 100,
        weight: 50,
        conditions: 4,
        heard_ms_ago: None,
        installed: installed(),
    };
    let shown = Answer::Routers(Routers {
        groups: vec![GroupRouters {
            port: "lan".into(),
            vrid: 7,
            mode: "sequence",
            router_id: Ipv4Addr::new(192, 0, 2, 2),
            authority: Some(Ipv4Addr::new(192, 0, 2, 2)),
            key_id: Some(1),
            installed: installed(),
            agreed: true,
            routers: vec![router(2, true), router(3, false)],
            counters: [("x", 1)].into(),
            refused: [("hmac", 2)].into(),
        }],
    });
    assert_eq!(
        shown.text(),
        "port  vrid  router            address    state    role    priority  weight  conditions  generation  epoch  digest\n\
         lan      7  192.0.2.2 (this)  -          working  master       100      50           4          17      3  00000000000000ff\n\
         lan      7  192.0.2.3         192.0.2.3  working               100      50           4          17      3  00000000000000ff\n\
         lan 7: all that answer have the same table\n"
    );
    let object = json(&shown);
    let group = &object["groups"][0];
    assert_eq!(group["generation"], 17);
    assert_eq!(group["refused"], json!({"hmac": 2}));
    assert_eq!(group["routers"][1]["address"], "192.0.2.3");
    assert_eq!(group["routers"][1]["digest"], "00000000000000ff");
}

#[test]
fn an_allocation_says_who_is_in_charge_and_is_cut_when_it_is_long() {
    let allocated = (0..ROWS_MAX + 1).map(|_| Allocated {
        condition: "rest".into(),
        router: Ipv4Addr::new(192, 0, 2, 2),
        from: Some(Ipv4Addr::new(192, 0, 2, 3)),
        verdict: "hold",
    });
    let group = GroupAllocation::new("lan".into(), 7, installed(), allocated);
    let shown = Answer::Allocation(Allocation {
        groups: vec![group],
    });
    let text = shown.text();
    assert!(
        text.contains("lan      7  rest       192.0.2.2  192.0.2.3  hold\n"),
        "{text}"
    );
    assert!(text.ends_with("4096 of 4097 shown\n"), "{text}");
    let group = &json(&shown)["groups"][0];
    assert_eq!(
        (&group["total"], &group["epoch"]),
        (&json!(4097), &json!(3))
    );
    assert_eq!(
        group["conditions"][0],
        json!({"condition": "rest", "router": "192.0.2.2", "from": "192.0.2.3", "verdict": "hold"})
    );
}

#[test]
fn moves_and_end_systems_are_tables() {
    let one = Move {
        from: Ipv4Addr::new(192, 0, 2, 2),
        to: Ipv4Addr::new(192, 0, 2, 3),
        epoch: 3,
        generation: 18,
        batch: 0,
        status: "holding",
        conditions: 2,
        first: "192.0.2.17".into(),
    };
    let counters = [("taken", 5), ("given", 0)].into();
    let shown = Answer::Moves(Moves {
        groups: vec![GroupMoves::new("lan".into(), 7, [one], counters)],
    });
    assert_eq!(
        shown.text(),
        "port  vrid  from       to         generation  epoch  batch  status   conditions  first\n\
         lan      7  192.0.2.2  192.0.2.3          18      3      0  holding           2  192.0.2.17\n\
         lan 7 taken: 5\n"
    );
    assert_eq!(json(&shown)["groups"][0]["moves"][0]["status"], "holding");
    let system = EndSystem {
        address: "192.0.2.17".into(),
        behind: None,
        seen: "neighbour",
        seen_ms_ago: Some(1500.0),
        rate_kbit_s: 8,
    };
    let shown = Answer::EndSystems(EndSystems {
        groups: vec![GroupEndSystems::new("lan".into(), 7, [system])],
    });
    assert_eq!(
        shown.text(),
        "port  vrid  address     behind  seen       s ago  kbit/s\n\
         lan      7  192.0.2.17       -  neighbour    1.5       8\n"
    );
    assert_eq!(json(&shown)["groups"][0]["total"], 1);
}
