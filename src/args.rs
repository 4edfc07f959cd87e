//! The program's arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::command::Command;
use crate::config::DEFAULT_SOCKET;

/// Puts one address in front of several routers and keeps all of them working
#[derive(Debug, Parser)]
#[command(name = "manifold", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What the program is to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run the router
    Run {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Open the prompt on this terminal, or read commands from a pipe
        #[arg(short, long)]
        interactive: bool,
        /// Further arguments for DPDK's environment (EAL)
        #[arg(last = true, value_name = "EAL ARGUMENTS")]
        eal: Vec<String>,
    },
    /// Read the configuration and name every mistake with its place, cause and remedy
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Give a command to a running router; without one, open its prompt, or read commands from a pipe
    Ctl {
        /// The router's control socket
        #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
        socket: PathBuf,
        /// Answer with a JSON object
        #[arg(long, global = true)]
        json: bool,
        /// The command.
        #[command(subcommand)]
        command: Option<Command>,
    },
    /// Show live what the routers of a group carry, in the whole of the terminal
    Top {
        /// The router's control socket
        #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write all of them
    Man {
        /// Write one page for each command into this directory
        #[arg(value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
}

/// The line that the arguments behind `ctl` make, without the program's own options; nothing if `arguments` call something
/// else. For arguments that clap refuses, so that the console can say what it expected.
pub fn ctl_line(arguments: impl IntoIterator<Item = String>) -> Option<String> {
    let mut arguments = arguments.into_iter();
    if arguments.next()? != "ctl" {
        return None;
    }
    let mut words = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--socket" => drop(arguments.next()),
            "--json" => {}
            option if option.starts_with("--socket=") => {}
            _ => words.push(argument),
        }
    }
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_line_behind_ctl_is_without_options() {
        let line = |arguments: &str| ctl_line(arguments.split(' ').map(str::to_owned));
        for arguments in [
            "ctl show prot",
            "ctl --json --socket /s show prot",
            "ctl show --socket=/s prot --json",
        ] {
            assert_eq!(line(arguments).as_deref(), Some("show prot"), "{arguments}");
        }
        assert_eq!(line("check -c f"), None);
    }
}
