//! Our router and keepalived elect a master: by priority, with preemption and without.

use lab::poll;

use crate::keepalived::Keepalived;
use crate::member::{Member, PATIENCE};
use crate::network::Lan;
use crate::router::{Router, await_alone, await_heard, await_master, nothing_was_refused};
use crate::settings::Settings;

/// Starts both with such settings, and wants the one of higher priority as master.
fn elects<'a, High: Router<'a>, Low: Router<'a>>(lan: &'a Lan, settings: Settings) {
    let high = High::start(lan, 0, &settings.with_priority(150));
    let low = Low::start(lan, 1, &settings.with_priority(100));
    await_master(&high, &low);
    await_heard(&low);
    await_master(&high, &low);
    nothing_was_refused(&high, &low);
    low.stop();
    high.stop();
}

/// Both ways round.
fn elect(settings: Settings) {
    let lan = Lan::new(2);
    elects::<Member<'_>, Keepalived<'_>>(&lan, settings);
    elects::<Keepalived<'_>, Member<'_>>(&lan, settings);
}

#[test]
fn keepalived_and_ours_elect_by_priority_in_version_2() {
    elect(Settings::new(2, 0));
}

#[test]
fn keepalived_and_ours_elect_by_priority_in_version_3() {
    elect(Settings::new(3, 0));
}

#[test]
fn keepalived_and_ours_elect_by_priority_in_version_2_with_a_password() {
    elect(Settings {
        password: Some("sesame"),
        ..Settings::new(2, 0)
    });
}

#[test]
fn keepalived_and_ours_elect_by_priority_as_unicast_peers_in_version_2() {
    elect(Settings {
        unicast: true,
        ..Settings::new(2, 0)
    });
}

#[test]
fn keepalived_and_ours_elect_by_priority_as_unicast_peers_in_version_3() {
    elect(Settings {
        unicast: true,
        ..Settings::new(3, 0)
    });
}

#[test]
fn keepalived_and_ours_refuse_each_other_with_different_passwords() {
    let lan = Lan::new(2);
    let with = |password, priority| Settings {
        password: Some(password),
        ..Settings::new(2, priority)
    };
    let ours = Member::start(&lan, 0, &with("sesame", 150));
    let theirs = Keepalived::start(&lan, 1, &with("simsim", 100));
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
    assert_eq!(ours.heard(), 0);
}

/// The lower one is there first; the higher one ousts it, or does not.
fn preempts<'a, High: Router<'a>, Low: Router<'a>>(lan: &'a Lan, version: u8, preempt: bool) {
    let low = Low::start(lan, 0, &Settings::new(version, 100));
    await_alone(&low);
    let settings = Settings {
        preempt,
        ..Settings::new(version, 150)
    };
    let high = High::start(lan, 1, &settings);
    if preempt {
        await_master(&high, &low);
    } else {
        await_heard(&high);
        await_master(&low, &high);
        assert_eq!(high.times_master(), 0);
    }
    nothing_was_refused(&high, &low);
    low.stop();
    high.stop();
}

/// Both ways round, with preemption and without.
fn preempt_or_not(version: u8) {
    let lan = Lan::new(2);
    for preempt in [true, false] {
        preempts::<Member<'_>, Keepalived<'_>>(&lan, version, preempt);
        preempts::<Keepalived<'_>, Member<'_>>(&lan, version, preempt);
    }
}

#[test]
fn keepalived_and_ours_preempt_or_not_as_told_in_version_2() {
    preempt_or_not(2);
}

#[test]
fn keepalived_and_ours_preempt_or_not_as_told_in_version_3() {
    preempt_or_not(3);
}
