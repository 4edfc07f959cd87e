//! Load sharing: how every router of a group forwards at once. What an operator reads about it, and a second
//! implementation needs, is `docs/protocol.md`; the election of the master is not here but in [`crate::election`].
//!
//! | module | what lives there |
//! |---|---|
//! | [`names`] | who and what the messages talk about: routers, epochs, conditions, moves |
//! | [`wire`] | messages of the types 2 to 8 as octets |
//! | [`refusal`] | why one is refused, and how often that happened |
//! | [`trust`], [`window`] | whom a router believes, and that it takes each message once |
//! | [`membership`] | which routers answer |
//! | [`allocation`] | who shall be in charge of what |
//! | [`table`] | who is, as far as this router knows |
//! | [`load_sharing`] | [`LoadSharing`]: one router's part in one group, which puts all of this together, and allocates as the authority |
//! | [`moves`] | how conditions change hands, from P to N |
//! | [`monitor`] | what a router routes, as averages |
//! | [`review`] | when these averages call for another allocation |

pub mod allocation;
pub mod load_sharing;
pub mod membership;
pub mod monitor;
pub mod moves;
pub mod names;
pub mod refusal;
pub mod review;
pub mod table;
pub mod trust;
pub mod window;
pub mod wire;

pub use load_sharing::LoadSharing;
