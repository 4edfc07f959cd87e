//! The program `manifold`: a router whose packet road is `dataplane` and whose protocol is `vrrpd`.
//!
//! | module | what lives there |
//! |---|---|
//! | [`args`] | the program's arguments |
//! | [`command`] | the console's grammar, with help and completion |
//! | [`config`] | the configuration file: reading it, its defaults, every mistake with its place |
//! | [`console`] | the prompt, and batches of commands |
//! | [`control`] | the control thread: the loop, and all that it decides |
//! | [`ctl`] | the control socket, both ends |
//! | [`eal`] | how DPDK is started |
//! | [`log`] | events as lines |
//! | [`man`] | the manual page |
//! | [`request`] | the way of a command to the control thread, and of its answer back |
//! | [`run`] | `manifold run`: everything up, in order |
//! | [`show`] | what is shown, as tables and as JSON |
//! | [`signals`] | signals as flags |
//! | [`supervisor`] | what the service manager is told |
//! | [`top`] | the live view |

pub mod args;
pub mod command;
pub mod config;
pub mod console;
pub mod control;
pub mod ctl;
pub mod eal;
pub mod log;
pub mod man;
pub mod request;
pub mod run;
pub mod show;
pub mod signals;
pub mod supervisor;
pub mod top;
