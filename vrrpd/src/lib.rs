//! The Virtual Router Redundancy Protocol, as pure functions of messages and time: RFC 9568 (version 3, IPv4 and
//! IPv6) and RFC 3768 (version 2). No sockets, no clock, no threads; whoever drives it brings those.
//!
//! | module | what lives there |
//! |---|---|
//! | `instance` | [`VirtualRouter`]: one virtual router on one port, the way in and out |
//! | [`election`] | who is master: the RFC's state machine, its timers, the stall guard |
//! | [`wire`] | messages as octets |
//! | [`sharing`] | load sharing: how all routers of a group forward at once |
//! | `config` | what an operator decides |
//! | `track` | conditions that the priority depends on |
//! | `announce` | the pacing of gratuitous ARP and its IPv6 kin |
//! | `refusal`, `counters` | why a message is refused, and what is counted (RFC 8347) |
//! | `output`, `status` | what a virtual router asks for, tells and shows |
//! | `time` | now, and up to when was listened |
//!
//! # Driving a virtual router
//!
//! A pass of the control loop, for every virtual router: say that you are here, hand over *everything* that has
//! arrived, only then let timers act, and carry out what is asked for. Then sleep no longer than
//! [`poll_timeout`](VirtualRouter::poll_timeout) says. Where others bring what arrives, and may be late with it, a
//! [`Moment`] says up to when everything is there; a plain [`Time`] says that it always is.
//!
//! ```
//! use std::net::{IpAddr, Ipv4Addr};
//! use std::time::Duration;
//! use vrrpd::{Checksum, Config, Output, State, Time, Version, VirtualRouter, Vrid};
//!
//! let local = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
//! let gateway = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
//! let version = Version::V3 { checksum: Checksum::Auto };
//! let config = Config::new(Vrid::new(7).ok_or("VRID 0")?, version, vec![gateway]);
//!
//! let mut now = Time::ZERO;
//! let mut router = VirtualRouter::new(config, local, now)?;
//! router.port_link(now, true);
//! while router.state() != State::Master {
//!     now = router.poll_timeout().ok_or("no timer")?; // a real driver waits until then, or for a packet
//!     router.heartbeat(now);
//!     // ... router.receive(now, &packet) for each packet that has arrived ...
//!     router.tick(now);
//!     while let Some(output) = router.poll_output() {
//!         match output {
//!             Output::Transmit(message) => assert_eq!(message.payload.len(), 12),
//!             Output::Announce(address) => assert_eq!(address, gateway),
//!             Output::StateChanged(transition) => println!("{transition}"),
//!             Output::MasterLost { master } => println!("{master} is gone"),
//!             Output::Stalled { away } => println!("nobody listened for {away:?}"),
//!         }
//!     }
//! }
//! // Nobody else was there: three intervals of 1 s, and a skew of 156/256 s for priority 100.
//! assert_eq!(now.since(Time::ZERO), Duration::from_secs(3) + Duration::from_secs(156) / 256);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Several virtual routers share a port: [`wire::Header::parse`] and the packet's address family say which one a
//! message is for. A message for none of them is the driver's to count, as `vrid-errors`.

mod announce;
mod config;
mod counters;
pub mod election;
mod instance;
mod output;
mod refusal;
pub mod sharing;
mod status;
mod time;
mod track;
pub mod wire;

pub use config::{Announcements, Checksum, Config, ConfigError, Peers, Version};
pub use counters::Counters;
pub use instance::{Received, VirtualRouter};
pub use output::{Cause, Output, State, Transition, Transmit};
pub use refusal::{Mismatch, Refusal};
pub use status::{Obstacle, Status};
pub use time::{Moment, Time};
pub use track::{Track, Verdict, Weight};
pub use wire::v2::Authentication;
pub use wire::v3::PseudoHeader;
pub use wire::{Family, Vrid};
