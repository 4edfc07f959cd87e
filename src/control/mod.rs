//! The control thread, which owns every table, all protocol state and every decision.
//! Console and socket threads only bring it requests.

pub mod host;
pub mod plan;
pub mod reload;
pub mod router;
pub mod routes;
pub mod vrrp;
