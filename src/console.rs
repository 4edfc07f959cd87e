//! The console: lines from a terminal or a pipe, and what comes of each. It serves `run -i`, where the router is in the same
//! process, and `ctl` without a command, where it is another. What the lines mean is `command`'s.

use std::borrow::Cow;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::termios::{self, SetArg, Termios};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use thiserror::Error;

use crate::command::{Command, Completion, Line, NotACommand};
use crate::request::{Ask, AskError, Asker, Form};

/// The lines of history that are kept.
const HISTORY_MAX: usize = 1000;

/// Where the router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process, which ends with the console.
    Here,
    /// In another, which does not.
    Elsewhere,
}

/// Why a console ended before its input.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// The one command failed.
    #[error(transparent)]
    Command(AskError),
    /// A line of a batch failed.
    #[error("line {number}: {line}\n{error}")]
    Line {
        /// Its number, from 1.
        number: usize,
        /// Its text.
        line: String,
        /// What became of it.
        error: AskError,
    },
    /// The terminal or the pipe failed.
    #[error("{0}")]
    Input(#[from] io::Error),
    /// The terminal failed.
    #[error("{0}")]
    Terminal(#[from] ReadlineError),
}

/// Reads commands from standard input until it ends: with a prompt at a terminal, else as a batch, which ends at the first
/// line that fails.
///
/// # Errors
/// [`ConsoleError`].
pub fn run(router: &dyn Ask, place: Place, form: Form) -> Result<(), ConsoleError> {
    let input = io::stdin();
    if input.is_terminal() {
        return prompt(router, place, form);
    }
    batch(router, input.lock(), &mut io::stdout().lock(), form)
}

/// Carries out one command.
///
/// # Errors
/// [`ConsoleError`].
pub fn one(router: &dyn Ask, line: &str, form: Form) -> Result<(), ConsoleError> {
    match carry_out(router, line, form, &mut io::stdout().lock()) {
        Ok(_) => Ok(()),
        Err(LineError::Ask(error)) => Err(ConsoleError::Command(error)),
        Err(LineError::Output(error)) => Err(error.into()),
    }
}

/// What follows a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    End,
}

/// Carries out one line and prints what comes of it.
fn carry_out(
    router: &dyn Ask,
    line: &str,
    form: Form,
    output: &mut dyn Write,
) -> Result<Next, LineError> {
    let next = match Line::read(line) {
        Ok(Line {
            command: Command::Exit,
            ..
        }) => return Ok(Next::End),
        Ok(Line {
            command: Command::Quit,
            ..
        }) => Next::End,
        Ok(_) => Next::Line,
        Err(NotACommand::Empty) => return Ok(Next::Line),
        Err(NotACommand::Help(text)) => {
            output.write_all(text.as_bytes())?;
            if !text.ends_with('\n') {
                output.write_all(b"\n")?;
            }
            return Ok(Next::Line);
        }
        Err(NotACommand::Wrong(text)) => return Err(AskError::Wrong(text).into()),
    };
    let answer = router.ask(line, form)?;
    output.write_all(answer.as_bytes())?;
    output.flush()?;
    Ok(next)
}

