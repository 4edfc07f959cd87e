//! What an operator can choose beside a priority, with keepalived as the witness that the choice has the standard's effect.

use lab::poll;

use crate::keepalived::Keepalived;
use crate::member::{Member, PATIENCE};
use crate::network::{Lan, virtual_address};
use crate::pinging::Pinging;
use crate::router::{Router, await_alone, await_heard, await_master, nothing_was_refused};
use crate::settings::Settings;

/// A higher router heeds a lower master for as many of its advertisements as go into the delay.
fn waits<'a, High: Router<'a>, Low: Router<'a>>(lan: &'a Lan) {
    const DELAY_INTERVALS: u64 = 20;
    let low = Settings::new(3, 100);
    let high = Settings {
        preempt_delay_ms: DELAY_INTERVALS * low.interval_ms,
        ..low.with_priority(150)
    };
    let low = Low::start(lan, 0, &low);
    await_alone(&low);
    let high = High::start(lan, 1, &high);
    await_master(&high, &low);
    let heard = high.heard();
    // Without a delay it is over after four.
    assert!(heard + 2 >= DELAY_INTERVALS, "ousted after {heard}");
    nothing_was_refused(&high, &low);
    high.stop();
    low.stop();
}

#[test]
fn keepalived_and_ours_tolerate_a_lower_master_for_the_preemption_delay() {
    let lan = Lan::new(2);
    waits::<Member<'_>, Keepalived<'_>>(&lan);
    waits::<Keepalived<'_>, Member<'_>>(&lan);
}

/// A backup whose own down interval is shorter than the master's interval heeds the master all the same.
fn learns<'a, High: Router<'a>, Low: Router<'a>>(lan: &'a Lan, look: impl Fn(&Low)) {
    let slow = Settings {
        interval_ms: 1000,
        ..Settings::new(3, 150)
    };
    let fast = Settings::new(3, 100);
    assert!(fast.down_interval_ms() < slow.interval_ms);
    let high = High::start(lan, 0, &slow);
    await_alone(&high);
    let low = Low::start(lan, 1, &fast);
    await_heard(&low);
    assert!(!low.is_master());
    assert!(low.times_master() <= 1, "{}", low.said());
    look(&low);
    high.kill();
    await_alone(&low);
    low.stop();
}

#[test]
fn ours_learns_the_interval_of_keepalived_in_version_3() {
    let lan = Lan::new(2);
    learns::<Keepalived<'_>, Member<'_>>(&lan, |ours| {
        let shown = ours.group();
        assert_eq!(shown["advertisement_interval_ms"], 100.0);
        assert_eq!(shown["master_interval_ms"], 1000.0);
        // Three of the master's, and 156 parts in 256 of one.
        assert_eq!(shown["master_down_interval_ms"], 3609.375);
        // That they differ is worth knowing, and nothing is refused for it.
        let counted = &shown["counters"];
        assert_eq!(counted["interval-errors"], counted["advertisement-rcvd"]);
    });
}

#[test]
fn keepalived_learns_the_interval_of_ours_in_version_3() {
    let lan = Lan::new(2);
    learns::<Member<'_>, Keepalived<'_>>(&lan, |_| ());
}

/// Whether what is sent counts the pseudo-header, as `show vrrp` has it.
fn checksum(ours: &Member<'_>) -> String {
    let shown = ours.group();
    shown["checksum"].as_str().expect("a way").to_owned()
}

#[test]
fn ours_counts_the_pseudo_header_as_soon_as_it_has_heard_keepalived_do_it() {
    let lan = Lan::new(2);
    let with = |checksum| Settings {
        checksum,
        ..Settings::new(3, 150)
    };
    let theirs = Keepalived::start(&lan, 1, &Settings::new(3, 100));
    await_alone(&theirs);
    let ours = Member::start(&lan, 0, &with("auto"));
    await_master(&ours, &theirs);
    assert_eq!(checksum(&ours), "with-pseudo-header");
    await_heard(&theirs);
    nothing_was_refused(&ours, &theirs);
    ours.stop();
    await_alone(&theirs);

    // By RFC 9568 to the letter, keepalived hears nobody.
    let ours = Member::start(&lan, 0, &with("without-pseudo-header"));
    await_alone(&ours);
    assert_eq!(checksum(&ours), "without-pseudo-header");
    poll::until("refusals of keepalived's", PATIENCE, || {
        Ok((!theirs.refusals().is_empty()).then_some(()))
    })
    .expect("a checksum that it does not understand");
    assert!(theirs.is_master());
    assert!(ours.refusals().is_empty(), "{:?}", ours.refusals());
}

#[test]
fn keepalived_and_ours_share_several_virtual_addresses_and_each_answers_for_all_of_them() {
    const ADDRESSES: u8 = 5;
    let lan = Lan::new(2);
    let with = |priority| Settings {
        addresses: ADDRESSES,
        ..Settings::new(3, priority)
    };
    let theirs = Keepalived::start(&lan, 1, &with(100));
    let ours = Member::start(&lan, 0, &with(150));
    await_master(&ours, &theirs);
    await_heard(&theirs);
    let all_answer = || {
        for number in 0..ADDRESSES {
            Pinging::start_to(&lan.host, virtual_address(number)).finish();
        }
    };
    all_answer();
    nothing_was_refused(&ours, &theirs);
    ours.kill();
    await_alone(&theirs);
    all_answer();
    let ours = Member::start(&lan, 0, &with(150));
    await_master(&ours, &theirs);
    all_answer();
    nothing_was_refused(&ours, &theirs);
}

#[test]
fn ours_as_the_owner_is_master_over_keepalived_at_once_and_whatever_it_is_told_of_preemption() {
    let lan = Lan::new(2);
    let theirs = Keepalived::start(&lan, 1, &Settings::new(3, 254));
    await_alone(&theirs);
    let owner = Settings::new(3, 255).without_preemption();
    let ours = Member::start(&lan, 0, &owner);
    await_master(&ours, &theirs);
    let shown = ours.group();
    let first = shown["transitions"]
        .as_array()
        .and_then(|all| all.first())
        .expect("a change");
    assert_eq!(
        (&first["from"], &first["to"]),
        (&"initialise".into(), &"master".into())
    );
    await_heard(&theirs);
    Pinging::start(&lan.host).finish();
    nothing_was_refused(&ours, &theirs);
    ours.kill();
    await_alone(&theirs);
    Pinging::start(&lan.host).finish();
}

#[test]
fn keepalived_as_the_owner_is_master_over_ours() {
    let lan = Lan::new(2);
    let ours = Member::start(&lan, 1, &Settings::new(3, 254));
    await_alone(&ours);
    let theirs = Keepalived::start(&lan, 0, &Settings::new(3, 255));
    await_master(&theirs, &ours);
    await_heard(&ours);
    nothing_was_refused(&ours, &theirs);
    assert_eq!(ours.counter("owner-conflicts"), 0);
}
