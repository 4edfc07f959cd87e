//! The socket in the file system: made so that it never belongs to anybody else, and taken away at the end. What is said
//! over it is not known here.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, setsockopt,
    socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::time::TimeVal;
use thiserror::Error;

/// Connections that may wait to be accepted.
const WAITING_MAX: i32 = 16;
/// How long another start may keep the directory locked.
const LOCKED_MAX: Duration = Duration::from_secs(2);
/// How long a router is given to show that the socket is its.
const PROBE: Duration = Duration::from_secs(1);

/// Why there is no control socket.
#[derive(Debug, Error)]
pub enum SocketError {
    /// A running process answers there.
    #[error("{} belongs to a running router\n  remedy: end that one, or give this one another `socket` in [control]", .0.display())]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{} exists and is no socket\n  remedy: remove it, or set another `socket` in [control]", .0.display())]
    NotASocket(PathBuf),
    /// The directory stays locked.
    #[error("{} is locked by another process\n  remedy: set `socket` in [control] to a path in a directory of its own", .0.display())]
    Locked(PathBuf),
    /// The system refuses.
    #[error("cannot make the control socket {}: {source}\n  remedy: set `socket` in [control] to a path in a directory that this process may write to", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A listening socket and its file, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, so that no other is removed.
    file: (u64, u64),
}

impl Socket {
    /// Makes the socket with mode 0600 and its directory with mode 0755, as far as they are missing. The socket of a
    /// process that is gone is replaced.
    pub(super) fn listen(path: &Path) -> Result<Self, SocketError> {
        let system = |source: io::Error| SocketError::System {
            path: path.to_owned(),
            source,
        };
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(system)?;
        // Two routers that start at once must not both find the socket of a third one dead and replace it.
        let _lock = lock(directory)?;
        let listener = match bind_to(path) {
            Err(Errno::EADDRINUSE) => {
                remove_if_dead(path)?;
                bind_to(path)
            }
            bound => bound,
        };
        let listener = listener.map_err(|errno| system(errno.into()))?;
        let metadata = fs::metadata(path).map_err(system)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file: (metadata.dev(), metadata.ino()),
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let own = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if own && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the control socket stays behind");
        }
    }
}

fn bind_to(path: &Path) -> nix::Result<UnixListener> {
    let descriptor = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // The file takes over the mode that the socket has when it is bound: there is no moment at which others may connect.
    fchmod(&descriptor, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&descriptor, Backlog::new(WAITING_MAX)?)?;
    Ok(UnixListener::from(descriptor))
}

fn lock(directory: &Path) -> Result<Flock<File>, SocketError> {
    let system = |source: io::Error| SocketError::System {
        path: directory.to_owned(),
        source,
    };
    let mut handle = File::open(directory).map_err(system)?;
    let deadline = Instant::now() + LOCKED_MAX;
    loop {
        match Flock::lock(handle, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EWOULDBLOCK | Errno::EINTR)) => handle = again,
            Err((_, errno)) => return Err(system(errno.into())),
        }
        if Instant::now() >= deadline {
            return Err(SocketError::Locked(directory.to_owned()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn remove_if_dead(path: &Path) -> Result<(), SocketError> {
    let system = |source: io::Error| SocketError::System {
        path: path.to_owned(),
        source,
    };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // It ended by itself meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match connect_to(path, PROBE) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(system),
        // A router that does not come round to accepting is one nevertheless.
        Ok(_) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Err(SocketError::InUse(path.to_owned())),
        Err(errno) => Err(system(errno.into())),
    }
}

/// Connects, waiting for `patience` at most.
pub(super) fn connect_to(path: &Path, patience: Duration) -> nix::Result<UnixStream> {
    let descriptor = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let seconds = patience.as_secs().try_into().unwrap_or(i64::MAX);
    setsockopt(
        &descriptor,
        sockopt::SendTimeout,
        &TimeVal::new(seconds, patience.subsec_micros().into()),
    )?;
    connect(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(descriptor))
}
