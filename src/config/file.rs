//! Reading a file that the operator names. What stands there may be anything; neither a pipe that nobody writes to nor a
//! device without an end may hold up whoever reads.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// What stands in the regular file at `path`, which has `octets_max` octets at most.
///
/// # Errors
/// It cannot be read, is no regular file ([`io::ErrorKind::InvalidInput`]) or is larger ([`io::ErrorKind::FileTooLarge`]).
pub(super) fn read(path: &Path, octets_max: u64) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK, opening a FIFO waits for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    let mut octets = Vec::new();
    let read = file.take(octets_max + 1).read_to_end(&mut octets)?;
    if read as u64 > octets_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {octets_max} octets"),
        ));
    }
    Ok(octets)
}
