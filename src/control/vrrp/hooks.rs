//! Commands that the operator wants run when a virtual router changes its state. They run one after the other on a thread of their
//! own, so that none can delay the protocol, and without a shell, so that nothing in them is interpreted.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataplane::dpdk::close_descriptors_on_exec;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use vrrpd::{State, Transition};

/// How many commands wait at most: four changes of each of the 255 virtual routers of a port.
const QUEUE_MAX: usize = 1024;

/// How long a command may run unless told otherwise.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The pause between two looks at a running command.
const LOOK: Duration = Duration::from_millis(2);

/// A command to run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The port's name.
    pub port: String,
    /// The virtual router's VRID.
    pub vrid: u8,
    /// Its priority in force.
    pub priority: u8,
    /// What happened.
    pub transition: Transition,
}

impl HookCall {
    /// What the command finds in its environment.
    fn environment(&self) -> [(&'static str, String); 7] {
        let Transition {
            from, to, cause, ..
        } = &self.transition;
        [
            ("MANIFOLD_PORT", self.port.clone()),
            ("MANIFOLD_VRID", self.vrid.to_string()),
            ("MANIFOLD_PRIORITY", self.priority.to_string()),
            ("MANIFOLD_OLD_STATE", from.to_string()),
            ("MANIFOLD_NEW_STATE", to.to_string()),
            ("MANIFOLD_CAUSE", cause.name().to_owned()),
            ("MANIFOLD_CAUSE_TEXT", cause.to_string()),
        ]
    }

    const fn new_state(&self) -> State {
        self.transition.to
    }
}

/// What can go wrong with a command.
#[derive(Debug, Error)]
enum HookError {
    #[error("the command is empty")]
    Empty,
    #[error("it cannot be run: {0}")]
    Run(#[from] io::Error),
    #[error("it ended with {0}")]
    Status(std::process::ExitStatus),
    #[error("it was killed after {0:?}")]
    TimeLimit(Duration),
    #[error("it was killed because the program ends")]
    Ending,
}

/// The thread that runs the commands.
#[derive(Debug)]
pub struct HookRunner {
    queue: SyncSender<HookCall>,
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    run: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    ending: AtomicBool,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookCounters {
    /// Commands that ended well.
    pub run: u64,
    /// Commands that failed, could not be started or took too long.
    pub failed: u64,
    /// Commands not run because too many waited.
    pub dropped: u64,
}

impl HookCounters {
    /// Every counter with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("hooks-run", self.run),
            ("hooks-failed", self.failed),
            ("hooks-dropped", self.dropped),
        ]
        .into_iter()
    }
}

impl HookRunner {
    /// Starts the thread; a command that runs for longer than `time_limit` is killed with all that it has started.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn start(time_limit: Duration) -> io::Result<HookRunner> {
        let (queue, calls) = sync_channel(QUEUE_MAX);
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("hooks".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve(&calls, time_limit)
        })?;
        Ok(HookRunner {
            queue,
            thread,
            shared,
        })
    }

    /// Has a command run when those before it have ended. Never waits: if too many wait already, it is dropped, and counted.
    pub fn submit(&self, call: HookCall) {
        if let Err(refused) = self.queue.try_send(call) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            let call = match refused {
                std::sync::mpsc::TrySendError::Full(call)
                | std::sync::mpsc::TrySendError::Disconnected(call) => call,
            };
            tracing::warn!(
                port = call.port,
                vrid = call.vrid,
                "hook not run: too many wait"
            );
        }
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> HookCounters {
        let Shared {
            run,
            failed,
            dropped,
            ending: _,
        } = &*self.shared;
        HookCounters {
            run: run.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
        }
    }

    /// Counts from zero again.
    pub fn clear_counters(&self) {
        let Shared {
            run,
            failed,
            dropped,
            ending: _,
        } = &*self.shared;
        for counter in [run, failed, dropped] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Lets what waits run for at most `patience`, then ends; what has not run by then fails.
    pub fn finish(self, patience: Duration) {
        let HookRunner {
            queue,
            thread,
            shared,
        } = self;
        drop(queue);
        let end = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        shared.ending.store(true, Ordering::Relaxed);
        if thread.join().is_err() {
            tracing::error!("the thread that runs hooks has panicked");
        }
    }
}

