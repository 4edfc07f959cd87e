//! What stands on the wire, one file a protocol: a struct whose `parse` checks and whose `emit` writes.
//!
//! Every `parse` takes octets from anywhere, never panics, and names the reason of each refusal, so that whoever
//! drops the packet can count why. What `parse` accepted, `emit` writes back octet for octet; but a checksum of `ffff`,
//! which some senders write for zero, comes back as zero. The packet road reads headers in straight lines of its own
//! (`road/`); these are for the slow path, for tests and for tools.

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod tcp;
pub mod udp;
