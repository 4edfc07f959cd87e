//! The carrier of a kernel's interface. The drivers that work on one (`net_af_packet` and its kin) say that their link is up,
//! whatever becomes of it.

use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc::{IFF_RUNNING, IFNAMSIZ, SIOCGIFFLAGS, c_char, ifreq};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

nix::ioctl_read_bad!(
    /// Reads the flags of the interface that the argument names (netdevice(7)).
    read_flags,
    SIOCGIFFLAGS,
    ifreq
);

/// A kernel's interface, to be asked for its carrier.
#[derive(Debug)]
pub struct Carrier {
    /// Of any kind: it only says in which network namespace the interface is.
    socket: OwnedFd,
    interface: [c_char; IFNAMSIZ],
}

impl Carrier {
    /// That of an interface in this process's network namespace. Whether there is one of that name is not looked at.
    ///
    /// # Errors
    /// No interface can have that name, or the system has no socket to give.
    pub fn new(interface: &str) -> nix::Result<Self> {
        let octets = interface.as_bytes();
        if octets.is_empty() || octets.len() >= IFNAMSIZ || octets.contains(&0) {
            return Err(nix::errno::Errno::ENODEV);
        }
        let mut name = [0; IFNAMSIZ];
        for (to, octet) in name.iter_mut().zip(octets) {
            *to = octet.cast_signed();
        }
        let kind = (SockType::Datagram, SockFlag::SOCK_CLOEXEC);
        Ok(Self {
            socket: socket(AddressFamily::Unix, kind.0, kind.1, None)?,
            interface: name,
        })
    }

    /// Whether it has a carrier and is set up. An interface that is gone has none.
    #[must_use]
    pub fn is_up(&self) -> bool {
        // SAFETY: a structure of integers and addresses, of which zero is a value.
        let mut request: ifreq = unsafe { mem::zeroed() };
        request.ifr_name = self.interface;
        // SAFETY: the descriptor is open, and the name in the request ends with a zero; the kernel writes within the request.
        let read = unsafe { read_flags(self.socket.as_raw_fd(), &raw mut request) };
        // SAFETY: zero before, and the kernel has written this member if it has written any.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        read.is_ok() && i32::from(flags) & IFF_RUNNING != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_has_no_carrier() {
        assert!(!Carrier::new("nobody-has-this").unwrap().is_up());
        for impossible in ["", "sixteen-octets-00", "zero\0"] {
            assert!(Carrier::new(impossible).is_err(), "{impossible:?}");
        }
    }
}
