//! The control loops and the authority: messages, tables, who dies and who takes over.

use super::*;

impl Model {
    pub(super) fn control(&mut self, node: usize, message: &Message) {
        let now = self.time();
        match message {
            Message::Table(rows) => self.install(node, rows.clone()),
            Message::Reports(from, reports) => {
                for report in reports {
                    self.nodes[node].moves.reported(now, *from, report);
                    if node == 0 {
                        self.heed(*from, report.name, report.status);
                    }
                }
            }
            Message::Confirmation(confirmation) => {
                let _ = self.nodes[node].moves.confirmed(now, confirmation);
            }
            Message::Answer(place, answer) => {
                if answer.name.to == router(node) {
                    self.nodes[node]
                        .moves
                        .answered(now, *place, answer)
                        .unwrap();
                }
            }
        }
    }

    pub(super) fn outputs(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].moves.poll_output() {
            match output {
                Output::Command {
                    name,
                    conditions,
                    command,
                } => self.command(node, name, conditions, command),
                Output::Confirm(confirmation) => {
                    self.send(node, Message::Confirmation(confirmation))
                }
                Output::Answer { fragments, parts } => {
                    for (number, answer) in parts {
                        self.send(node, Message::Answer((number, fragments), answer));
                    }
                }
                Output::Status(name, status) => {
                    self.report(node);
                    if node == 0 {
                        self.heed(router(0), name, status);
                    }
                }
            }
        }
        if let Some(due) = self.nodes[node].moves.poll_timeout() {
            let after = due.as_nanos().saturating_sub(self.now);
            self.schedule(after, Event::Tick(node, self.nodes[node].life));
        }
    }

    pub(super) fn command(
        &mut self,
        node: usize,
        name: MoveName,
        conditions: Arc<[Condition]>,
        command: Command,
    ) {
        let router = &mut self.nodes[node];
        if let Command::SetVerdict(verdict) = command {
            router.set_verdict(&conditions, verdict);
        }
        let id = self.next_command;
        self.next_command += 1;
        for worker in &mut router.workers {
            worker.commands.push_back(id);
        }
        let pending = Pending {
            name,
            conditions,
            command,
            verdicts_version: router.verdicts_version,
            workers: (0..WORKERS).collect(),
            accepted: Vec::new(),
        };
        router.pending.insert(id, pending);
    }

    pub(super) fn report(&mut self, node: usize) {
        let reports = self.nodes[node].moves.reports();
        self.send(node, Message::Reports(router(node), reports));
    }

    /// Does what a later table asks for, compared with the one before.
    pub(super) fn install(&mut self, node: usize, table: Rows) {
        let now = self.time();
        let me = router(node);
        if table.generation <= self.nodes[node].table.generation {
            return;
        }
        let before = std::mem::replace(&mut self.nodes[node].table, table.clone());
        let mut orders: BTreeMap<MoveName, Vec<Condition>> = BTreeMap::new();
        for (condition, (in_charge, unfinished)) in &table.rows {
            let (was_in_charge, was_unfinished) = match before.rows.get(condition) {
                Some((router, unfinished)) => (Some(*router), *unfinished),
                None => (None, None),
            };
            let router = &mut self.nodes[node];
            if was_unfinished == *unfinished && was_in_charge == Some(*in_charge) {
                continue;
            }
            if let Some(name) = was_unfinished
                && *unfinished != was_unfinished
            {
                let now_from = unfinished.map_or(*in_charge, |next| next.from);
                if now_from == name.to {
                    router.moves.conclude(now, name);
                } else if name.from == me || name.to == me {
                    router.moves.cancel(now, name, [*condition], now_from == me);
                }
            } else if was_unfinished.is_none() && unfinished.is_none() {
                let verdict = if *in_charge == me {
                    Verdict::Route
                } else {
                    Verdict::Discard
                };
                router.set_verdict(&[*condition], verdict);
            }
            if let Some(name) = *unfinished
                && Some(name) != was_unfinished
            {
                let gives = name.from == me && was_in_charge == Some(me);
                if gives || name.to == me {
                    orders.entry(name).or_default().push(*condition);
                }
            }
        }
        for (name, conditions) in orders {
            let mode = self.settings.mode;
            self.nodes[node]
                .moves
                .order(now, name, mode, conditions)
                .unwrap();
        }
    }

    // The authority.

    pub(super) fn issue(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<Condition, (RouterId, Option<MoveName>)>),
    ) {
        let mut table = self.nodes[0].table.clone();
        table.generation += 1;
        change(&mut table.rows);
        self.install(0, table.clone());
        self.send(0, Message::Table(table));
        self.outputs(0);
    }

    pub(super) fn order(&mut self) {
        let rows = self.nodes[0].table.rows.clone();
        let from = self.draw(0, ROUTERS as u64) as usize;
        let to = (from + self.draw(1, ROUTERS as u64) as usize) % ROUTERS;
        let mut free: Vec<Condition> = rows
            .iter()
            .filter(|(_, row)| **row == (router(from), None))
            .map(|(condition, _)| *condition)
            .collect();
        free.truncate(self.draw(1, 4) as usize);
        let living = self.nodes[from].alive && self.nodes[to].alive;
        // Only what P knows that it is in charge of can be ordered from it.
        let told = self.nodes[from].table.generation == self.nodes[0].table.generation;
        if free.is_empty() || !living || !told {
            return;
        }
        self.ordered += 1;
        let name = MoveName {
            version: Version {
                epoch: Epoch {
                    counter: 1,
                    issuer: Some(router(0)),
                },
                generation: self.nodes[0].table.generation + 1,
            },
            from: router(from),
            to: router(to),
            batch: 0,
        };
        self.issue(|rows| {
            for condition in free {
                rows.insert(condition, (router(to), Some(name)));
            }
        });
    }

    pub(super) fn heed(&mut self, from: RouterId, name: MoveName, status: MoveStatus) {
        let open = self.nodes[0]
            .table
            .rows
            .values()
            .any(|(_, unfinished)| *unfinished == Some(name));
        let in_charge = match status {
            MoveStatus::Finished => name.to,
            MoveStatus::StoodDown => name.from,
            _ => return,
        };
        if open && from == name.to {
            self.issue(|rows| {
                for row in rows.values_mut().filter(|row| row.1 == Some(name)) {
                    *row = (in_charge, None);
                }
            });
        }
    }

    // Disaster.

    pub(super) fn crash(&mut self, node: usize) {
        self.nodes[node].alive = false;
        let notice = if self.settings.restart {
            let away = self.draw(MS, 10 * MS);
            self.schedule(away, Event::Revive(node));
            away + 2 * MS
        } else {
            30 * MS
        };
        for other in (0..ROUTERS).filter(|other| *other != node) {
            let late = self.draw(0, 4 * MS);
            self.schedule(notice + late, Event::Lost(other, router(node)));
        }
        self.schedule(
            notice + self.settings.seed % 5 * MS,
            Event::Reallocate(node),
        );
    }

    pub(super) fn reallocate(&mut self, lost: usize) {
        let lost = router(lost);
        let heirs: Vec<RouterId> = (0..ROUTERS)
            .map(router)
            .filter(|router| *router != lost)
            .collect();
        let mut turn = 0;
        self.issue(|rows| {
            for row in rows.values_mut() {
                match *row {
                    (in_charge, None) if in_charge == lost => {
                        turn += 1;
                        *row = (heirs[turn % heirs.len()], None);
                    }
                    (in_charge, Some(name)) if in_charge == lost => *row = (name.from, None),
                    _ => {}
                }
            }
        });
    }
}
