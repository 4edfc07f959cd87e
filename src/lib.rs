//! The program `manifold`: a router whose packet road is `dataplane` and whose protocol is `vrrpd`.
//!
//! | module | what lives there |
//! |---|---|
//! | [`args`] | the program's arguments |
//! | [`command`] | the console's grammar, with help and completion |
//! | [`config`] | the configuration file: reading it, its defaults, every mistake with its place |
//! | [`control`] | the control thread: the loop, and all that it decides |
//! | [`eal`] | how DPDK is started |
//! | [`log`] | events as lines |
//! | [`signals`] | signals as flags |

pub mod args;
pub mod command;
pub mod config;
pub mod control;
pub mod eal;
pub mod log;
pub mod signals;
