//! The program: from its arguments to its exit code. What it does lives in the library.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use manifold::args::{Action, Arguments, ctl_line};
use manifold::command::{Line, NotACommand};
use manifold::config::{Config, Machine};
use manifold::console::{self, ConsoleError, Place};
use manifold::control::plan;
use manifold::ctl::Client;
use manifold::man;
use manifold::request::{AskError, Form};

/// The exit code for wrong arguments, which clap has, too, and for a router that cannot be reached.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let matches = match Arguments::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    let action = match Arguments::from_arg_matches(&matches) {
        Ok(Arguments { action }) => action,
        Err(error) => error.exit(),
    };
    let done = match action {
        Action::Run {
            config,
            interactive,
            eal,
        } => manifold::run::run(&config, interactive, &eal).map_err(Into::into),
        Action::Check { config } => check(&config),
        Action::Ctl { socket, json, .. } => return ctl(&socket, Form::json(json), &matches),
        Action::Top { socket } => manifold::top::run(&socket).map_err(Into::into),
        Action::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "manifold", &mut script);
            io::stdout().write_all(&script).map_err(Into::into)
        }
        Action::Man { directory } => manual(directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the arguments, or prints the help that they ask for. About a command behind `ctl` the console
/// knows more: it names what was expected.
fn refuse(error: &clap::Error) -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let line = ctl_line(arguments.map(|argument| argument.to_string_lossy().into_owned()));
    if error.use_stderr()
        && let Some(line) = line.filter(|line| !line.starts_with('-'))
        && let Err(NotACommand::Wrong(reason)) = Line::read(&line)
    {
        eprintln!("{reason}");
        return ExitCode::from(USAGE);
    }
    error.exit()
}

fn check(file: &Path) -> Result<(), Box<dyn Error>> {
    let config = Config::load(file, &Machine::look())?;
    plan::check(&config).map_err(|error| format!("{}: {error}", file.display()))?;
    let count = |n: usize, what: &str| match n {
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    };
    writeln!(
        io::stdout(),
        "{}: ok: {}, {}, {}, {}",
        file.display(),
        count(config.ports.len(), "port"),
        count(config.routes.len(), "route"),
        count(config.virtual_routers.len(), "virtual router"),
        count(usize::from(config.workers.count.value), "worker"),
    )?;
    Ok(())
}

/// One command to a running router, or many.
fn ctl(socket: &Path, form: Form, matches: &ArgMatches) -> ExitCode {
    let router = Client::new(socket);
    let words: Vec<_> = matches
        .subcommand_matches("ctl")
        .map(Line::words)
        .into_iter()
        .flatten()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let done = if words.is_empty() {
        console::run(&router, Place::Elsewhere, form)
    } else {
        console::one(&router, &words.join(" "), form)
    };
    let error = match done {
        Ok(()) => return ExitCode::SUCCESS,
        // Whoever reads has enough, as in `manifold ctl … | head`.
        Err(ConsoleError::Input(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(error) => error,
    };
    eprintln!("{error}");
    match error {
        ConsoleError::Command(AskError::Wrong(_) | AskError::Unreachable(_))
        | ConsoleError::Line {
            error: AskError::Wrong(_) | AskError::Unreachable(_),
            ..
        } => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}

fn manual(directory: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    match directory {
        None => man::write(&mut io::stdout())?,
        Some(directory) => {
            clap_mangen::generate_to(Arguments::command(), &directory)?;
            man::write(&mut File::create(directory.join("manifold.1"))?)?;
        }
    }
    Ok(())
}
