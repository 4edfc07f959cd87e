//! What the service manager is told, by systemd's notification protocol (sd_notify): that the router is ready, that it ends,
//! and that its control loop goes round. Without `NOTIFY_SOCKET` in the environment nobody is told anything.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use vrrpd::Time;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Supervisor {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the loop goes round.
    watchdog: Option<Duration>,
    watchdog_due: Time,
}

impl Supervisor {
    /// As the environment says. A service manager that cannot be reached is logged, and nothing more.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
            return Self::default();
        };
        let ours = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let for_us = ours("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let limit_us = ours("WATCHDOG_USEC").and_then(|limit| limit.parse().ok());
        let limit = limit_us.filter(|_| for_us).map(Duration::from_micros);
        match Self::connect(&path, limit) {
            Ok(supervisor) => supervisor,
            Err(error) => {
                tracing::warn!(%error, "the service manager's socket is not to be reached");
                Self::default()
            }
        }
    }

    /// Tells the manager at `path`, in the abstract namespace if it begins with `@`; every half `watchdog_limit` that the
    /// loop goes round.
    ///
    /// # Errors
    /// There is no such socket address, or the system has no socket to give.
    fn connect(path: &OsStr, watchdog_limit: Option<Duration>) -> io::Result<Self> {
        let address = match path.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold the control thread.
        socket.set_nonblocking(true)?;
        Ok(Self {
            manager: Some((socket, address)),
            watchdog: watchdog_limit.map(|limit| limit / 2),
            watchdog_due: Time::ZERO,
        })
    }

    /// The router forwards.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The router ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The control loop has gone round at `now`.
    pub fn alive(&mut self, now: Time) {
        if let Some(interval) = self.watchdog
            && now >= self.watchdog_due
        {
            self.watchdog_due = now + interval;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, state: &str) {
        let Some((socket, address)) = &self.manager else {
            return;
        };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            tracing::debug!(%error, state, "the service manager does not listen");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager's socket, and what it has been told.
    struct Manager(UnixDatagram);

    impl Manager {
        fn told(&self) -> Vec<String> {
            let mut messages = Vec::new();
            let mut buffer = [0; 64];
            while let Ok(octets) = self.0.recv(&mut buffer) {
                messages.push(String::from_utf8_lossy(&buffer[..octets]).into_owned());
            }
            messages
        }
    }

    fn pair(watchdog_limit: Option<Duration>) -> (Manager, Supervisor) {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("manifold-test-{}-{count}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let path = format!("@{name}");
        let supervisor = Supervisor::connect(OsStr::new(&path), watchdog_limit).unwrap();
        (Manager(socket), supervisor)
    }

    #[test]
    fn the_manager_hears_of_start_and_end() {
        let (manager, supervisor) = pair(None);
        supervisor.ready();
        supervisor.stopping();
        assert_eq!(manager.told(), ["READY=1", "STOPPING=1"]);
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_and_no_more() {
        let (manager, mut supervisor) = pair(Some(Duration::from_millis(20)));
        for ms in 0..100 {
            supervisor.alive(Time::ZERO + Duration::from_millis(ms));
        }
        assert_eq!(manager.told(), ["WATCHDOG=1"; 10]);
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let mut supervisor = Supervisor::default();
        supervisor.ready();
        supervisor.alive(Time::ZERO);
    }

    #[test]
    fn a_manager_that_is_gone_or_does_not_read_holds_nobody_up() {
        let (manager, supervisor) = pair(None);
        for _ in 0..10_000 {
            supervisor.ready();
        }
        drop(manager);
        supervisor.stopping();
    }
}
