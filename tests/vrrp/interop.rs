//! Our router and keepalived in one group.

use lab::poll;

use crate::keepalived::Keepalived;
use crate::member::{Member, PATIENCE};
use crate::network::{Lan, Settings};
use crate::pinging::Pinging;

const OURS: usize = 0;
const THEIRS: usize = 1;
/// More advertisements than a backup lets pass in silence before it takes over.
const ENOUGH_HEARD: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Ours,
    Theirs,
}

/// Waits until one is master and the other is not.
fn await_master(who: Who, ours: &Member<'_>, theirs: &Keepalived<'_>) {
    let wanted = (who == Who::Ours, who == Who::Theirs);
    let seen = poll::until(&format!("{who:?} as the only master"), PATIENCE, || {
        Ok(((ours.is_master(), theirs.is_master()) == wanted).then_some(()))
    });
    assert!(
        seen.is_ok(),
        "{seen:?}\nours:\n{}\ntheirs:\n{}",
        ours.said(),
        theirs.said()
    );
}

fn await_heard_by_us(ours: &Member<'_>) {
    let before = ours.counter("advertisement-rcvd");
    poll::until("advertisements of keepalived", PATIENCE, || {
        let heard = ours.counter("advertisement-rcvd") - before;
        Ok((heard >= ENOUGH_HEARD).then_some(()))
    })
    .expect("advertisements");
}

fn await_heard_by_them(theirs: &Keepalived<'_>) {
    let heard = || theirs.statistics()["Advertisements: Received"];
    let before = heard();
    poll::until("advertisements of ours", PATIENCE, || {
        Ok((heard() - before >= ENOUGH_HEARD).then_some(()))
    })
    .expect("advertisements");
}

fn nothing_was_refused(ours: &Member<'_>, theirs: &Keepalived<'_>) {
    assert_eq!(ours.refusals(), [], "{}", ours.said());
    assert_eq!(theirs.refusals(), Vec::<String>::new(), "{}", theirs.said());
}

/// Starts both with such settings, and wants the one of higher priority as master.
fn elects(lan: &Lan, settings: Settings, master: Who) {
    let of = |who| Settings {
        priority: if master == who { 150 } else { 100 },
        ..settings
    };
    let ours = Member::start(lan, OURS, &of(Who::Ours));
    let theirs = Keepalived::start(lan, THEIRS, &of(Who::Theirs));
    await_master(master, &ours, &theirs);
    match master {
        Who::Ours => await_heard_by_them(&theirs),
        Who::Theirs => await_heard_by_us(&ours),
    }
    await_master(master, &ours, &theirs);
    nothing_was_refused(&ours, &theirs);
    theirs.stop();
    ours.stop();
}

#[test]
fn keepalived_and_ours_elect_by_priority_in_version_3() {
    let lan = Lan::new(2);
    elects(&lan, Settings::new(3, 0), Who::Ours);
    elects(&lan, Settings::new(3, 0), Who::Theirs);
}

#[test]
fn keepalived_and_ours_elect_by_priority_in_version_2_and_refuse_a_wrong_password() {
    let lan = Lan::new(2);
    let plain = Settings::new(2, 0);
    let with = |password| Settings {
        password: Some(password),
        ..plain
    };
    elects(&lan, plain, Who::Ours);
    elects(&lan, with("sesame"), Who::Theirs);

    let ours = Member::start(
        &lan,
        OURS,
        &Settings {
            priority: 150,
            ..with("sesame")
        },
    );
    let theirs = Keepalived::start(
        &lan,
        THEIRS,
        &Settings {
            priority: 100,
            ..with("simsim")
        },
    );
    poll::until("each as its own master", PATIENCE, || {
        Ok((ours.is_master() && theirs.is_master()).then_some(()))
    })
    .expect("two masters");
    poll::until("refusals", PATIENCE, || {
        let refused = ours.counter("auth-failures");
        let theirs = theirs.statistics()["Authentication Errors: Failure"];
        Ok((refused > 0 && theirs > 0).then_some(()))
    })
    .expect("a refusal by each");
    assert_eq!(ours.counter("advertisement-rcvd"), 0);
}

#[test]
fn keepalived_and_ours_elect_by_priority_as_unicast_peers() {
    let lan = Lan::new(2);
    let unicast = Settings {
        unicast: true,
        ..Settings::new(3, 0)
    };
    elects(&lan, unicast, Who::Ours);
    elects(&lan, unicast, Who::Theirs);
}

