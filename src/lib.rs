//! The program `manifold`: a router whose packet road is `dataplane` and whose protocol is `vrrpd`.
//!
//! | module | what lives there |
//! |---|---|
//! | [`config`] | the configuration file: reading it, its defaults, every mistake with its place |
//! | [`control`] | the control thread: the loop, and all that it decides |

pub mod config;
pub mod control;
