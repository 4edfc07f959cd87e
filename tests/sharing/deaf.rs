//! A router that receives nothing, and could go on as if nothing were the matter, gives its share up; the others route it.

use std::time::Duration;

use lab::group::Group;
use lab::load::Load;
use lab::poll;
use lab::topology::sharing::{Setup, Sharing};

use super::crashes::blocked;
use super::moves::move_around;
use super::{DEADLINE, RATES, blames_the_machine, expect_exact, told};

const HOSTS: u8 = 6;
const INTERVAL: Duration = Duration::from_millis(500);
/// Two intervals of silence, the look that is taken twice in one, and what the others need to hear of it.
const GIVEN_UP: Duration = Duration::from_millis(1_500);

/// How a router comes to hear nothing, or to hear again.
type Fault<'a> = (&'a str, &'a dyn Fn(bool));

#[test]
fn a_router_that_receives_nothing_gives_its_share_up_and_nothing_is_doubled() {
    const DEAF: u8 = 2;
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    let setup = Setup {
        interval: INTERVAL,
        ..told("")
    };
    let group = super::told_group(&net, &setup);
    group.wait_until_whole(DEADLINE).expect("equal tables");
    let router = group.router(DEAF).expect("a router");
    let faults: [Fault<'_>; 2] = [
        ("the hub does not send it anything", &|on| {
            net.set_deaf(DEAF, on).expect("the hub");
        }),
        ("its workers are stopped", &|on| {
            router.ask(if on { "stop" } else { "start" }).expect("done");
        }),
    ];
    for (what, set) in faults {
        let since = group.mark();
        let load = Load::start(&net, RATES).expect("a load");
        set(true);
        poll::until("the others in charge", DEADLINE, || {
            Ok((!group.in_charge()?.values().any(|of| *of == DEAF)).then_some(()))
        })
        .expect(what);
        // It has long claimed to be master.
        std::thread::sleep(6 * INTERVAL);
        set(false);
        group.wait_until_whole(DEADLINE).expect("equal tables");
        let report = load.stop().expect("counts");
        let udp = report.udp_total();
        println!("{what}: blocked for {:?}, {udp:?}", blocked(&report));
        let is_sound = udp.duplicated == 0 && blocked(&report) <= GIVEN_UP;
        assert!(is_sound || !blames_the_machine(&group, &since, &[DEAF]));
        assert!(is_sound, "{what}: {report:#?}");
        let refused = Group::shown(group.router(0).expect("a router"), "show routers");
        let refused = refused.expect("routers")["refused"]["faulty"].as_u64();
        assert!(refused > Some(0), "its advertisements are refused");
    }
    // It is a member like any other again.
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    move_around(&group, HOSTS, 1);
    expect_exact(&net, &group, &since, &load.stop().expect("counts"));
}
