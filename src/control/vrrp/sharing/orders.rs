//! Orders: what the protocol has decided goes to whom it concerns, and it is told what the workers have done of it.

use std::net::IpAddr;
use std::sync::Arc;

use dataplane::MatchOn;
use dataplane::handover::{HandoverDone, HandoverId, HandoverStep};
use vrrpd::Time;
use vrrpd::sharing::load_sharing::Output as Decided;
use vrrpd::sharing::moves::{Command, Completion};
use vrrpd::sharing::names::{Condition, MoveName};

use super::{Numbers, Output, Sharing, handovers};

impl Sharing {
    /// The workers have done what was asked for a move.
    pub(in crate::control::vrrp) fn handed_over(
        &mut self,
        now: Time,
        id: HandoverId,
        done: HandoverDone,
        numbers: &mut Numbers,
    ) {
        let Some(name) = self.handovers.name(id) else {
            return;
        };
        let completion = match done {
            HandoverDone::Recording => Completion::Recording,
            HandoverDone::QueuesEmptied => Completion::QueuesEmptied,
            HandoverDone::Drained => Completion::Drained,
            HandoverDone::Inspected(lists) => {
                self.watch(name, false, numbers);
                Completion::Inspected(handovers::accepted(lists, &self.verdicts))
            }
            HandoverDone::Released => Completion::Released,
            HandoverDone::Dropped => Completion::Dropped,
        };
        self.part.completed(now, name, completion);
        self.carry_out(numbers);
    }

    fn watch(&mut self, name: MoveName, watched: bool, numbers: &mut Numbers) {
        for condition in self.handovers.conditions(name).iter() {
            self.verdicts.watch(*condition, watched, numbers);
        }
    }

    /// Has done what the protocol wants done.
    pub(super) fn carry_out(&mut self, numbers: &mut Numbers) {
        while let Some(decided) = self.part.poll_output() {
            match decided {
                Decided::Transmit(transmit) => self.outputs.push(Output::Transmit(transmit)),
                Decided::Verdicts(verdicts) => {
                    for (condition, verdict) in verdicts {
                        self.verdicts.set(condition, verdict, numbers);
                    }
                }
                Decided::Command {
                    name,
                    conditions,
                    command,
                } => self.command(name, &conditions, command, numbers),
                // Whoever wants to know asks.
                Decided::Drained => {}
                Decided::Event(event) => tracing::info!(
                    port = self.config.port_name,
                    vrid = self.config.vrid,
                    "{event}"
                ),
            }
        }
    }

    fn command(
        &mut self,
        name: MoveName,
        conditions: &Arc<[Condition]>,
        command: Command,
        numbers: &mut Numbers,
    ) {
        let step = match command {
            Command::SetVerdict(verdict) => {
                for condition in conditions.iter() {
                    self.verdicts.set(*condition, Some(verdict), numbers);
                }
                self.verdicts.wait(name, verdict);
                return;
            }
            Command::Resolve => {
                self.prepare(conditions);
                return;
            }
            Command::StartRecording => {
                self.handovers.begin(name, conditions, numbers);
                self.watch(name, true, numbers);
                HandoverStep::StartRecording {
                    room: self.config.settings.recording_room as usize,
                }
            }
            Command::StopRecording => {
                self.watch(name, false, numbers);
                HandoverStep::StopRecording
            }
            Command::EmptyReceiveQueues => HandoverStep::EmptyReceiveQueues,
            Command::DrainBacklog => HandoverStep::DrainBacklog,
            Command::Inspect => HandoverStep::Inspect,
            Command::Release(lists) => {
                HandoverStep::Release(handovers::listed(lists, &mut self.verdicts, numbers))
            }
            Command::DropBacklog => HandoverStep::DropBacklog,
        };
        let id = self.handovers.begin(name, conditions, numbers);
        let counted = conditions
            .iter()
            .filter_map(|condition| self.verdicts.index(*condition, numbers));
        self.outputs.push(Output::HandOver {
            id,
            conditions: counted.collect(),
            step,
        });
    }

    /// Has ready what the packets of these conditions will need.
    fn prepare(&mut self, conditions: &[Condition]) {
        if self.config.settings.match_on == MatchOn::Source {
            self.outputs.push(Output::PrepareGateways);
            return;
        }
        for condition in conditions {
            if let Condition::Address(IpAddr::V4(address)) = condition {
                self.outputs.push(Output::Prepare(*address));
            }
        }
    }
}
