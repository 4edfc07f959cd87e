//! The whole transition table: every event in every state.

use super::*;

/// What is expected after an event: the state, the priority advertised, the timer (from time zero), the cause of a
/// change of state, and whether a stall was noticed.
struct After(State, Option<u8>, Option<Duration>, Option<Cause>, bool);

#[test]
fn every_event_in_every_state_leads_where_the_rfc_says() {
    use State::{Backup, Initialise, Master};
    let away = Duration::from_secs(10);
    let stalled = || Some(Cause::Stalled { away });
    let quiet = |state, timer| After(state, None, timer, None, false);

    // Timers that were set at zero and are left alone.
    let backup_timer = Some(down(INTERVAL));
    let master_timer = Some(INTERVAL);
    // Timers that are set at the event.
    let afresh = Some(EARLY + down(INTERVAL));
    let learned = Some(EARLY + down(THEIRS));

    let higher = || {
        Some(Cause::HigherPriority {
            router: LOWER,
            priority: 101,
        })
    };
    let tie = || Some(Cause::HigherAddress { router: HIGHER });
    let silent = || {
        Some(Cause::MasterSilent {
            master: None,
            silent_for: down(INTERVAL),
        })
    };

    let table = [
        (
            Initialise,
            Event::Startup(Cause::LinkUp),
            After(Backup, None, afresh, Some(Cause::LinkUp), false),
        ),
        (
            Initialise,
            Event::Shutdown(Cause::Stopped),
            quiet(Initialise, None),
        ),
        (Initialise, Event::Tick, quiet(Initialise, None)),
        (Initialise, heard(LOWER, 0), quiet(Initialise, None)),
        (Initialise, heard(LOWER, 1), quiet(Initialise, None)),
        (Initialise, heard(HIGHER, 255), quiet(Initialise, None)),
        (Initialise, Event::Away(away), quiet(Initialise, None)),
        //
        (
            Backup,
            Event::Startup(Cause::LinkUp),
            quiet(Backup, backup_timer),
        ),
        (
            Backup,
            Event::Shutdown(Cause::LinkDown),
            After(Initialise, None, None, Some(Cause::LinkDown), false),
        ),
        (Backup, Event::Tick, quiet(Backup, backup_timer)),
        (
            Backup,
            heard(LOWER, 0),
            quiet(Backup, Some(EARLY + skew(INTERVAL))),
        ),
        (Backup, heard(HIGHER, 99), quiet(Backup, backup_timer)),
        (Backup, heard(LOWER, 100), quiet(Backup, learned)),
        (Backup, heard(HIGHER, 100), quiet(Backup, learned)),
        (Backup, heard(LOWER, 101), quiet(Backup, learned)),
        (
            Backup,
            Event::Away(INTERVAL * 2),
            quiet(Backup, Some(down(INTERVAL) + INTERVAL)),
        ),
        (
            Backup,
            Event::Away(away),
            After(Backup, None, afresh, None, true),
        ),
        //
        (
            Master,
            Event::Startup(Cause::LinkUp),
            quiet(Master, master_timer),
        ),
        (
            Master,
            Event::Shutdown(Cause::Stopped),
            After(Initialise, Some(0), None, Some(Cause::Stopped), false),
        ),
        (Master, Event::Tick, quiet(Master, master_timer)),
        (
            Master,
            heard(HIGHER, 0),
            After(Master, Some(100), Some(EARLY + INTERVAL), None, false),
        ),
        (
            Master,
            heard(HIGHER, 99),
            After(Master, Some(100), master_timer, None, false),
        ),
        (
            Master,
            heard(LOWER, 100),
            After(Master, Some(100), master_timer, None, false),
        ),
        (Master, heard(OWN, 100), quiet(Master, master_timer)),
        (
            Master,
            heard(HIGHER, 100),
            After(Backup, None, learned, tie(), false),
        ),
        (
            Master,
            heard(LOWER, 101),
            After(Backup, None, learned, higher(), false),
        ),
        (
            Master,
            Event::Away(INTERVAL * 2),
            quiet(Master, master_timer),
        ),
        (
            Master,
            Event::Away(away),
            After(Backup, None, afresh, stalled(), true),
        ),
    ];
    for (state, event, after) in table {
        let now = Time::ZERO + EARLY;
        walk(state, now, event, after);
    }

    // The timers, when they are due.
    walk(Backup, Time::ZERO + down(INTERVAL), Event::Tick, {
        After(
            Master,
            Some(100),
            Some(down(INTERVAL) + INTERVAL),
            silent(),
            false,
        )
    });
    walk(Master, Time::ZERO + INTERVAL, Event::Tick, {
        After(Master, Some(100), Some(2 * INTERVAL), None, false)
    });
}

/// Checks one row.
fn walk(state: State, now: Time, event: Event, after: After) {
    let mut election = election_in(state);
    let step = election.step(now, event.clone());
    let After(to, advertise, timer, cause, stalled) = after;
    let row = format!("{state}, {event:?}");
    assert_eq!(election.state(), to, "{row}");
    assert_eq!(step.advertise, advertise, "{row}");
    assert_eq!(
        due(&election),
        timer.map(|timer| Time::ZERO + timer),
        "{row}"
    );
    assert_eq!(
        step.transition,
        cause.map(|cause| Transition {
            at: now,
            from: state,
            to,
            cause
        }),
        "{row}"
    );
    assert_eq!(step.stalled.is_some(), stalled, "{row}");
}