impl Shared {
    fn serve(&self, calls: &Receiver<HookCall>, time_limit: Duration) {
        for call in calls {
            match self.run(&call, time_limit) {
                Ok(()) => {
                    self.run.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        port = call.port,
                        vrid = call.vrid,
                        state = %call.new_state(),
                        command = ?call.command,
                        "hook failed: {error}"
                    );
                }
            }
        }
    }

    /// Runs one command to its end.
    fn run(&self, call: &HookCall, time_limit: Duration) -> Result<(), HookError> {
        let (program, arguments) = call.command.split_first().ok_or(HookError::Empty)?;
        if self.ending.load(Ordering::Relaxed) {
            return Err(HookError::Ending);
        }
        if let Err(error) = close_descriptors_on_exec() {
            tracing::debug!("hooks inherit descriptors: {error}");
        }
        let mut child = Command::new(program)
            .args(arguments)
            .envs(call.environment())
            // So that it can be killed with all that it has started.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let end = Instant::now() + time_limit;
        loop {
            if let Some(status) = child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(HookError::Status(status))
                };
            }
            if self.ending.load(Ordering::Relaxed) {
                return killed(&mut child, HookError::Ending);
            }
            if Instant::now() >= end {
                return killed(&mut child, HookError::TimeLimit(time_limit));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Kills the command's process group, which is not given to another one before the command itself has been waited for.
fn killed(child: &mut Child, reason: HookError) -> Result<(), HookError> {
    killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).map_err(io::Error::from)?;
    child.wait()?;
    Err(reason)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::poll::{PollFd, PollFlags, poll};
    use vrrpd::{Cause, Time};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn call(command: &[&str]) -> HookCall {
        HookCall {
            command: command.iter().map(ToString::to_string).collect(),
            port: "lan; reboot".into(),
            vrid: 7,
            priority: 150,
            transition: Transition {
                at: Time::ZERO,
                from: State::Backup,
                to: State::Master,
                cause: Cause::LinkUp,
            },
        }
    }

    /// Runs commands to their end and counts.
    fn counted(time_limit: Duration, calls: Vec<HookCall>) -> HookCounters {
        let runner = HookRunner::start(time_limit).unwrap();
        let shared = Arc::clone(&runner.shared);
        for call in calls {
            runner.submit(call);
        }
        runner.finish(PATIENCE);
        HookCounters {
            run: shared.run.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            dropped: shared.dropped.load(Ordering::Relaxed),
        }
    }

    #[test]
    fn a_command_gets_its_own_arguments_and_the_change_in_its_environment() {
        // What the environment holds is compared by the command itself; its status tells.
        let checks = [
            ("MANIFOLD_PORT", "lan; reboot"),
            ("MANIFOLD_VRID", "7"),
            ("MANIFOLD_PRIORITY", "150"),
            ("MANIFOLD_OLD_STATE", "backup"),
            ("MANIFOLD_NEW_STATE", "master"),
            ("MANIFOLD_CAUSE", "link-up"),
            ("MANIFOLD_CAUSE_TEXT", "link up"),
        ];
        let calls = checks
            .iter()
            .map(|(name, value)| {
                let script = format!("[ \"${name}\" = \"$1\" ]");
                call(&["sh", "-c", &script, "sh", value])
            })
            .collect();
        let expected = HookCounters {
            run: 7,
            ..HookCounters::default()
        };
        assert_eq!(counted(PATIENCE, calls), expected);
    }

    #[test]
    fn what_fails_is_counted_and_harms_nobody_behind_it() {
        let calls = [
            &["false"][..],
            &["/no/such/program"],
            &[],
            &["echo a; false"],
            &["true"],
        ];
        let expected = HookCounters {
            run: 1,
            failed: 4,
            dropped: 0,
        };
        assert_eq!(counted(PATIENCE, calls.map(call).to_vec()), expected);
    }

    #[test]
    fn a_command_that_never_ends_is_killed() {
        let calls = vec![call(&["sleep", "1000"]), call(&["true"])];
        let expected = HookCounters {
            run: 1,
            failed: 1,
            dropped: 0,
        };
        assert_eq!(counted(Duration::from_millis(20), calls), expected);
    }

    #[test]
    fn what_a_command_has_started_is_killed_with_it() {
        let (reader, writer) = std::io::pipe().unwrap();
        let open = format!(
            "exec 9>/proc/{}/fd/{}",
            std::process::id(),
            writer.as_raw_fd()
        );
        let script = format!("{open}; sleep 1000 & wait");
        let calls = vec![call(&["sh", "-c", &script])];
        assert_eq!(counted(Duration::from_millis(500), calls).failed, 1);
        drop(writer);
        // There is an event once nobody has the pipe's other end open any more.
        let mut watched = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut watched, 20_000_u16), Ok(1));
    }

    #[test]
    fn a_command_inherits_no_descriptor_but_the_standard_ones() {
        let (_reader, writer) = std::io::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let script = format!("[ ! -e /proc/self/fd/{} ]", writer.as_raw_fd());
        let expected = HookCounters {
            run: 1,
            ..HookCounters::default()
        };
        let calls = vec![call(&["sh", "-c", &script])];
        assert_eq!(counted(PATIENCE, calls), expected);
    }

    #[test]
    fn what_is_too_many_is_dropped_and_counted_and_the_end_waits_for_none_of_it() {
        let runner = HookRunner::start(PATIENCE).unwrap();
        let shared = Arc::clone(&runner.shared);
        for _ in 0..QUEUE_MAX + 10 {
            runner.submit(call(&["sleep", "1000"]));
        }
        // One may have left the queue meanwhile.
        let dropped = runner.counters().dropped;
        assert!((9..=10).contains(&dropped), "{dropped}");
        runner.finish(Duration::ZERO);
        let failed = shared.failed.load(Ordering::Relaxed);
        assert_eq!(failed + dropped, QUEUE_MAX as u64 + 10);
    }
}
