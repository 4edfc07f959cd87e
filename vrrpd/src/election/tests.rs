//! The election by itself: the whole transition table (`table.rs`), and here the timers, to the nanosecond.

mod table;

use super::*;

const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 5));
const LOWER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 4));
const HIGHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 6));

/// The configured interval, and another that a peer has.
const INTERVAL: Duration = Duration::from_millis(1000);
const THEIRS: Duration = Duration::from_millis(2000);

/// When the event happens that is looked at; before anything is due, but for `Due`.
const EARLY: Duration = Duration::from_millis(500);

fn parameters(priority: u8) -> Parameters {
    Parameters {
        timers: Timers::V3,
        address: OWN,
        priority,
        interval: INTERVAL,
        preempt: true,
        preempt_delay: Duration::ZERO,
        candidate: true,
    }
}

fn heard(router: IpAddr, priority: u8) -> Event {
    Event::Advertisement(Heard {
        router,
        priority,
        interval: THEIRS,
    })
}

/// An election of priority 100 in `state` since time zero.
fn election_in(state: State) -> Election {
    let mut election = Election::new(parameters(100), Time::ZERO);
    if state != State::Initialise {
        election.step(Time::ZERO, Event::Startup(Cause::Started));
    }
    if state == State::Master {
        election.step(Time::ZERO + election.down_interval(), Event::Tick);
        election.role = Role::Master {
            advertise_at: Time::ZERO + INTERVAL,
        };
    }
    assert_eq!(election.state(), state);
    election
}

/// The instant at which the down timer or the advertisement timer is due.
fn due(election: &Election) -> Option<Time> {
    match election.role {
        Role::Initialise => None,
        Role::Backup { down_at, .. } => Some(down_at),
        Role::Master { advertise_at } => Some(advertise_at),
    }
}

/// The skew and the down interval of priority 100 at an interval.
fn skew(interval: Duration) -> Duration {
    interval * 156 / 256
}

fn down(interval: Duration) -> Duration {
    3 * interval + skew(interval)
}

#[test]
fn an_owner_starts_as_master() {
    let mut election = Election::new(parameters(PRIORITY_OWNER), Time::ZERO);
    let step = election.step(Time::ZERO, Event::Startup(Cause::Started));
    assert_eq!(
        (election.state(), step.advertise),
        (State::Master, Some(PRIORITY_OWNER))
    );
}

#[test]
fn timers_are_exact_to_the_nanosecond_and_never_zero() {
    let nanos = Duration::from_nanos;
    for (timers, priority, interval, skew, down) in [
        (
            Timers::V3,
            100,
            INTERVAL,
            nanos(609_375_000),
            nanos(3_609_375_000),
        ),
        (
            Timers::V3,
            254,
            Duration::from_millis(10),
            nanos(78_125),
            nanos(30_078_125),
        ),
        (
            Timers::V3,
            255,
            Duration::from_millis(10),
            nanos(39_062),
            nanos(30_039_062),
        ),
        (
            Timers::V3,
            1,
            Duration::from_millis(40_950),
            nanos(40_790_039_062),
            nanos(163_640_039_062),
        ),
        (
            Timers::V2,
            255,
            INTERVAL,
            nanos(3_906_250),
            nanos(3_003_906_250),
        ),
        (
            Timers::V2,
            100,
            255 * INTERVAL,
            nanos(609_375_000),
            nanos(765_609_375_000),
        ),
    ] {
        let parameters = Parameters {
            timers,
            interval,
            ..parameters(priority)
        };
        let election = Election::new(parameters, Time::ZERO);
        assert_eq!(
            (election.skew(), election.down_interval()),
            (skew, down),
            "{parameters:?}"
        );
    }
}

#[test]
fn version_2_keeps_its_own_interval_whatever_it_hears() {
    let mut election = Election::new(
        Parameters {
            timers: Timers::V2,
            ..parameters(100)
        },
        Time::ZERO,
    );
    election.step(Time::ZERO, Event::Startup(Cause::Started));
    election.step(Time::ZERO, heard(HIGHER, 200));
    assert_eq!(election.master_interval(), INTERVAL);
}

#[test]
fn without_preemption_a_lower_master_is_heeded_unless_this_router_is_the_owner() {
    for (priority, to) in [(100, State::Backup), (PRIORITY_OWNER, State::Master)] {
        let mut election = Election::new(
            Parameters {
                preempt: false,
                ..parameters(100)
            },
            Time::ZERO,
        );
        election.step(Time::ZERO, Event::Startup(Cause::Started));
        election.set_parameters(
            Time::ZERO,
            Parameters {
                preempt: false,
                ..parameters(priority)
            },
        );
        for second in 1..=20 {
            let now = Time::ZERO + second * INTERVAL;
            election.step(now, heard(LOWER, 50));
            election.step(now, Event::Tick);
        }
        assert_eq!(election.state(), to, "priority {priority}");
    }
}

