//! What must hold of moves, whatever the link and the workers do: every packet once, in order; every condition served by one
//! router in the end.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::*;
use crate::sharing::names::{Epoch, Fingerprint, Version};
use crate::sharing::wire::Accepted;
use model::{MS, Model, Settings, router};

/// Runs what `settings` makes of each seed, and checks what must hold of every run without a fault.
fn runs(seeds: u64, settings: impl Fn(u64) -> Settings, check: impl Fn(&Model)) {
    for seed in 0..seeds {
        let mut model = Model::new(settings(seed));
        assert!(model.run(), "unsettled: {}", model.state());
        assert!(model.is_empty(), "something kept: {:?}", model.settings);
        let conditions: BTreeSet<Condition> =
            model.frames.iter().map(|frame| frame.condition).collect();
        for condition in conditions {
            assert_eq!(
                model.routing(condition),
                1,
                "{condition}: {:?}",
                model.settings
            );
        }
        check(&model);
    }
}

/// Every frame was routed once that everyone got, none twice, none before an earlier one of its flow.
fn exact(model: &Model) {
    let mut last: BTreeMap<(Condition, u32), (u64, usize)> = BTreeMap::new();
    for (number, frame) in model.frames.iter().enumerate() {
        let everywhere = frame.delivered.iter().all(|delivered| *delivered);
        assert!(
            frame.routed.len() <= 1,
            "frame {number} doubled: {frame:?}, {:?}",
            model.settings
        );
        assert!(
            !everywhere || frame.routed.len() == 1,
            "frame {number} lost: {frame:?}, {:?}",
            model.settings
        );
        // One that P never got and N sends has no place among those that P sends.
        if let Some((_, at)) = frame.routed.first().filter(|_| everywhere) {
            let before = last.insert((frame.condition, frame.flow), (*at, number));
            assert!(
                before.is_none_or(|(before, _)| before <= *at),
                "frame {number} overtook {before:?}: {frame:?}, {:?}",
                model.settings
            );
        }
    }
    let moved = model.count(|counters| counters.taken);
    assert_eq!(moved, u64::from(model.settings.moves));
}

#[test]
fn planned_moves_lose_double_and_reorder_nothing() {
    runs(40, Settings::calm, exact);
}

#[test]
fn control_messages_lost_doubled_and_late_harm_no_packet() {
    let settings = |seed| Settings {
        control_loss: seed % 6 * 10,
        control_doubled: 20,
        ..Settings::calm(seed)
    };
    runs(60, settings, exact);
}

#[test]
fn workers_held_up_and_frames_lost_at_one_receiver_harm_no_other_packet() {
    let settings = |seed| Settings {
        control_loss: 20,
        control_doubled: 10,
        receive_loss: 30,
        stalls: true,
        ..Settings::calm(seed)
    };
    runs(60, settings, exact);
}

#[test]
fn a_router_whose_backlog_is_never_empty_is_relieved_exactly() {
    let settings = |seed| Settings {
        congested: Some(seed as usize % 3),
        control_loss: 10,
        stalls: seed % 2 == 0,
        ..Settings::calm(seed)
    };
    runs(40, settings, exact);
}

#[test]
fn of_identical_packets_no_more_are_lost_than_p_left_and_none_is_doubled() {
    let settings = |seed| Settings {
        identical: true,
        control_loss: 10,
        stalls: true,
        ..Settings::calm(seed)
    };
    runs(40, settings, |model| {
        let identical = Condition::Address(Ipv4Addr::new(10, 0, 0, 1).into());
        let (of_it, others): (Vec<_>, Vec<_>) = model
            .frames
            .iter()
            .partition(|frame| frame.condition == identical);
        assert!(others.iter().all(|frame| frame.routed.len() == 1));
        let routed: usize = of_it.iter().map(|frame| frame.routed.len()).sum();
        assert!(routed <= of_it.len(), "{:?}", model.settings);
        let lost = (of_it.len() - routed) as u64;
        assert!(lost <= model.unlisted, "{lost}: {:?}", model.settings);
    });
}

#[test]
fn timer_mode_doubles_nothing() {
    let settings = |seed| Settings {
        mode: Mode::Timer,
        control_loss: seed % 4 * 10,
        control_doubled: 10,
        receive_loss: 10,
        stalls: true,
        ..Settings::calm(seed)
    };
    runs(40, settings, |model| {
        for frame in &model.frames {
            assert!(frame.routed.len() <= 1, "{frame:?}, {:?}", model.settings);
        }
        let settled = model.settled_at.unwrap();
        served_once_from(model, settled);
    });
}

