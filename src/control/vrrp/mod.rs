//! VRRP in the program: it carries between the ports and [`vrrpd`], which knows neither frames nor files. IPv4 alone; the
//! IPv6 packet road comes later.
//!
//! | file | what lives there |
//! |---|---|
//! | `driver.rs` | [`Vrrp`]: all virtual routers of all ports; frames, links and time in, frames and orders out |
//! | `config.rs` | [`GroupConfig`]: what the program decides beside the protocol's own configuration |
//! | `sharing/` | load sharing: all routers of a group forward at once |
//! | `frame.rs` | VRRP packets in and out of Ethernet frames |
//! | `tracking.rs` | addresses that must answer |
//! | `hooks.rs` | [`HookRunner`]: commands run on a change of state, beside the control thread |
//! | `show.rs` | fills in what `show vrrp` shows |
//!
//! [`Vrrp`] opens no socket and reads no clock. The control loop drives it so:
//!
//! 1. At the start and on reload: [`Vrrp::apply`]. Until [`Vrrp::port_link`] says that a port's link is up, its virtual
//!    routers wait.
//! 2. Each round takes the time *once, first*, and asks the workers up to when they have emptied their queues
//!    ([`Moment`](vrrpd::Moment)); then hands over all changes of links, every VRRP frame that has arrived
//!    ([`Vrrp::on_frame`]) and all echo replies, and only then lets timers act ([`Vrrp::tick`]). A frame that arrived in time can
//!    thus not come too late, however long the round takes, and whoever was not scheduled meanwhile.
//! 3. Before the host does anything: [`Vrrp::take_changed_virtuals`] goes to it. After each round [`Vrrp::poll_output`] is carried out
//!    until there is none.
//! 4. It sleeps no longer than [`Vrrp::poll_timeout`] says.
//! 5. At the end: [`Vrrp::shutdown`], and the outputs once more, so that masters resign.

pub mod config;
pub mod driver;
mod frame;
pub mod hooks;
pub mod sharing;
mod show;
pub mod tracking;

pub use config::{GroupConfig, SourceMac, Tracked, Watch};
pub use driver::{ApplyError, Asked, Charge, GroupKey, Output, Vrrp, check};
pub use hooks::{HookCall, HookRunner};
pub use sharing::{Leader, SharingConfig, Sighting, Taken};
pub use show::show;
pub use tracking::{AddressWatch, Ping};
