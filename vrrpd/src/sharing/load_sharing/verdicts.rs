//! What a change of the table means for packets: verdicts, where nobody hands over, and moves, where somebody does. Who
//! is in charge was decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Drain, LoadSharing, Output};
use crate::sharing::moves::{self, Command, Verdict};
use crate::sharing::names::{Condition, MemberState, MoveName, RouterId};
use crate::sharing::table::Change;

/// What changes lead to, collected so that every move is told once.
#[derive(Default)]
struct Consequences {
    verdicts: Vec<(Condition, Option<Verdict>)>,
    /// Moves that ended otherwise than by their success; whether this router is in charge now.
    cancelled: BTreeMap<(MoveName, bool), Vec<Condition>>,
    /// Moves that are finished.
    concluded: BTreeMap<MoveName, Vec<Condition>>,
    ordered: BTreeMap<MoveName, Vec<Condition>>,
    /// Moves of what this router is to give and does not have.
    refused: BTreeMap<MoveName, Vec<Condition>>,
}

impl Consequences {
    fn of(changes: &[Change], me: RouterId) -> Consequences {
        let mut consequences = Consequences::default();
        for change in changes {
            consequences.add(change, me);
        }
        consequences
    }

    fn add(&mut self, change: &Change, me: RouterId) {
        let condition = change.condition;
        let was_in_charge = change.before.is_some_and(|(router, _)| router == me);
        let was = change.before.and_then(|(_, unfinished)| unfinished);
        let is = change.after.and_then(|(_, unfinished)| unfinished);
        let outright = match change.after {
            None => None,
            Some((router, None)) if router == me => Some(Verdict::Route),
            Some(_) => Some(Verdict::Discard),
        };
        match was {
            Some(name) if is != was => {
                let given_by =
                    is.map_or(change.after.map(|(router, _)| router), |is| Some(is.from));
                let is_party = name.from == me || name.to == me;
                if !is_party {
                    if is.is_none() {
                        self.verdicts.push((condition, outright));
                    }
                } else if given_by == Some(name.to) {
                    self.concluded.entry(name).or_default().push(condition);
                } else {
                    let key = (name, given_by == Some(me));
                    self.cancelled.entry(key).or_default().push(condition);
                }
            }
            None if is.is_none() => self.verdicts.push((condition, outright)),
            _ => {}
        }
        if let Some(name) = is.filter(|_| is != was) {
            // Also what an earlier move would have taken away that has come to nothing: this router is in charge again.
            let has = was_in_charge || was.is_some_and(|was| was.from == me);
            let gives = name.from == me && has;
            let takes = name.to == me;
            if gives || takes {
                self.ordered.entry(name).or_default().push(condition);
            } else if name.from == me && change.before.is_some() {
                self.refused.entry(name).or_default().push(condition);
            }
            // A party to another move before has its verdict from that.
            let continues = was.is_some_and(|was| was.from == me || was.to == me);
            if !gives && !continues {
                self.verdicts.push((condition, Some(Verdict::Discard)));
            }
        }
    }
}

impl LoadSharing {
    /// Does what changes of the table ask for.
    pub(super) fn heed_changes(&mut self, changes: &[Change]) {
        for change in changes {
            let is = change.after.and_then(|(_, unfinished)| unfinished);
            // An order of which not everything was here may be over already.
            if let Some(was) = change.before.and_then(|(_, unfinished)| unfinished)
                && is != Some(was)
            {
                self.ordered.remove(&was);
            }
        }
        if self.quiet || changes.is_empty() {
            return;
        }
        let me = self.config.router;
        let consequences = Consequences::of(changes, me);
        self.publish(consequences.verdicts);
        for ((name, in_charge), conditions) in consequences.cancelled {
            self.moves.cancel(self.now, name, conditions, in_charge);
            self.pass_on_moves();
        }
        for (name, conditions) in consequences.concluded {
            // A party that never took part, or has forgotten, has no verdict from the move.
            let takes_part = self.moves.is_arriving(&name) || self.moves.is_leaving(&name);
            self.moves.conclude(self.now, name);
            self.pass_on_moves();
            if !takes_part {
                let verdict = match name.to == me {
                    true => Verdict::Route,
                    false => Verdict::Discard,
                };
                let verdicts = conditions
                    .into_iter()
                    .map(|condition| (condition, Some(verdict)));
                self.publish(verdicts.collect());
            }
        }
        for (name, conditions) in consequences.refused {
            // Of one that it has begun, as it had the others, it gives what it has.
            if !self.ordered.contains_key(&name) && !consequences.ordered.contains_key(&name) {
                self.moves.refuse(name, conditions);
                self.pass_on_moves();
            }
        }
        for (name, conditions) in consequences.ordered {
            self.ordered.entry(name).or_default().extend(conditions);
        }
    }

