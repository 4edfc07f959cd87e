//! A child process: its output collected, its end awaited with a deadline, itself killed when dropped or when this
//! process dies. Where it runs is `namespace.rs`'s business.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::Doing;
use crate::{LabError, Result, poll};

/// How long the system may take to schedule a thread anew.
const SCHEDULED: Duration = Duration::from_secs(10);

/// Most of a stream that is kept, in octets; what comes later is read and forgotten.
const KEPT_OCTETS: usize = 8 << 20;

/// A program that is killed when this process dies, however it dies. The kernel sends the signal when the *thread* that
/// started the program ends, which is why [`Process::spawn`] starts all of them on one thread that never does.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Has a thread run before all ordinary programs, in turn with others of the same real-time priority (`SCHED_RR`), 1 to 99.
///
/// # Errors
/// Mostly: this process is not root.
pub fn schedule_first(thread: Pid, priority: u8) -> Result<()> {
    let mut chrt = command("chrt");
    chrt.args(["--rr", "--pid", &priority.to_string(), &thread.to_string()]);
    Process::spawn(chrt)?.succeed(SCHEDULED).map(drop)
}

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A running program, killed when dropped.
#[derive(Debug)]
pub struct Process {
    shown: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
}

impl Process {
    /// Starts a program with nothing to read and its output collected.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn spawn(command: Command) -> Result<Self> {
        Self::spawn_reading(command, Stdio::null())
    }

    /// Starts a program that reads what [`Process::tell`] writes.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn spawn_listening(command: Command) -> Result<Self> {
        Self::spawn_reading(command, Stdio::piped())
    }

    fn spawn_reading(command: Command, stdin: Stdio) -> Result<Self> {
        Self::spawn_at(command, stdin, Stdio::piped())
    }

    /// Starts a program that reads and writes elsewhere, at a terminal say; only its standard error is collected.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn spawn_at(mut command: Command, stdin: Stdio, stdout: Stdio) -> Result<Self> {
        let shown = shown(&command);
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut child = spawn_on_lasting_thread(command).doing(|| format!("start `{shown}`"))?;
        let stdout = Collected::of(child.stdout.take());
        let stderr = Collected::of(child.stderr.take());
        Ok(Self {
            shown,
            stdin: child.stdin.take(),
            child,
            stdout,
            stderr,
        })
    }

    /// The process id: that of the program itself, since whatever starts it here replaces itself by it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .doing(|| format!("send {signal} to `{}`", self.shown))
    }

    /// Writes a line for it to read.
    ///
    /// # Errors
    /// When it reads no more, or never did.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let doing = || format!("tell `{}` to {line}", self.shown);
        let stdin = self
            .stdin
            .as_mut()
            .ok_or(std::io::ErrorKind::BrokenPipe)
            .doing(doing)?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .doing(doing)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .doing(|| format!("wait for `{}`", self.shown))
    }

    /// Waits for the end and hands over what was printed.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it goes on running; it is killed then.
    pub fn finish(mut self, deadline: Duration) -> Result<Finished> {
        let ended = poll::until(&format!("the end of `{}`", self.shown), deadline, || {
            self.ended()
        });
        match ended {
            Ok(status) => {
                self.stdout.complete();
                self.stderr.complete();
                Ok(Finished {
                    status,
                    stdout: self.stdout(),
                    stderr: self.stderr(),
                })
            }
            Err(LabError::Deadline {
                awaited, deadline, ..
            }) => Err(LabError::Deadline {
                awaited,
                deadline,
                detail: self.said(),
            }),
            Err(other) => Err(other),
        }
    }

    /// Waits for a successful end; the standard output.
    ///
    /// # Errors
    /// As [`Process::finish`], and [`LabError::Command`] when it ended with a failure.
    pub fn succeed(self, deadline: Duration) -> Result<String> {
        let command = self.shown.clone();
        let Finished {
            status,
            stdout,
            stderr,
        } = self.finish(deadline)?;
        if status.success() {
            return Ok(stdout);
        }
        Err(LabError::Command {
            command,
            status,
            output: format!("{stdout}{stderr}"),
        })
    }

    /// Waits until the program has printed a text, on either stream.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it does not, [`LabError::Command`] when it ends without.
    pub fn wait_for(&mut self, text: &str, deadline: Duration) -> Result<()> {
        let awaited = format!("`{}` printing {text:?}", self.shown);
        let seen = poll::until(&awaited, deadline, || {
            // The end is looked at first: what is printed before it counts.
            let ended = self.ended()?;
            if self.stdout.contains(text) || self.stderr.contains(text) {
                return Ok(Some(()));
            }
            match ended {
                Some(status) => Err(LabError::Command {
                    command: self.shown.clone(),
                    status,
                    output: self.said(),
                }),
                None => Ok(None),
            }
        });
        seen.map_err(|error| match error {
            LabError::Deadline {
                awaited, deadline, ..
            } => LabError::Deadline {
                awaited,
                deadline,
                detail: self.said(),
            },
            other => other,
        })
    }

    /// What it printed to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it printed to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    fn said(&self) -> String {
        format!("; it said:\n{}{}", self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as one would type it, without the wrapping that ties it to this process and its namespace.
fn shown(command: &Command) -> String {
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    let typed = words
        .iter()
        .rposition(|word| word == "--")
        .map_or(0, |wrapping| wrapping + 1);
    words[typed..].join(" ")
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a program on a thread that lives as long as this process; see [`command`].
fn spawn_on_lasting_thread(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, orders): (_, Receiver<Order>) = channel();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                // Whoever asked waits for the answer.
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, child) = channel();
    let gone = || io::Error::other("the thread that starts programs is gone");
    orders.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

/// What a stream has brought so far.
#[derive(Debug)]
struct Collected {
    octets: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let octets = Arc::new(Mutex::new(Vec::new()));
        let reader = stream.map(|mut stream| {
            let octets = Arc::clone(&octets);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                // An interrupted or broken pipe is the end of the stream to whoever reads the text.
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    let mut octets = octets.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = KEPT_OCTETS.saturating_sub(octets.len());
                    octets.extend_from_slice(&buffer[..count.min(room)]);
                }
            })
        });
        Self { octets, reader }
    }

    /// Waits for the end of the stream, which the end of the program brings about.
    fn complete(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.octets.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    fn contains(&self, text: &str) -> bool {
        self.text().contains(text)
    }
}