/// What was sent later is served, once.
fn served_once_from(model: &Model, from: u64) {
    let later = model.frames.iter().filter(|frame| frame.sent >= from);
    let mut seen = 0;
    for frame in later {
        let living = frame
            .delivered
            .iter()
            .filter(|delivered| **delivered)
            .count();
        if living >= 2 && model.settings.receive_loss == 0 {
            assert_eq!(frame.routed.len(), 1, "{frame:?}, {:?}", model.settings);
            seen += 1;
        }
    }
    assert!(seen > 100 || model.settings.receive_loss > 0, "{seen} seen");
}

#[test]
fn a_router_that_dies_or_restarts_in_any_step_leaves_nothing_unserved_and_doubles_only_what_it_sent()
 {
    let settings = |seed| Settings {
        mode: if seed % 5 == 4 {
            Mode::Timer
        } else {
            Mode::Sequence
        },
        control_loss: seed % 3 * 10,
        // Anyone but the authority, in any step of what is under way then.
        crash: Some((1 + seed as usize % 2, 5 + seed % 37)),
        restart: seed % 4 >= 2,
        ..Settings::calm(seed)
    };
    runs(120, settings, |model| {
        served_once_from(model, model.settled_at.unwrap());
        // Rather twice than never, but only what the lost router had sent.
        let (lost, _) = model.settings.crash.unwrap();
        for frame in &model.frames {
            let by_lost = frame
                .routed
                .iter()
                .filter(|(node, _)| *node == lost)
                .count();
            assert!(
                frame.routed.len() - by_lost <= 1 && by_lost <= 1,
                "{frame:?}, {:?}",
                model.settings
            );
        }
    });
}

fn name() -> MoveName {
    MoveName {
        version: Version {
            epoch: Epoch {
                counter: 1,
                issuer: Some(router(0)),
            },
            generation: 1,
        },
        from: router(0),
        to: router(1),
        batch: 0,
    }
}

fn conditions() -> Vec<Condition> {
    vec![Condition::Address(Ipv4Addr::new(10, 0, 0, 1).into())]
}

fn at(ms: u64) -> Time {
    Time::from_nanos(ms * MS)
}

fn moves(node: usize) -> Moves {
    let mut moves = Moves::new(router(node), Family::Ipv4, Config::default());
    moves
        .order(at(0), name(), Mode::Sequence, conditions())
        .unwrap();
    moves
}

/// N, whose receive queues are empty at 1 ms, P being ready.
fn cleared() -> Moves {
    let mut n = moves(1);
    let ready = MoveReport {
        name: name(),
        status: MoveStatus::Ready,
        conditions: Vec::new(),
    };
    n.reported(at(0), router(0), &ready);
    n.tick(at(1));
    n.completed(at(1), name(), Completion::QueuesEmptied);
    n
}

fn outputs(moves: &mut Moves) -> Vec<Output> {
    std::iter::from_fn(|| moves.poll_output()).collect()
}

fn commands(moves: &mut Moves) -> Vec<Command> {
    outputs(moves)
        .into_iter()
        .filter_map(|output| match output {
            Output::Command { command, .. } => Some(command),
            _ => None,
        })
        .collect()
}

fn fence() -> Confirmation {
    Confirmation {
        name: name(),
        mode: Mode::Sequence,
        missing: Vec::new(),
    }
}