fn preempts_or_not(version: u8) {
    let lan = Lan::new(2);
    let low = Settings::new(version, 100);
    let high = Settings::new(version, 150);
    for preempt in [true, false] {
        let high = if preempt {
            high
        } else {
            high.without_preemption()
        };
        // Theirs is there first.
        let theirs = Keepalived::start(&lan, THEIRS, &low);
        poll::until("keepalived as master", PATIENCE, || {
            Ok(theirs.is_master().then_some(()))
        })
        .expect("a master");
        let ours = Member::start(&lan, OURS, &high);
        if preempt {
            await_master(Who::Ours, &ours, &theirs);
        } else {
            await_heard_by_us(&ours);
            await_master(Who::Theirs, &ours, &theirs);
            assert_eq!(ours.counter("master-transitions"), 0);
        }
        nothing_was_refused(&ours, &theirs);
        theirs.stop();
        ours.stop();

        // Ours is there first.
        let ours = Member::start(&lan, OURS, &low);
        poll::until("ours as master", PATIENCE, || {
            Ok(ours.is_master().then_some(()))
        })
        .expect("a master");
        let theirs = Keepalived::start(&lan, THEIRS, &high);
        if preempt {
            await_master(Who::Theirs, &ours, &theirs);
        } else {
            await_heard_by_them(&theirs);
            await_master(Who::Ours, &ours, &theirs);
            assert_eq!(theirs.statistics()["Became master"], 0);
        }
        nothing_was_refused(&ours, &theirs);
        theirs.stop();
        ours.stop();
    }
}

#[test]
fn keepalived_and_ours_preempt_or_not_as_told_in_version_2() {
    preempts_or_not(2);
}

#[test]
fn keepalived_and_ours_preempt_or_not_as_told_in_version_3() {
    preempts_or_not(3);
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Stopped,
    LinkDown,
}

const FAULTS: [Fault; 3] = [Fault::Killed, Fault::Stopped, Fault::LinkDown];

fn keepalived_takes_over_from_ours(version: u8) {
    let lan = Lan::new(2);
    let (high, low) = (Settings::new(version, 150), Settings::new(version, 100));
    let theirs = Keepalived::start(&lan, THEIRS, &low);
    let mut ours = Member::start(&lan, OURS, &high);
    for fault in FAULTS {
        await_master(Who::Ours, &ours, &theirs);
        assert_eq!(ours.refusals(), []);
        let pinging = Pinging::start(&lan.host);
        let survivor = || {
            poll::until("keepalived as master", PATIENCE, || {
                Ok(theirs.is_master().then_some(()))
            })
            .expect("a master");
        };
        ours = match fault {
            Fault::Killed => {
                ours.kill();
                survivor();
                report(version, "ours", fault, low, pinging);
                Member::start(&lan, OURS, &high)
            }
            Fault::Stopped => {
                ours.stop();
                survivor();
                report(version, "ours", fault, low, pinging);
                Member::start(&lan, OURS, &high)
            }
            Fault::LinkDown => {
                lan.set_link(OURS, false);
                survivor();
                report(version, "ours", fault, low, pinging);
                assert_eq!(ours.states(), ["initialise"]);
                assert_eq!(ours.last_cause(), "link-down");
                lan.set_link(OURS, true);
                ours
            }
        };
    }
    await_master(Who::Ours, &ours, &theirs);
    nothing_was_refused(&ours, &theirs);
}

fn ours_takes_over_from_keepalived(version: u8) {
    let lan = Lan::new(2);
    let (high, low) = (Settings::new(version, 150), Settings::new(version, 100));
    let ours = Member::start(&lan, OURS, &low);
    let mut theirs = Keepalived::start(&lan, THEIRS, &high);
    for fault in FAULTS {
        await_master(Who::Theirs, &ours, &theirs);
        assert_eq!(theirs.refusals(), Vec::<String>::new());
        let pinging = Pinging::start(&lan.host);
        let survivor = || {
            poll::until("ours as master", PATIENCE, || {
                Ok(ours.is_master().then_some(()))
            })
            .expect("a master");
        };
        theirs = match fault {
            Fault::Killed => {
                theirs.kill();
                survivor();
                report(version, "keepalived", fault, low, pinging);
                Keepalived::start(&lan, THEIRS, &high)
            }
            Fault::Stopped => {
                theirs.stop();
                survivor();
                report(version, "keepalived", fault, low, pinging);
                Keepalived::start(&lan, THEIRS, &high)
            }
            Fault::LinkDown => {
                lan.set_link(THEIRS, false);
                survivor();
                report(version, "keepalived", fault, low, pinging);
                lan.set_link(THEIRS, true);
                theirs
            }
        };
    }
    await_master(Who::Theirs, &ours, &theirs);
    nothing_was_refused(&ours, &theirs);
}

/// Prints what the host saw of a take-over, and wants that it got answers again.
fn report(version: u8, master: &str, fault: Fault, survivor: Settings, pinging: Pinging) {
    let pinged = pinging.finish();
    println!(
        "version {version}, master {master} {fault:?}: gap {:.0} ms (down interval of the survivor {} ms), {} answered, {} twice",
        pinged.gap_ms,
        survivor.down_interval_ms(),
        pinged.answered,
        pinged.doubled
    );
    assert!(pinged.doubled <= 1, "{pinged:?}");
}

#[test]
fn keepalived_takes_over_from_ours_in_version_2() {
    keepalived_takes_over_from_ours(2);
}

#[test]
fn keepalived_takes_over_from_ours_in_version_3() {
    keepalived_takes_over_from_ours(3);
}

#[test]
fn ours_takes_over_from_keepalived_in_version_2() {
    ours_takes_over_from_keepalived(2);
}

#[test]
fn ours_takes_over_from_keepalived_in_version_3() {
    ours_takes_over_from_keepalived(3);
}
