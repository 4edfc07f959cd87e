//! Whole Ethernet frames in and out of an interface: to send what no kernel would, and to see what arrives.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    setsockopt, socket, sockopt,
};

use crate::Result;
use crate::error::{Doing, LabError};
use crate::link::End;

/// `PACKET_OUTGOING` of packet(7): a frame that this machine sent itself.
const OUTGOING: u8 = 4;
/// No frame is longer than this, in octets.
const LONGEST_FRAME: usize = 65_536;
/// Kernel memory for frames that arrived and were not read yet, in octets.
const RECEIVE_BUFFER: usize = 32 << 20;

/// Waits until one of the sockets has a frame, those that its own machine sent included, or the time is over, or a signal comes.
/// Whether one has.
///
/// # Errors
/// When the kernel refuses.
pub fn wait<const N: usize>(sockets: [&PacketSocket; N], within: Duration) -> Result<bool> {
    // Rounded up, so that a wait of less than a millisecond is one.
    let milliseconds = within.as_micros().div_ceil(1000);
    let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
    let mut polled = sockets.map(|socket| PollFd::new(socket.socket.as_fd(), PollFlags::POLLIN));
    match poll(&mut polled, timeout) {
        Err(Errno::EINTR) => Ok(false),
        polled => Ok(polled.doing(|| "wait for a frame".into())? > 0),
    }
}

/// A raw socket on one interface.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
}

impl PacketSocket {
    /// Opens one; from now on it collects what arrives.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn open(end: End<'_>) -> Result<Self> {
        let End { machine, interface } = end;
        machine.enter(|| Self::open_here(interface))
    }

    /// Opens one on an interface of the machine that this thread is in.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn open_here(interface: &str) -> Result<Self> {
        let doing = || format!("open a packet socket on {interface}");
        let address = getifaddrs()
            .doing(doing)?
            .filter(|of| of.interface_name == interface)
            .find_map(|of| {
                of.address
                    .as_ref()
                    .and_then(|address| address.as_link_addr().copied())
            })
            .ok_or(Errno::ENODEV)
            .doing(doing)?;
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .doing(doing)?;
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).doing(doing)?;
        bind(socket.as_raw_fd(), &address).doing(doing)?;
        let opened = Self { socket };
        // Until it was bound it collected from every interface.
        while opened.receive(Duration::ZERO)?.is_some() {}
        Ok(opened)
    }

    /// Sends a frame as it is, from the destination MAC to the last octet before the check sequence.
    ///
    /// # Errors
    /// When the kernel refuses it: shorter than an Ethernet header, or longer than the MTU.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .map(drop)
            .doing(|| format!("send a frame of {} octets", frame.len()))
    }

    /// The next frame that arrives within the given time, if any. What this machine itself sends does not count.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn receive(&self, within: Duration) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            wait([self], left)?;
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// A frame that is there, if any; what this machine itself sends does not count.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn take(&self) -> Result<Option<Vec<u8>>> {
        let mut frame = vec![0; LONGEST_FRAME];
        while wait([self], Duration::ZERO)? {
            let (octets, from) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut frame)
                .doing(|| "receive a frame".into())?;
            if from.is_some_and(|from| from.pkttype() != OUTGOING) {
                // Whoever collects many is not to keep the room of the longest for each.
                return Ok(Some(frame[..octets].to_vec()));
            }
        }
        Ok(None)
    }

    /// The first frame within the given time that pleases.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when none does.
    pub fn expect(
        &self,
        what: &str,
        within: Duration,
        mut pleases: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<u8>> {
        let end = Instant::now() + within;
        while let Some(frame) = self.receive(end.saturating_duration_since(Instant::now()))? {
            if pleases(&frame) {
                return Ok(frame);
            }
        }
        Err(LabError::Deadline {
            awaited: what.into(),
            deadline: within,
            detail: String::new(),
        })
    }

    /// Everything that arrived and was not read yet.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn drain(&self) -> Result<Vec<Vec<u8>>> {
        std::iter::from_fn(|| self.receive(Duration::ZERO).transpose()).collect()
    }
}
