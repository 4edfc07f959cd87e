//! `show backlog`: only the worker itself touches its backlog, so each has to be asked, and answers a round later.

use std::time::Duration;

use dataplane::BacklogView;
use dataplane::counters::{DiscardReason, WorkerCounts};
use vrrpd::Time;

use super::{Sources, port_name};
use crate::control::vrrp::sharing::show as sharing;
use crate::request::Request;
use crate::show::{Answer, Backlog, OnHold, Unresolved, Waiting, WorkerBacklog};

/// How long the workers may take. They answer within a round, which may follow an idle sleep.
const PATIENCE: Duration = Duration::from_secs(1);

/// Workers that are asked, and the requests that wait for what they say.
#[derive(Debug)]
pub(super) struct Inspection {
    requests: Vec<Request>,
    workers: Vec<Asked>,
    deadline: Time,
}

#[derive(Debug)]
enum Asked {
    /// Its command queue was full.
    NotYet,
    Waiting,
    Answered(BacklogView),
}

impl Inspection {
    pub(super) fn begin(sources: &mut Sources<'_>) -> Self {
        let dataplane = &mut sources.road.dataplane;
        let workers = (0..dataplane.workers())
            .map(|worker| {
                // An answer that came too late for an earlier inspection is not this one's.
                let _ = dataplane.take_backlog(worker);
                Asked::NotYet
            })
            .collect();
        Self {
            requests: Vec::new(),
            workers,
            deadline: sources.at.now + PATIENCE,
        }
    }

    /// Another request is answered with the same.
    pub(super) fn join(&mut self, request: Request) {
        self.requests.push(request);
    }

    /// Whether it has ended, all requests answered.
    pub(super) fn poll(&mut self, sources: &mut Sources<'_>) -> bool {
        let dataplane = &mut sources.road.dataplane;
        for (number, asked) in self.workers.iter_mut().enumerate() {
            if matches!(asked, Asked::NotYet) && dataplane.ask_backlog(number).is_ok() {
                *asked = Asked::Waiting;
            }
            if matches!(asked, Asked::Waiting)
                && let Some(view) = dataplane.take_backlog(number)
            {
                *asked = Asked::Answered(view);
            }
        }
        let silent = self
            .workers
            .iter()
            .position(|asked| !matches!(asked, Asked::Answered(_)));
        let reply = match silent {
            None => Ok(Answer::Backlog(self.shown(sources))),
            Some(worker) if sources.at.now >= self.deadline => {
                let within = PATIENCE.as_secs();
                Err(format!(
                    "worker {worker} has not answered within {within} s"
                ))
            }
            Some(_) => return false,
        };
        for request in self.requests.drain(..) {
            request.answer(reply.clone());
        }
        true
    }

    fn shown(&self, sources: &Sources<'_>) -> Backlog {
        let names = sources.port_names();
        let counts = sources.road.dataplane.counters();
        let limit = u64::from(sources.config.workers.backlog);
        let views = self.workers.iter().filter_map(|asked| match asked {
            Asked::Answered(view) => Some(view),
            Asked::NotYet | Asked::Waiting => None,
        });
        let workers = (0..).zip(views.zip(&counts.workers));
        Backlog {
            workers: workers
                .map(|(number, (view, counts))| {
                    let name = |condition| {
                        let known = sharing::condition(sources.router.vrrp(), condition);
                        known.unwrap_or_else(|| condition.to_string())
                    };
                    of_worker(number, view, counts, limit, &names, name)
                })
                .collect(),
        }
    }
}

fn of_worker(
    number: u16,
    view: &BacklogView,
    counts: &WorkerCounts,
    limit: u64,
    names: &[&str],
    condition_name: impl Fn(u32) -> String,
) -> WorkerBacklog {
    let on_hold = view.held.iter().map(|&(condition, packets)| OnHold {
        condition: condition_name(condition),
        packets: packets as u64,
    });
    let waiting = (0..)
        .zip(&view.waiting)
        .filter(|(_, packets)| **packets > 0)
        .map(|(port, packets)| Waiting {
            port: port_name(names, port),
            packets: *packets as u64,
        });
    let unresolved = view
        .unresolved
        .iter()
        .map(|(neighbour, packets)| Unresolved {
            port: port_name(names, neighbour.port),
            address: neighbour.address,
            packets: *packets as u64,
        });
    WorkerBacklog {
        number,
        limit,
        overflowed: counts.discarded(DiscardReason::HoldOverflow)
            + counts.discarded(DiscardReason::EgressOverflow),
        on_hold: on_hold.collect(),
        waiting: waiting.collect(),
        unresolved: unresolved.collect(),
    }
}

#[cfg(test)]
mod tests {
    use dataplane::Neighbour;

    use super::*;

    #[test]
    fn a_workers_backlog_names_conditions_and_the_ports_that_are_waited_for() {
        let view = BacklogView {
            held: vec![(7, 3)],
            waiting: vec![0, 2],
            unresolved: vec![(
                Neighbour {
                    port: 0,
                    address: [192, 0, 2, 9].into(),
                },
                4,
            )],
        };
        let counts = WorkerCounts::zero(2);
        let name = |condition| format!("192.0.2.{condition}");
        let shown = of_worker(1, &view, &counts, 2048, &["lan", "wan"], name);
        assert_eq!(
            shown,
            WorkerBacklog {
                number: 1,
                limit: 2048,
                overflowed: 0,
                on_hold: vec![OnHold {
                    condition: "192.0.2.7".into(),
                    packets: 3
                }],
                waiting: vec![Waiting {
                    port: "wan".into(),
                    packets: 2
                }],
                unresolved: vec![Unresolved {
                    port: "lan".into(),
                    address: [192, 0, 2, 9].into(),
                    packets: 4
                }],
            }
        );
    }
}