#[derive(Debug, Error)]
enum LineError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn batch(
    router: &dyn Ask,
    input: impl BufRead,
    output: &mut dyn Write,
    form: Form,
) -> Result<(), ConsoleError> {
    for (number, line) in (1..).zip(input.lines()) {
        let line = line?;
        match carry_out(router, &line, form, output) {
            Ok(Next::Line) => {}
            Ok(Next::End) => return Ok(()),
            Err(LineError::Ask(error)) => {
                let line = line.escape_debug().to_string();
                return Err(ConsoleError::Line {
                    number,
                    line,
                    error,
                });
            }
            Err(LineError::Output(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

fn prompt(router: &dyn Ask, place: Place, form: Form) -> Result<(), ConsoleError> {
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Assistant {
        router,
        hinter: HistoryHinter::new(),
    }));
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    loop {
        let line = match editor.readline("manifold> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        editor.add_history_entry(line.as_str())?;
        if let Some(file) = &history
            && let Err(error) = editor.append_history(file)
        {
            tracing::debug!(%error, "the history is not kept");
        }
        if place == Place::Elsewhere && ends_router(&line) && !confirmed(&mut editor)? {
            continue;
        }
        let mut output = io::stdout().lock();
        match carry_out(router, &line, form, &mut output) {
            Ok(Next::Line) => {}
            Ok(Next::End) => return Ok(()),
            Err(LineError::Ask(error)) => writeln!(output, "{error}")?,
            Err(LineError::Output(error)) => return Err(error.into()),
        }
    }
}

fn ends_router(line: &str) -> bool {
    matches!(
        Line::read(line),
        Ok(Line {
            command: Command::Quit,
            ..
        })
    )
}

/// At another process's prompt, many type `quit` to leave it.
fn confirmed(editor: &mut Editor<Assistant<'_>, FileHistory>) -> Result<bool, ReadlineError> {
    let question = "This ends the router; `exit` only leaves the prompt. End it? [y/N] ";
    match editor.readline(question) {
        Ok(word) => Ok(matches!(word.trim(), "y" | "yes")),
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where the history is kept between sessions: the place that the XDG base directories give to state.
fn history_file() -> Option<PathBuf> {
    let directory = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state =
        directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")))?;
    let directory = state.join("manifold");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("history"))
}

/// Completes words, and suggests lines of the history.
struct Assistant<'r> {
    router: &'r dyn Ask,
    hinter: HistoryHinter,
}

impl Assistant<'_> {
    /// The names of the ports; none while the router does not answer.
    fn port_names(&self) -> Vec<String> {
        let answer = self.router.ask("show port info all", Form::Json);
        let ports = answer
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        let names = ports
            .as_ref()
            .and_then(|ports| ports.get("ports")?.as_array())
            .into_iter()
            .flatten()
            .filter_map(|port| port.get("name")?.as_str());
        names.map(str::to_owned).collect()
    }
}

impl Helper for Assistant<'_> {}
impl Validator for Assistant<'_> {}

impl Highlighter for Assistant<'_> {
    /// What is suggested stands out from what was typed.
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        format!("\x1b[2m{hint}\x1b[0m").into()
    }
}

impl Hinter for Assistant<'_> {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, context: &Context<'_>) -> Option<String> {
        self.hinter.hint(line, position, context)
    }
}

impl Completer for Assistant<'_> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..position).unwrap_or(line);
        Ok(complete(before, || self.port_names()))
    }
}

/// Where the word at the end of `line` begins, and what it could become, each with a space behind it. The ports are asked
/// for only where one may stand.
fn complete(line: &str, port_names: impl FnOnce() -> Vec<String>) -> (usize, Vec<String>) {
    let start = line
        .char_indices()
        .rev()
        .find(|(_, character)| character.is_whitespace())
        .map_or(0, |(index, character)| index + character.len_utf8());
    let (before, begun) = line.split_at(start);
    let words: Vec<_> = before.split_whitespace().collect();
    let mut candidates = Completion::new(&[]).next(&words);
    if candidates
        .iter()
        .any(|candidate| candidate.word == "<port>")
    {
        candidates = Completion::new(&port_names()).next(&words);
    }
    let fitting = candidates
        .iter()
        .filter(|candidate| candidate.is_literal() && candidate.word.starts_with(begun))
        .map(|candidate| format!("{} ", candidate.word));
    (start, fitting.collect())
}

/// The console of `run -i`, on a thread of its own. Dropped, it gives the terminal back as it was; the thread itself ends
/// with the process, because nothing ends its waiting for a line.
#[derive(Debug)]
pub struct Console {
    failed: Arc<AtomicBool>,
    terminal: Option<Termios>,
}

impl Console {
    /// Opens it on standard input and output. When it ends, so does the router, as by `quit`.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn open(router: Asker) -> io::Result<Self> {
        let terminal = termios::tcgetattr(io::stdin()).ok();
        let failed = Arc::new(AtomicBool::new(false));
        let report = Arc::clone(&failed);
        thread::Builder::new()
            .name("console".into())
            .spawn(move || {
                if let Err(error) = run(&router, Place::Here, Form::Text) {
                    eprintln!("{error}");
                    report.store(true, Ordering::Release);
                }
                match router.answer(Command::Quit) {
                    // Ending already is what was wanted.
                    Ok(_) | Err(AskError::Ending) => {}
                    Err(error) => {
                        tracing::error!(%error, "the console ends, but the router does not");
                    }
                }
            })?;
        Ok(Self { failed, terminal })
    }

    /// Whether it ended because a line failed, or the terminal.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(terminal) = &self.terminal
            && let Err(error) = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, terminal)
        {
            tracing::debug!(%error, "the terminal stays as it is");
        }
    }
}

#[cfg(test)]
mod tests;
