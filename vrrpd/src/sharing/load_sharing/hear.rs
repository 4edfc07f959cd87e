//! What a received message changes. Whether its sender is believed was decided in `trust`; what an authority makes of it is in
//! `authority` and its neighbours.

use super::authority::Authority;
use super::{Event, LoadSharing};
use crate::sharing::membership::{self, Member};
use crate::sharing::names::{MemberState, MoveName, RouterId};
use crate::sharing::refusal::Refusal;
use crate::sharing::table::Change;
use crate::sharing::trust::{Admission, Incoming, Message};
use crate::sharing::wire::{Allocation, Body, Head, Response, RouterRecord};

impl LoadSharing {
    /// Takes what was authentic.
    pub(super) fn hear(&mut self, incoming: Incoming) -> Result<(), Refusal> {
        let message = match incoming {
            Incoming::Greeting(_) => {
                self.greeted();
                self.voice.respond_soon(self.now);
                return Ok(());
            }
            Incoming::Message(message) => *message,
        };
        let place = usize::from(message.body.message_type()).wrapping_sub(2);
        if let Some(received) = self.counters.received.get_mut(place) {
            *received += 1;
        }
        let Message {
            admission,
            head,
            body,
            ..
        } = message;
        self.membership.heard(self.now, head.router);
        match body {
            Body::Response(response) => {
                self.answered(&head, admission, &response);
                Ok(())
            }
            Body::Allocation(allocation) => self.allocated(&head, &allocation),
            Body::Confirmation(confirmation) => self.moves.confirmed(self.now, &confirmation),
            Body::Answer(answer) if answer.name.to == self.config.router => {
                let place = (head.fragment, head.fragments);
                self.moves.answered(self.now, place, &answer)
            }
            Body::Answer(_) => Ok(()),
            Body::ReviewRequest(request) => {
                self.review_requested(&head, request);
                Ok(())
            }
            Body::RateRequest(request) => {
                self.rates_requested(&head, request);
                Ok(())
            }
            Body::RateResponse(response) => self.rates_answered(&head, &response),
        }
    }

    /// Type 2.
    fn answered(&mut self, head: &Head, admission: Option<Admission>, response: &Response) {
        let router = head.router;
        if admission == Some(Admission::Restarted) {
            self.reports.forget(router);
            // Proof, and not a suspicion: nobody answers for what that life had accepted.
            self.giver_lost(router);
        }
        if admission.is_some() {
            self.end_systems.look_for_members();
            self.voice.respond_soon(self.now);
        }
        let events = self
            .membership
            .answered(self.now, head, admission, response);
        for event in events {
            self.member_changed(event);
        }
        // Met by a router that is new itself, and learns of it late.
        if admission == Some(Admission::New)
            && self.table.state_of(router) == Some(MemberState::Working)
        {
            self.membership.included(router);
        }
        for report in &response.moves {
            self.reports.note(self.now, router, report);
            self.moves.reported(self.now, router, report);
        }
        self.heed_sightings(&response.sightings);
        self.highest = self.highest.max(head.version).max(response.heard);
        match &self.authority {
            Authority::None => self.relay(head, response),
            Authority::Collecting(_) => self.collect(head, response),
            Authority::Ruling(_) => self.serve(head, response),
        }
    }

    /// Type 3.
    fn allocated(&mut self, head: &Head, allocation: &Allocation) -> Result<(), Refusal> {
        let from_issuer = head.version.epoch.issuer == Some(head.router);
        let states = self.states();
        let changes: Vec<Change> = match self.authority {
            Authority::Collecting(_) if !from_issuer => {
                self.table.receive_relayed(self.now, head, allocation)?
            }
            _ => self.table.receive(self.now, head, allocation)?,
        };
        self.highest = self.highest.max(head.version);
        self.heed_changes(&changes);
        self.heed_states(&states);
        self.take_up();
        self.voice
            .allocation_heard(self.now, &self.table, &self.config);
        Ok(())
    }

    fn states(&self) -> Vec<RouterRecord> {
        self.table.members().copied().collect()
    }

    /// Takes over how the authority regards the others, `before` being how it did.
    fn heed_states(&mut self, before: &[RouterRecord]) {
        let takes_part =
            |state| matches!(state, Some(MemberState::Working | MemberState::Draining));
        for record in before {
            let state = self.table.state_of(record.router);
            if takes_part(Some(record.state))
                && !takes_part(state)
                && record.router != self.config.router
            {
                self.giver_lost(record.router);
            }
        }
        for record in self.states() {
            if record.state == MemberState::Working {
                self.membership.included(record.router);
            }
        }
    }

    /// Finishes the moves from `router` without it, unless nothing is routed here at all.
    fn giver_lost(&mut self, router: RouterId) {
        if !self.quiet {
            self.moves.lost(self.now, router);
        }
    }

    /// Something has become of another router.
    pub(super) fn member_changed(&mut self, event: membership::Event) {
        use membership::Event::{
            Draining, DrainingEnded, Faulty, ServerAnswers, ServerFaulty, Suspended,
        };
        match event {
            Faulty(router) => {
                self.trust.set_faulty(router, true);
                self.declared_faulty(router);
            }
            ServerFaulty(router) => self.trust.set_faulty(router, true),
            Suspended(router) | ServerAnswers(router) => self.trust.set_faulty(router, false),
            Draining(_) | DrainingEnded(_) => self.reallocate_soon(),
        }
        self.event(Event::Member(event));
    }

    /// Forgets the routers of which nothing was heard for an age and that are in charge of nothing, so that others can come in their place.
    pub(super) fn forget_the_gone(&mut self) {
        let (now, age) = (self.now, self.config.member_age);
        let gone = |member: &Member| !member.is_alive() && now.since(member.heard_at) > age;
        let members = self.membership.iter();
        let gone: Vec<RouterId> = members
            .filter(|(_, member)| gone(member))
            .map(|(router, _)| router)
            .collect();
        for router in gone {
            let is_named = self.table.rows().any(|(_, row)| {
                let is_party = |name: MoveName| name.from == router || name.to == router;
                row.router == router || row.unfinished.is_some_and(is_party)
            });
            if !is_named {
                self.membership.forget(router);
                self.trust.forget(router);
                self.reports.forget(router);
                self.review_soon();
            }
        }
    }

    /// As an authority, this router has the say in whether another is lost; as any other it waits for that.
    fn declared_faulty(&mut self, router: RouterId) {
        if !matches!(self.authority, Authority::None) {
            self.lost.insert(router);
            self.review_soon();
        }
    }
}
