//! The largest table: 65,536 end systems over sixteen routers, handed to one real router by an authority made from `docs/protocol.md`.
//! What it takes is printed; `docs/performance.md` has it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::group::Group;
use lab::poll;
use lab::topology::sharing::{LAN, Setup, Sharing};

use super::forged::advertisement;
use super::insider::Insider;
use super::second::{FullTable, Term};
use super::{DEADLINE, program};

const ROUTERS: u8 = 16;
const CONDITIONS: u32 = 65_536;
const AUTHORITY: Ipv4Addr = Ipv4Addr::new(10, 75, 1, 99);
/// From one advertisement to the next.
const INTERVAL: Duration = Duration::from_millis(300);

/// A member that is master: it advertises, and says so.
fn rule(insider: &mut Insider, until: &mut dyn FnMut(&Insider) -> bool) {
    let end = Instant::now() + DEADLINE;
    insider.flags = 1;
    while !until(insider) {
        assert!(Instant::now() < end, "it takes too long");
        let frame = advertisement(insider, AUTHORITY);
        insider.socket.send(&frame).expect("sent");
        let response = insider.response();
        insider.send(&response);
        let next = Instant::now() + INTERVAL;
        while Instant::now() < next && !until(insider) {
            insider.attend(Duration::from_millis(1));
        }
    }
}

fn resident_kib(group: &Group<'_>) -> u64 {
    let process = group.router(0).expect("a router").process().id();
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a size")
}

#[test]
fn a_router_installs_the_largest_table_of_sixteen_routers() {
    let net = Sharing::new(1, 1, 1).expect("a network");
    let guest = net.guest("x", LAN).expect("a machine");
    let setup = Setup::default();
    let group = Group::start(&net, program(), &setup).expect("a router");
    group.wait_until_agreed(DEADLINE).expect("a table");
    let mut insider = Insider::new(&guest, AUTHORITY, 0x0123_4567_89ab_cdef);
    let real = Sharing::router(0);
    poll::until("the member's admission", DEADLINE, || {
        insider.attend(Duration::from_millis(50));
        let shown = Group::shown(group.router(0)?, "show routers")?;
        let routers = shown["routers"].as_array().into_iter().flatten();
        let mut members = routers.filter(|member| member["state"] == "working");
        let is_there = members.any(|member| member["router_id"] == AUTHORITY.to_string());
        Ok(is_there.then_some(()))
    })
    .expect("a member");
    // The real router was the authority; it yields to a master of a higher priority.
    let mut looks = 0;
    rule(&mut insider, &mut |_| {
        looks += 1;
        let shown = group.router(0).and_then(|router| router.ask("show vrrp"));
        let shown = shown.expect("virtual routers");
        let routers = shown["virtual_routers"].as_array().into_iter().flatten();
        let mut lan = routers.filter(|router| router["vrid"] == Sharing::VRID);
        lan.any(|router| router["state"] == "backup")
    });

    let term = Term {
        counter: insider.installed.0.counter + 1,
        issuer: AUTHORITY,
        generation: 1,
    };
    let others = (1..ROUTERS - 1).map(|number| Ipv4Addr::new(10, 75, 1, 100 + number));
    let table = FullTable {
        routers: [real, AUTHORITY].into_iter().chain(others).collect(),
        conditions: (0..CONDITIONS)
            .map(|host| Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 80, 0, 0)) + host))
            .collect(),
    };
    let bodies = table.bodies(1_400);
    let fragments = bodies.len() as u16;
    let before_kib = resident_kib(&group);
    let mut octets = 0;
    let began = Instant::now();
    for (fragment, (count, body)) in (0..).zip(bodies) {
        let mut message = insider.message(3, count, body);
        (message.term, message.fragment, message.fragments) = (term, fragment, fragments);
        octets += message.octets().len();
        insider.send(&message);
    }
    let sent = began.elapsed();
    rule(&mut insider, &mut |insider| {
        let last = insider.last.get(&real);
        last.is_some_and(|message| message.kind == 2 && message.term == term)
    });
    let installed = began.elapsed();
    println!(
        "{CONDITIONS} conditions of {ROUTERS} routers: {fragments} messages, {octets} octets, sent in {sent:?}; \
         installed {installed:?} after the first; resident {before_kib} KiB before, {} KiB after",
        resident_kib(&group)
    );
    let shown = Group::shown(group.router(0).expect("a router"), "show allocation");
    let shown = shown.expect("a table");
    assert_eq!(shown["total"], CONDITIONS + 1);
    assert_eq!(shown["digest"], format!("{:016x}", table.digest()));
}
