//! A program at a terminal: what is typed there, what it prints, and how the screen looks after that.

mod screen;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::pty::{Winsize, openpty};

use crate::error::Doing;
use crate::process::{Finished, Process};
use crate::{LabError, Result, poll};
use screen::Screen;

/// Characters in a line, and lines.
pub type Size = (u16, u16);

/// A program at a terminal.
#[derive(Debug)]
pub struct Terminal {
    process: Process,
    keyboard: File,
    printed: Receiver<Vec<u8>>,
    /// What was printed since it was last looked for something.
    seen: String,
    screen: Screen,
}

impl Terminal {
    /// Starts a program at a terminal of this size, an xterm.
    ///
    /// # Errors
    /// When the system has no terminal to give, or cannot start the program.
    pub fn spawn(mut command: Command, size: Size) -> Result<Self> {
        let (columns, rows) = size;
        let window = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let doing = || "open a terminal".to_owned();
        let pty = openpty(&window, None).doing(doing)?;
        let end = |fd: &OwnedFd| fd.try_clone().doing(doing);
        command.env("TERM", "xterm");
        let (input, output) = (end(&pty.slave)?, end(&pty.slave)?);
        let process = Process::spawn_at(command, Stdio::from(input), Stdio::from(output))?;
        drop(pty.slave);
        let mut printing = File::from(end(&pty.master)?);
        let (sender, printed) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // A terminal whose other end is closed fails to be read.
            while let Ok(octets @ 1..) = printing.read(&mut chunk) {
                if sender.send(chunk[..octets].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            process,
            keyboard: File::from(pty.master),
            printed,
            seen: String::new(),
            screen: Screen::new(size),
        })
    }

    /// The program.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Types, and waits until a text has been printed since.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was printed, when it is not.
    pub fn type_until(&mut self, keys: &str, text: &str, deadline: Duration) -> Result<()> {
        self.seen.clear();
        self.keyboard
            .write_all(keys.as_bytes())
            .doing(|| format!("type {keys:?}"))?;
        self.wait_for(text, deadline)
    }

    /// Waits until a text has been printed, control sequences included.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what was printed, when it is not.
    pub fn wait_for(&mut self, text: &str, deadline: Duration) -> Result<()> {
        let printed = poll::until(&format!("{text:?} at the terminal"), deadline, || {
            self.look();
            Ok(self.seen.contains(text).then_some(()))
        });
        self.detailed(printed)
    }

    /// Waits until what stands on the screen pleases; the screen then.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with the screen, when it does not.
    pub fn wait_until(
        &mut self,
        what: &str,
        deadline: Duration,
        pleases: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let shown = poll::until(what, deadline, || {
            self.look();
            let screen = self.screen.to_string();
            Ok(pleases(&screen).then_some(screen))
        });
        self.detailed(shown)
    }

    /// Waits until the program has ended by itself.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it goes on.
    pub fn finish(self, deadline: Duration) -> Result<Finished> {
        let Self { process, .. } = self;
        process.finish(deadline)
    }

    fn look(&mut self) {
        while let Ok(octets) = self.printed.try_recv() {
            self.seen.push_str(&String::from_utf8_lossy(&octets));
            self.screen.print(&octets);
        }
    }

    fn detailed<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| match error {
            LabError::Deadline {
                awaited, deadline, ..
            } => LabError::Deadline {
                awaited,
                deadline,
                detail: format!(":\n{}", self.screen),
            },
            other => other,
        })
    }
}