    /// With an allocation here as a whole: takes up the moves it orders, and the rest.
    pub(super) fn take_up(&mut self) {
        if !self.table.is_whole() || self.quiet {
            return;
        }
        if std::mem::take(&mut self.rest_due) {
            let in_charge = self
                .table
                .row(Condition::Rest)
                .is_some_and(|row| row.router == self.config.router && row.unfinished.is_none());
            if in_charge {
                self.publish(vec![(Condition::Rest, Some(Verdict::Route))]);
            }
        }
        let mode = self.table.mode();
        for (name, mut conditions) in std::mem::take(&mut self.ordered) {
            conditions.retain(|condition| {
                let row = self.table.row(*condition);
                row.is_some_and(|row| row.unfinished == Some(name))
            });
            conditions.sort_unstable();
            conditions.dedup();
            if conditions.is_empty() {
                continue;
            }
            // One too many is counted there; the authority sees that nothing comes of it.
            let _ = self.moves.order(self.now, name, mode, conditions);
            self.look_after(name.from);
            self.pass_on_moves();
        }
    }

    /// Publishes verdicts outright. Routing the rest waits until every condition is known that the rest is not.
    fn publish(&mut self, mut verdicts: Vec<(Condition, Option<Verdict>)>) {
        if self.is_server() {
            return;
        }
        let whole = self.table.is_whole();
        verdicts.retain(|(condition, verdict)| {
            let early = *condition == Condition::Rest && *verdict == Some(Verdict::Route) && !whole;
            if *condition == Condition::Rest {
                self.rest_due = early;
            }
            !early
        });
        if !verdicts.is_empty() {
            self.outputs.push_back(Output::Verdicts(verdicts));
        }
    }

    /// Routes nothing. The moves were given up before.
    pub(super) fn discard_everything(&mut self) {
        self.ordered.clear();
        self.rest_due = false;
        self.pass_on_moves();
        if self.is_server() {
            return;
        }
        let conditions = self.table.rows().map(|(condition, _)| condition);
        let verdicts: Vec<_> = conditions
            .filter(|condition| *condition != Condition::Rest)
            .map(|condition| (condition, None))
            .chain([(Condition::Rest, Some(Verdict::Discard))])
            .collect();
        self.outputs.push_back(Output::Verdicts(verdicts));
    }

    /// Routes what the table says, after a time in which everything was discarded. Moves that were under way then have ended here, and as far as the
    /// table still orders them the others are told how.
    pub(super) fn publish_everything(&mut self) {
        let me = self.config.router;
        let rows = self.table.rows();
        let ordered: BTreeSet<MoveName> = rows.filter_map(|(_, row)| row.unfinished).collect();
        self.moves.forget_unless(|name| ordered.contains(name));
        let verdicts = self.table.rows().map(|(condition, row)| {
            let routes = row.router == me && row.unfinished.is_none();
            let verdict = if routes {
                Verdict::Route
            } else {
                Verdict::Discard
            };
            (condition, Some(verdict))
        });
        let verdicts = verdicts.collect();
        self.publish(verdicts);
        // Of whom that was said meanwhile.
        let givers: BTreeSet<RouterId> = ordered.iter().map(|name| name.from).collect();
        for giver in givers {
            self.look_after(giver);
        }
        self.pass_on_moves();
        if !self.moves.reports().is_empty() {
            self.voice.respond_soon(self.now);
        }
    }

    /// Finishes the moves from `giver` without it, if it takes no part according to the table.
    fn look_after(&mut self, giver: RouterId) {
        let state = self.table.state_of(giver);
        if !matches!(state, Some(MemberState::Working | MemberState::Draining)) {
            self.moves.lost(self.now, giver);
        }
    }

    /// Passes on what the moves ask for.
    pub(super) fn pass_on_moves(&mut self) {
        while let Some(output) = self.moves.poll_output() {
            match output {
                moves::Output::Command {
                    name,
                    conditions,
                    command,
                } => {
                    // What is in no table any more must not keep a verdict from a move that ends late, but is known until nothing more is
                    // asked of it: what is held of it could not be named otherwise.
                    let ends = match command {
                        Command::SetVerdict(Verdict::Hold) => false,
                        Command::SetVerdict(_) => !self.moves.is_to_drop(&name),
                        Command::DropBacklog => true,
                        _ => false,
                    };
                    let gone = |condition: &&Condition| self.table.row(**condition).is_none();
                    let gone: Vec<_> = match ends {
                        true => conditions.iter().filter(gone).copied().collect(),
                        false => Vec::new(),
                    };
                    self.outputs.push_back(Output::Command {
                        name,
                        conditions,
                        command,
                    });
                    self.publish(
                        gone.into_iter()
                            .map(|condition| (condition, None))
                            .collect(),
                    );
                }
                moves::Output::Confirm(confirmation) => self.send_confirmation(confirmation),
                moves::Output::Answer { fragments, parts } => self.send_answer(fragments, parts),
                moves::Output::Status(..) => {
                    self.voice.respond_soon(self.now);
                    self.review_soon();
                }
            }
        }
    }

