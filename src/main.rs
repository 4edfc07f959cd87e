//! The program: from its arguments to its exit code. What it does lives in the library.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use manifold::args::{Action, Arguments};
use manifold::config::{Config, Machine};

fn main() -> ExitCode {
    let done = match Arguments::parse().action {
        Action::Check { config } => check(&config),
        Action::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "manifold", &mut script);
            io::stdout().write_all(&script).map_err(Into::into)
        }
        Action::Man { directory } => man(directory.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: &Path) -> Result<(), Box<dyn Error>> {
    let config = Config::load(file, &Machine::look())?;
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

fn man(directory: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let definition = Arguments::command();
    match directory {
        Some(directory) => clap_mangen::generate_to(definition, directory)?,
        None => clap_mangen::Man::new(definition).render(&mut io::stdout())?,
    }
    Ok(())
}
