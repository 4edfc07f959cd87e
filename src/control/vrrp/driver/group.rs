//! One virtual router: what it asks for, as the control loop carries it out.

use std::collections::VecDeque;
use std::net::IpAddr;

use dataplane::addr::MacAddr;
use vrrpd::{State, Time, Transition, Transmit, VirtualRouter};

use super::output::{Charge, Outbox, Output};
use crate::control::host::Virtual;
use crate::control::vrrp::config::{GroupConfig, SourceMac};
use crate::control::vrrp::frame;
use crate::control::vrrp::hooks::HookCall;
use crate::control::vrrp::sharing::Sharing;

/// How many changes of state each virtual router remembers.
pub(in crate::control::vrrp) const TRANSITIONS_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Group {
    pub(super) config: GroupConfig,
    pub(super) router: VirtualRouter,
    /// When it wants to act next.
    pub(super) due: Option<Time>,
    /// The latest changes of state, oldest first.
    pub(super) transitions: VecDeque<Transition>,
    /// Its part in load sharing.
    pub(super) sharing: Option<Sharing>,
}

impl Group {
    /// One that has yet to hear whether its port has a link.
    pub(super) const fn new(config: GroupConfig, router: VirtualRouter) -> Self {
        Self {
            config,
            router,
            due: None,
            transitions: VecDeque::new(),
            sharing: None,
        }
    }

    /// Has done what its VRRP part asks for, from the port with this MAC.
    pub(super) fn carry_out(
        &mut self,
        mac: Option<MacAddr>,
        output: vrrpd::Output,
        outbox: &mut Outbox,
    ) {
        let key = self.config.key();
        match output {
            vrrpd::Output::Transmit(transmit) => self.transmit(mac, &transmit, outbox),
            vrrpd::Output::Announce(IpAddr::V4(address)) => outbox.push(Output::Announce {
                group: key,
                address,
            }),
            vrrpd::Output::StateChanged(transition) => self.changed(transition, outbox),
            vrrpd::Output::MasterLost { master } => tracing::info!(
                port = self.config.port_name,
                vrid = self.config.protocol.vrid.get(),
                "nothing from master {master} any more"
            ),
            // Virtual routers here have IPv4 addresses alone, and stalls are taken together by the caller.
            vrrpd::Output::Announce(IpAddr::V6(_)) | vrrpd::Output::Stalled { .. } => {}
        }
    }

    fn transmit(&self, mac: Option<MacAddr>, transmit: &Transmit, outbox: &mut Outbox) {
        let (Some(own), IpAddr::V4(source), IpAddr::V4(destination)) =
            (mac, transmit.src, transmit.dst)
        else {
            return;
        };
        if !destination.is_multicast() {
            let packet = frame::unicast(source, destination, transmit.payload.clone());
            outbox.push(Output::Send(packet));
            return;
        }
        let mac = match self.config.source_mac {
            SourceMac::Own => own,
            SourceMac::Virtual => MacAddr::virtual_v4(self.config.protocol.vrid.get()),
        };
        match frame::multicast(mac, source, destination, &transmit.payload) {
            Ok(frame) => outbox.push(Output::Transmit {
                port: self.config.port,
                frame,
            }),
            // An advertisement of 255 addresses is far shorter than an IPv4 packet may be.
            Err(error) => tracing::error!("an advertisement cannot be sent: {error}"),
        }
    }

    fn changed(&mut self, transition: Transition, outbox: &mut Outbox) {
        let status = self.router.status();
        let Transition {
            from, to, cause, ..
        } = &transition;
        tracing::info!(
            port = self.config.port_name,
            vrid = status.vrid.get(),
            priority = status.priority,
            %from,
            %to,
            cause = cause.name(),
            "virtual router {} on {}: {transition}",
            status.vrid,
            self.config.port_name,
        );
        // Between Initialise and Backup nothing changes for the workers.
        if self.sharing.is_none() && (*from == State::Master) != (*to == State::Master) {
            let charge = if *to == State::Master {
                Charge::Ours
            } else {
                Charge::Others
            };
            outbox.push(Output::Charge {
                group: self.config.key(),
                charge: Some(charge),
            });
        }
        if let Some(command) = &self.config.hook {
            outbox.push(Output::Hook(HookCall {
                command: command.clone(),
                port: self.config.port_name.clone(),
                vrid: status.vrid.get(),
                priority: status.priority,
                transition: transition.clone(),
            }));
        }
        if self.transitions.len() == TRANSITIONS_MAX {
            self.transitions.pop_front();
        }
        self.transitions.push_back(transition);
    }

    /// What the host is to know of it.
    pub(super) fn as_virtual(&self) -> Virtual {
        self.config
            .as_virtual(self.router.is_master(), self.router.accepts())
    }
}