#[test]
fn a_lower_master_is_heeded_for_the_preemption_delay_and_ousted_one_down_interval_later() {
    let delay = 10 * INTERVAL;
    let own = Parameters {
        preempt_delay: delay,
        ..parameters(100)
    };
    let mut election = Election::new(own, Time::ZERO);
    election.step(Time::ZERO, Event::Startup(Cause::Started));
    let lower = Heard {
        router: LOWER,
        priority: 50,
        interval: INTERVAL,
    };
    let mut last_heeded = Time::ZERO;
    let mut now = Time::ZERO;
    let transition = loop {
        now = now + EARLY;
        assert!(now < Time::ZERO + 10 * delay, "never ousted");
        if now.since(Time::ZERO).subsec_millis() == 0 {
            if now < Time::ZERO + INTERVAL + delay {
                last_heeded = now;
            }
            election.step(now, Event::Advertisement(lower));
        }
        let due = due(&election).unwrap();
        if let Some(transition) = election
            .step(now.max(due.min(now + EARLY)), Event::Tick)
            .transition
        {
            break transition;
        }
    };
    // The delay runs from the first advertisement, heard after one interval.
    assert_eq!(last_heeded, Time::ZERO + delay);
    assert_eq!(transition.at, last_heeded + down(INTERVAL));
    assert_eq!(
        transition.cause,
        Cause::LowerPriorityMaster {
            master: LOWER,
            priority: 50
        }
    );
}

#[test]
fn a_master_that_dies_during_the_preemption_delay_is_replaced_at_once() {
    let own = Parameters {
        preempt_delay: Duration::from_secs(3600),
        ..parameters(100)
    };
    let mut election = Election::new(own, Time::ZERO);
    election.step(Time::ZERO, Event::Startup(Cause::Started));
    election.step(
        Time::ZERO,
        Event::Advertisement(Heard {
            router: LOWER,
            priority: 50,
            interval: INTERVAL,
        }),
    );
    assert!(
        election
            .step(Time::ZERO + down(INTERVAL), Event::Tick)
            .transition
            .is_some()
    );
}

#[test]
fn lateness_of_advertisements_does_not_add_up() {
    let mut election = election_in(State::Master);
    let late = Duration::from_millis(300);
    election.step(Time::ZERO + INTERVAL + late, Event::Tick);
    assert_eq!(due(&election), Some(Time::ZERO + 2 * INTERVAL));
    // One that was missed altogether is not made up for by a burst.
    let very_late = Time::ZERO + 3 * INTERVAL + late;
    election.step(very_late, Event::Tick);
    assert_eq!(due(&election), Some(very_late + INTERVAL));
}

#[test]
fn a_changed_interval_takes_effect_at_once() {
    let faster = Parameters {
        interval: INTERVAL / 10,
        ..parameters(100)
    };
    let now = Time::ZERO + EARLY;

    let mut master = election_in(State::Master);
    master.set_parameters(now, faster);
    assert_eq!(due(&master), Some(now + INTERVAL / 10));

    let mut alone = election_in(State::Backup);
    alone.set_parameters(now, faster);
    assert_eq!(due(&alone), Some(now + down(INTERVAL / 10)));

    // What a version 3 backup has learned from its master stays in force.
    let mut backup = election_in(State::Backup);
    backup.step(Time::ZERO, heard(HIGHER, 200));
    backup.set_parameters(now, faster);
    assert_eq!(due(&backup), Some(Time::ZERO + down(THEIRS)));
}

#[test]
fn an_entry_is_asked_for_at_least_every_half_interval() {
    for state in [State::Backup, State::Master] {
        let mut election = election_in(state);
        assert_eq!(election.observe(Time::ZERO + INTERVAL / 10), None);
        assert_eq!(
            election.timeout(),
            Some(Time::ZERO + INTERVAL / 10 + INTERVAL / 2),
            "{state}"
        );
    }
    assert_eq!(election_in(State::Initialise).timeout(), None);
}

#[test]
fn only_more_than_an_interval_counts_as_absence() {
    let mut election = election_in(State::Backup);
    assert_eq!(election.observe(Time::ZERO + INTERVAL), None);
    let away = INTERVAL + Duration::from_nanos(1);
    assert_eq!(
        election.observe(Time::ZERO + INTERVAL + away),
        Some(Event::Away(away))
    );
}

#[test]
fn a_master_is_silent_only_as_far_as_was_listened() {
    let mut backup = election_in(State::Backup);
    let due = Time::ZERO + down(INTERVAL);
    let before = Moment {
        now: due + 10 * INTERVAL,
        heard: Time::from_nanos(due.as_nanos() - 1),
    };
    assert_eq!(backup.step(before, Event::Tick), Step::default());
    let after = Moment {
        heard: due,
        ..before
    };
    assert!(backup.step(after, Event::Tick).transition.is_some());
}

#[test]
fn a_master_speaks_only_while_it_listens() {
    let mut master = election_in(State::Master);
    let now = Time::ZERO + 3 * INTERVAL;
    let deaf = Moment {
        now,
        heard: Time::from_nanos((Time::ZERO + 2 * INTERVAL).as_nanos() - 1),
    };
    assert_eq!(master.step(deaf, Event::Tick), Step::default());
    // What waited while it was away, from whoever may have taken over, is not contradicted.
    for old in [0, 99] {
        let event = Event::Advertisement(Heard {
            router: LOWER,
            priority: old,
            interval: INTERVAL,
        });
        assert_eq!(master.step(deaf, event), Step::default());
    }
    let heard = Time::ZERO + 2 * INTERVAL;
    let step = master.step(Moment { now, heard }, Event::Tick);
    assert_eq!(step.advertise, Some(100));
}
