//! Whole groups on a virtual LAN under virtual time, through the public interface alone.

mod election;
mod faults;
mod lan;
mod operation;
mod refusals;
mod stalls;