fn answer_of(moves: &mut Moves) -> Vec<(u16, Answer)> {
    outputs(moves)
        .into_iter()
        .filter_map(|output| match output {
            Output::Answer { parts, .. } => Some(parts),
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn a_fence_that_comes_too_early_ends_in_keeping_and_never_in_withdrawal() {
    let mut p = moves(0);
    assert_eq!(commands(&mut p), [Command::StartRecording]);
    p.confirmed(at(1), &fence()).unwrap();
    assert_eq!(answer_of(&mut p)[0].1.status, AnswerStatus::StillRouting);
    p.completed(at(2), name(), Completion::Recording);
    p.confirmed(at(3), &fence()).unwrap();
    assert_eq!(answer_of(&mut p)[0].1.status, AnswerStatus::StillRouting);
    assert_eq!(p.poll_timeout(), Some(at(1001)));
    p.tick(at(1001));
    let told = outputs(&mut p);
    let withdraws = |output: &Output| {
        matches!(
            output,
            Output::Command {
                command: Command::SetVerdict(_),
                ..
            }
        )
    };
    assert!(!told.iter().any(withdraws));
    assert!(told.contains(&Output::Status(name(), MoveStatus::Kept)));
    p.confirmed(at(1002), &fence()).unwrap();
    let answer = answer_of(&mut p).remove(0).1;
    assert_eq!(answer.status, AnswerStatus::Kept);

    let mut n = cleared();
    n.completed(at(1), name(), Completion::VerdictSet(Verdict::Hold));
    n.tick(at(2));
    let _ = outputs(&mut n);
    n.answered(at(3), (0, 1), &answer).unwrap();
    assert_eq!(commands(&mut n), [Command::SetVerdict(Verdict::Discard)]);
    n.completed(at(4), name(), Completion::VerdictSet(Verdict::Discard));
    assert_eq!(commands(&mut n), [Command::DropBacklog]);
    n.completed(at(5), name(), Completion::Dropped);
    assert_eq!(n.reports()[0].status, MoveStatus::StoodDown);

    // P hears that, forgets the move, and still keeps to what it said.
    p.reported(at(6), router(1), &n.reports()[0]);
    assert_eq!(p.reports(), []);
    p.confirmed(at(1007), &fence()).unwrap();
    assert_eq!(answer_of(&mut p)[0].1.status, AnswerStatus::Kept);
}

/// How far `moves` says that its only move is, if it says anything.
fn told(moves: &Moves) -> Option<MoveStatus> {
    let reports = moves.reports();
    assert!(reports.len() <= 1, "{reports:?}");
    reports.first().map(|report| {
        assert_eq!((report.name, &report.conditions), (name(), &conditions()));
        report.status
    })
}

#[test]
fn a_move_that_is_over_and_ordered_again_is_not_begun_and_its_end_is_told_for_as_long() {
    let again = |moves: &mut Moves| moves.order(at(2), name(), Mode::Sequence, conditions());
    let mut n = moves(1);
    n.cancel(at(1), name(), conditions(), false);
    assert_eq!(told(&n), None);
    let _ = outputs(&mut n);
    again(&mut n).unwrap();
    assert_eq!(told(&n), Some(MoveStatus::StoodDown));
    assert_eq!(n.status(&name()), Some(MoveStatus::StoodDown));
    let status = Output::Status(name(), MoveStatus::StoodDown);
    assert_eq!(outputs(&mut n), [status]);
    n.cancel(at(3), name(), conditions(), false);
    assert_eq!(told(&n), None);

    let mut p = moves(0);
    p.cancel(at(1), name(), conditions(), false);
    again(&mut p).unwrap();
    assert_eq!(told(&p), Some(MoveStatus::Kept));
    p.forget_unless(|_| false);
    assert_eq!(told(&p), None);
}

#[test]
fn a_move_that_is_ordered_again_before_n_has_let_go_of_it_is_told_when_it_has() {
    let mut n = cleared();
    n.completed(at(1), name(), Completion::VerdictSet(Verdict::Hold));
    n.cancel(at(2), name(), conditions(), false);
    n.order(at(3), name(), Mode::Sequence, conditions())
        .unwrap();
    assert_eq!(told(&n), Some(MoveStatus::Holding));
    n.completed(at(4), name(), Completion::VerdictSet(Verdict::Discard));
    n.completed(at(5), name(), Completion::Dropped);
    assert_eq!(told(&n), Some(MoveStatus::StoodDown));
}

#[test]
fn an_n_that_stood_down_routes_what_is_still_ordered_to_it_when_p_is_lost() {
    let mut n = moves(1);
    n.cancel(at(1), name(), conditions(), false);
    n.order(at(2), name(), Mode::Sequence, conditions())
        .unwrap();
    let _ = outputs(&mut n);
    n.lost(at(3), router(0));
    assert_eq!(commands(&mut n), [Command::SetVerdict(Verdict::Route)]);
    assert_eq!(told(&n), Some(MoveStatus::Finished));
    assert_eq!(n.counters().taken_without_answer, 1);
    n.lost(at(4), router(0));
    assert_eq!(outputs(&mut n), []);
}

#[test]
fn a_p_that_is_ordered_to_give_what_it_does_not_have_says_that_it_keeps_it() {
    let mut p = Moves::new(router(0), Family::Ipv4, Config::default());
    p.refuse(name(), conditions());
    assert_eq!(told(&p), Some(MoveStatus::Kept));
    assert_eq!(commands(&mut p), []);
    p.confirmed(at(1), &fence()).unwrap();
    assert_eq!(answer_of(&mut p)[0].1.status, AnswerStatus::Kept);
    let mut n = moves(1);
    n.reported(at(2), router(0), &p.reports()[0]);
    assert_eq!(told(&n), Some(MoveStatus::StoodDown));
    p.cancel(at(3), name(), conditions(), true);
    assert_eq!(commands(&mut p), [Command::SetVerdict(Verdict::Route)]);
    assert_eq!(told(&p), None);
}

#[test]
fn a_p_that_had_to_give_up_says_so_to_the_n_that_holds_for_it() {
    let mut p = moves(0);
    p.completed(at(0), name(), Completion::Recording);
    let _ = outputs(&mut p);
    p.give_up(at(1));
    let given_up = [
        Command::StopRecording,
        Command::SetVerdict(Verdict::Discard),
    ];
    assert_eq!(commands(&mut p), given_up);
    assert_eq!(p.reports()[0].status, MoveStatus::Kept);
    p.confirmed(at(2), &fence()).unwrap();
    assert_eq!(answer_of(&mut p)[0].1.status, AnswerStatus::Kept);
    // It routes them when an allocation says so, and not before.
    p.cancel(at(3), name(), conditions(), true);
    assert_eq!(commands(&mut p), [Command::SetVerdict(Verdict::Route)]);
}

/// P, which has withdrawn and sent everything it had accepted.
fn drained() -> Moves {
    let mut p = moves(0);
    p.completed(at(0), name(), Completion::Recording);
    p.confirmed(at(1), &fence()).unwrap();
    p.tick(at(2));
    p.completed(at(2), name(), Completion::QueuesEmptied);
    p.completed(at(2), name(), Completion::VerdictSet(Verdict::Discard));
    p.completed(at(3), name(), Completion::Drained);
    p
}

#[test]
fn what_p_has_answered_stays_answered_when_it_has_to_give_up() {
    let mut p = drained();
    p.completed(at(4), name(), Completion::Inspected(Vec::new()));
    let answer = answer_of(&mut p);
    p.give_up(at(5));
    p.confirmed(at(6), &fence()).unwrap();
    assert_eq!(answer_of(&mut p), answer);
    assert_eq!(p.reports()[0].status, MoveStatus::Withdrawn);
}

#[test]
fn an_n_that_had_to_give_up_drops_what_it_holds_and_stands_down_whatever_it_was_told_before() {
    let mut n = cleared();
    n.lost(at(1), router(0));
    let _ = outputs(&mut n);
    n.give_up(at(2));
    let given_up = [Command::SetVerdict(Verdict::Discard), Command::DropBacklog];
    assert_eq!(commands(&mut n), given_up);
    n.completed(at(3), name(), Completion::VerdictSet(Verdict::Discard));
    n.completed(at(3), name(), Completion::Dropped);
    assert_eq!(n.reports()[0].status, MoveStatus::StoodDown);
    assert_eq!(commands(&mut n), []);
    // That P is lost is told again, if it is.
    n.lost(at(4), router(0));
    assert_eq!(commands(&mut n), [Command::SetVerdict(Verdict::Route)]);
}

#[test]
fn p_gives_the_same_answer_to_every_repetition_and_only_the_part_that_is_missing() {
    let mut p = drained();
    let _ = outputs(&mut p);
    let accepted = Accepted {
        condition: conditions()[0],
        overflowed: false,
        first_unrouted: None,
        fingerprints: (0..1000).map(Fingerprint).collect(),
    };
    p.completed(at(4), name(), Completion::Inspected(vec![accepted]));
    let first = answer_of(&mut p);
    assert!(first.len() > 3);
    p.confirmed(at(5), &fence()).unwrap();
    assert_eq!(answer_of(&mut p), first);

    // N gets all but two fragments, and asks for these.
    let mut n = moves(1);
    let ready = &MoveReport {
        name: name(),
        status: MoveStatus::Ready,
        conditions: Vec::new(),
    };
    n.reported(at(0), router(0), ready);
    n.tick(at(1));
    n.completed(at(1), name(), Completion::QueuesEmptied);
    n.completed(at(1), name(), Completion::VerdictSet(Verdict::Hold));
    n.tick(at(2));
    let _ = outputs(&mut n);
    let fragments = first.len() as u16;
    for (number, answer) in first.iter().filter(|(number, _)| ![1, 2].contains(number)) {
        n.answered(at(3), (*number, fragments), answer).unwrap();
    }
    assert_eq!(
        n.answered(at(3), (0, fragments + 1), &first[0].1),
        Err(Refusal::Fragment)
    );
    n.tick(at(12));
    let asked = match outputs(&mut n).remove(0) {
        Output::Confirm(confirmation) => confirmation,
        other => panic!("{other:?}"),
    };
    p.confirmed(at(13), &asked).unwrap();
    let rest = answer_of(&mut p);
    assert_eq!(rest, first[1..3]);
    for (number, answer) in &rest {
        n.answered(at(14), (*number, fragments), answer).unwrap();
    }
    n.tick(at(15));
    n.completed(at(15), name(), Completion::QueuesEmptied);
    let released = commands(&mut n);
    let [Command::EmptyReceiveQueues, Command::Release(lists)] = &released[..] else {
        panic!("{released:?}");
    };
    let listed: usize = lists.iter().map(|list| list.fingerprints.len()).sum();
    assert_eq!(listed, 1000);
}

#[test]
fn a_restarted_p_knows_nothing_of_a_fence() {
    let mut p = Moves::new(router(0), Family::Ipv4, Config::default());
    assert_eq!(p.confirmed(at(1), &fence()), Err(Refusal::Move));
    assert_eq!(outputs(&mut p), []);
}

#[test]
fn a_fence_of_another_batch_or_generation_withdraws_nothing() {
    let mut p = moves(0);
    p.completed(at(0), name(), Completion::Recording);
    let _ = outputs(&mut p);
    let mut others = [fence(), fence(), fence()];
    others[0].name.batch = 1;
    others[1].name.version.generation = 2;
    others[2].name.version.epoch.counter = 2;
    for other in others {
        assert_eq!(p.confirmed(at(1), &other), Err(Refusal::Move));
    }
    let mut other_mode = fence();
    other_mode.mode = Mode::Timer;
    assert_eq!(p.confirmed(at(1), &other_mode), Err(Refusal::Move));
    assert_eq!(outputs(&mut p), []);
    assert_eq!(p.reports()[0].status, MoveStatus::Ready);
}

#[test]
fn p_gets_back_what_n_took_and_died_with() {
    let mut p = drained();
    p.completed(at(4), name(), Completion::Inspected(Vec::new()));
    let finished = MoveReport {
        name: name(),
        status: MoveStatus::Finished,
        conditions: Vec::new(),
    };
    p.reported(at(5), router(1), &finished);
    assert_eq!(p.reports(), []);
    let _ = outputs(&mut p);
    p.cancel(at(6), name(), conditions(), true);
    assert_eq!(commands(&mut p), [Command::SetVerdict(Verdict::Route)]);
}

#[test]
fn n_that_has_restarted_routes_what_p_withdrew_for_its_former_life() {
    let mut n = moves(1);
    let withdrawn = MoveReport {
        name: name(),
        status: MoveStatus::Withdrawn,
        conditions: Vec::new(),
    };
    n.reported(at(1), router(0), &withdrawn);
    assert_eq!(commands(&mut n), [Command::SetVerdict(Verdict::Route)]);
    n.completed(at(2), name(), Completion::VerdictSet(Verdict::Route));
    assert_eq!(n.reports()[0].status, MoveStatus::Finished);
}

#[test]
fn n_gives_up_what_it_took_when_a_later_allocation_says_so() {
    let mut n = moves(1);
    n.lost(at(1), router(0));
    n.completed(at(2), name(), Completion::VerdictSet(Verdict::Route));
    assert_eq!(n.reports()[0].status, MoveStatus::Finished);
    let _ = outputs(&mut n);
    n.cancel(at(3), name(), conditions(), false);
    assert_eq!(commands(&mut n), [Command::SetVerdict(Verdict::Discard)]);
    assert_eq!(n.reports(), []);
}

#[test]
fn no_more_moves_are_under_way_or_known_than_the_limits_say() {
    let config = Config {
        active_max: 2,
        moves_max: 5,
        ..Config::default()
    };
    let mut p = Moves::new(router(0), Family::Ipv4, config);
    let mut results = Vec::new();
    for batch in 0..6 {
        let name = MoveName { batch, ..name() };
        results.push(p.order(at(0), name, Mode::Sequence, conditions()));
    }
    assert_eq!(results[5], Err(TooManyMoves));
    assert!(results[..5].iter().all(Result::is_ok));
    assert_eq!(p.counters().too_many, 1);
    assert_eq!(commands(&mut p).len(), 2, "two record");
    p.cancel(at(1), name(), conditions(), true);
    let next = commands(&mut p);
    assert_eq!(
        next,
        [
            Command::StopRecording,
            Command::SetVerdict(Verdict::Route),
            Command::StartRecording
        ]
    );
}
