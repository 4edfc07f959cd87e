//! Our router and keepalived take over from each other, and a host goes on asking the virtual address meanwhile.

use crate::keepalived::Keepalived;
use crate::member::Member;
use crate::network::Lan;
use crate::pinging::Pinging;
use crate::router::{Router, await_alone, await_master, nothing_was_refused};
use crate::settings::Settings;

const FAULTY: usize = 0;
const SURVIVOR: usize = 1;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Stopped,
    LinkDown,
}

const FAULTS: [Fault; 3] = [Fault::Killed, Fault::Stopped, Fault::LinkDown];

/// A lower router takes over from a higher one with every fault in turn, and gives mastership back each time. What becomes of one whose own link
/// is down is looked at by `apart`.
fn takes_over<'a, Survivor: Router<'a>, Faulty: Router<'a>>(
    lan: &'a Lan,
    version: u8,
    apart: impl Fn(&Faulty),
) {
    let (high, low) = (Settings::new(version, 150), Settings::new(version, 100));
    let survivor = Survivor::start(lan, SURVIVOR, &low);
    let mut faulty = Faulty::start(lan, FAULTY, &high);
    for fault in FAULTS {
        await_master(&faulty, &survivor);
        let pinging = Pinging::start(&lan.host);
        // What it counted is gone with it.
        nothing_was_refused(&faulty, &survivor);
        let over = || {
            await_alone(&survivor);
            let pinged = pinging.finish();
            println!(
                "version {version}, master {} {fault:?}, {} takes over: gap {:.0} ms (its down interval {} ms), {} answered, {} twice",
                Faulty::NAME,
                Survivor::NAME,
                pinged.gap_ms,
                low.down_interval_ms(),
                pinged.answered,
                pinged.doubled
            );
            assert_eq!(pinged.doubled, 0, "{pinged:?}");
        };
        faulty = match fault {
            Fault::Killed => {
                faulty.kill();
                over();
                Faulty::start(lan, FAULTY, &high)
            }
            Fault::Stopped => {
                faulty.stop();
                over();
                Faulty::start(lan, FAULTY, &high)
            }
            Fault::LinkDown => {
                lan.set_link(FAULTY, false);
                over();
                apart(&faulty);
                lan.set_link(FAULTY, true);
                faulty
            }
        };
    }
    await_master(&faulty, &survivor);
    nothing_was_refused(&faulty, &survivor);
}

fn keepalived_takes_over_from_ours(version: u8) {
    let lan = Lan::new(2);
    takes_over::<Keepalived<'_>, Member<'_>>(&lan, version, |ours| {
        assert_eq!(ours.states(), ["initialise"]);
        assert_eq!(ours.last_cause(), "link-down");
    });
}

fn ours_takes_over_from_keepalived(version: u8) {
    let lan = Lan::new(2);
    takes_over::<Member<'_>, Keepalived<'_>>(&lan, version, |_| ());
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