    /// Whether this router, which is to be drained, is in charge of nothing more, or nobody could take it.
    pub(super) fn is_everything_given_away(&self) -> bool {
        debug_assert_ne!(self.drain, Drain::No);
        let me = self.config.router;
        let is_party = |name: MoveName| name.from == me || name.to == me;
        let mut rows = self.table.rows();
        let free = !rows.any(|(_, row)| row.router == me || row.unfinished.is_some_and(is_party));
        let takers: BTreeSet<RouterId> = self.takers().map(|share| share.router).collect();
        (free && self.table.is_whole() && self.moves.reports().is_empty())
            || (self.is_authority() && takers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::super::Config;
    use super::*;
    use crate::sharing::moves::Completion;
    use crate::sharing::names::{BootId, Epoch, Mode, Version};
    use crate::sharing::wire::{Group, Key, MoveReport, MoveStatus};
    use crate::{Family, Time, Vrid};

    fn router(id: u32) -> RouterId {
        RouterId::new(id).unwrap()
    }

    fn name(generation: u32, from: u32, to: u32) -> MoveName {
        MoveName {
            version: Version {
                epoch: Epoch {
                    counter: 1,
                    issuer: Some(router(1)),
                },
                generation,
            },
            from: router(from),
            to: router(to),
            batch: 0,
        }
    }

    #[test]
    fn what_was_to_go_elsewhere_and_comes_back_is_given_in_the_next_move() {
        let (former, next) = (name(1, 2, 3), name(3, 2, 4));
        // Generation 2, by which the condition came back, was never heard here.
        let change = Change {
            condition: Condition::Rest,
            before: Some((router(3), Some(former))),
            after: Some((router(4), Some(next))),
        };
        let consequences = Consequences::of(&[change], router(2));
        let all = vec![Condition::Rest];
        assert_eq!(
            consequences.cancelled,
            BTreeMap::from([((former, true), all.clone())])
        );
        assert_eq!(consequences.ordered, BTreeMap::from([(next, all)]));
        assert_eq!(consequences.verdicts, []);
    }

    #[test]
    fn what_another_had_and_this_router_is_to_give_is_refused_unless_it_has_only_begun() {
        let name = name(1, 2, 3);
        let refused = |before| {
            let change = Change {
                condition: Condition::Rest,
                before,
                after: Some((router(3), Some(name))),
            };
            let consequences = Consequences::of(&[change], router(2));
            (
                consequences.refused.len(),
                consequences.ordered.len(),
                consequences.verdicts,
            )
        };
        let discard = vec![(Condition::Rest, Some(Verdict::Discard))];
        assert_eq!(refused(Some((router(3), None))), (1, 0, discard.clone()));
        // After a restart, of which the others learn by the boot id, nobody waits for it.
        assert_eq!(refused(None), (0, 0, discard));
        assert_eq!(refused(Some((router(2), None))), (0, 1, vec![]));
    }

    #[test]
    fn a_condition_that_has_left_the_table_is_known_until_what_is_held_of_it_is_dropped() {
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let vrid = Vrid::new(7).unwrap();
        let group = Group {
            version: 3,
            vrid,
            destination: Ipv4Addr::new(192, 0, 2, 1).into(),
        };
        let own = Ipv4Addr::new(192, 0, 2, 2).into();
        let keys = vec![Key::none(vrid, Family::Ipv4).unwrap()];
        let config = Config::new(group, own, router(2), BootId(1), keys);
        let mut sharing = LoadSharing::new(config, at(0)).unwrap();
        let condition = Condition::Address(Ipv4Addr::new(192, 0, 2, 9).into());
        let name = name(1, 1, 2);
        let ready = MoveReport {
            name,
            status: MoveStatus::Ready,
            conditions: Vec::new(),
        };
        let commands = |sharing: &mut LoadSharing| {
            sharing.pass_on_moves();
            let outputs = std::mem::take(&mut sharing.outputs).into_iter();
            let told = outputs.filter_map(|output| match output {
                Output::Command { command, .. } => Some(format!("{command:?}")),
                Output::Verdicts(verdicts) => Some(format!("{verdicts:?}")),
                _ => None,
            });
            told.collect::<Vec<_>>()
        };
        let moves = &mut sharing.moves;
        moves
            .order(at(0), name, Mode::Sequence, vec![condition])
            .unwrap();
        moves.reported(at(0), router(1), &ready);
        moves.tick(at(1000));
        moves.completed(at(1000), name, Completion::QueuesEmptied);
        let _ = commands(&mut sharing);
        sharing.moves.cancel(at(1001), name, vec![condition], false);
        assert_eq!(commands(&mut sharing), ["SetVerdict(Discard)"]);
        let discards = Completion::VerdictSet(Verdict::Discard);
        sharing.moves.completed(at(1002), name, discards);
        let no_condition_any_more = format!("[({condition:?}, None)]");
        assert_eq!(
            commands(&mut sharing),
            ["DropBacklog", &no_condition_any_more]
        );
    }
}
