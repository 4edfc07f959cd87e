//! A TCP stream at a bounded rate whose every record has a number. TCP repairs what the network does to its segments, so
//! the network is judged by the segments that it made TCP send again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use serde::Serialize;

use super::pace::{Pace, Sender};
use super::tally::{Count, Tally};
use crate::error::Doing;
use crate::namespace::Namespace;
use crate::{LabError, Result};

/// Octets of a record, which fits one segment of an ordinary link.
pub const RECORD_OCTETS: usize = 1024;
/// A stream that stands still for this long is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Report {
    /// Its records.
    pub records: Count,
    /// Segments sent again by the sending machine while the stream ran, this one's or another's.
    pub retransmitted_segments: u64,
}

/// A running stream.
#[derive(Debug)]
pub struct Stream<'a> {
    from: &'a Namespace,
    retransmitted_before: u64,
    sender: Sender,
    receiver: JoinHandle<Result<Tally>>,
}

/// Starts a stream from an address of `from` to an address and port of `to`.
///
/// # Errors
/// When it cannot be connected.
pub fn stream<'a>(
    from: &'a Namespace,
    source: Ipv4Addr,
    to: &Namespace,
    target: SocketAddrV4,
    pace: Pace,
) -> Result<Stream<'a>> {
    let retransmitted_before = from.kernel_counter("Tcp", "RetransSegs")?;
    let listener =
        to.enter(|| TcpListener::bind(target).doing(|| format!("listen at {target}")))?;
    let mut sending = from.enter(|| connected(source, target))?;
    let (receiving, _) = listener.accept().doing(|| format!("accept at {target}"))?;
    receiving
        .set_read_timeout(Some(PATIENCE))
        .doing(|| "set a timeout".into())?;
    let receiver = std::thread::spawn(move || count(receiving));
    let mut record = [0; RECORD_OCTETS];
    let sender = Sender::start(pace, move |number| {
        record[..8].copy_from_slice(&number.to_be_bytes());
        sending
            .write_all(&record)
            .doing(|| format!("send to {target}"))
    });
    Ok(Stream {
        from,
        retransmitted_before,
        sender,
        receiver,
    })
}

impl Stream<'_> {
    /// Waits until all is sent and received.
    ///
    /// # Errors
    /// When the connection broke or stood still.
    pub fn finish(self) -> Result<Report> {
        let Self {
            from,
            retransmitted_before,
            sender,
            receiver,
        } = self;
        Self::report(from, retransmitted_before, sender.finish()?, receiver)
    }

    /// Stops sending, then as [`Stream::finish`].
    ///
    /// # Errors
    /// When the connection broke or stood still.
    pub fn stop(self) -> Result<Report> {
        let Self {
            from,
            retransmitted_before,
            sender,
            receiver,
        } = self;
        Self::report(from, retransmitted_before, sender.stop()?, receiver)
    }

    fn report(
        from: &Namespace,
        before: u64,
        sent: u64,
        receiver: JoinHandle<Result<Tally>>,
    ) -> Result<Report> {
        // The sender's end of the connection went with its thread, so the receiver sees the end of the stream.
        let tally = receiver
            .join()
            .map_err(|_| LabError::Panicked("a receiver"))??;
        let retransmitted_segments = from
            .kernel_counter("Tcp", "RetransSegs")?
            .saturating_sub(before);
        Ok(Report {
            records: tally.count(sent),
            retransmitted_segments,
        })
    }
}

fn connected(source: Ipv4Addr, target: SocketAddrV4) -> Result<TcpStream> {
    use std::os::fd::AsRawFd;
    let doing = || format!("connect {source} to {target}");
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .doing(doing)?;
    bind(
        socket.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(source, 0)),
    )
    .doing(doing)?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(target)).doing(doing)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).doing(doing)?;
    stream.set_write_timeout(Some(PATIENCE)).doing(doing)?;
    Ok(stream)
}

fn count(mut stream: TcpStream) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut record = [0; RECORD_OCTETS];
    loop {
        match stream.read_exact(&mut record) {
            Ok(()) => tally.record(
                record
                    .first_chunk()
                    .map_or(u64::MAX, |number| u64::from_be_bytes(*number)),
            ),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(tally),
            Err(error) => return Err(error).doing(|| "receive a stream".into()),
        }
    }
}
