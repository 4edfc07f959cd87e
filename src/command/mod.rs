//! The console's grammar: one definition, which the prompt, `ctl`, help, completion and the manual pages are made from.
//! What the commands do lives in `control/`.

mod complete;
mod condition;
mod port;

use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, Parser, Subcommand, ValueEnum};

pub use complete::{Candidate, Completion};
pub use condition::{ConditionChoice, ParseConditionError};
pub use port::{PortChoice, UnknownPort};

/// A line as it is typed at the prompt or sent over the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "",
    about = "Commands of the router's console",
    no_binary_name = true,
    disable_version_flag = true,
    help_template = "{about}\n\n{usage-heading} {usage}\n\n{all-args}"
)]
pub struct Line {
    /// Answer with a JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command to the running router.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show what the router is and does
    #[command(subcommand)]
    Show(Show),
    /// Count from zero again
    #[command(subcommand)]
    Clear(Clear),
    /// Change how the router works
    #[command(subcommand)]
    Set(Set),
    /// Hand an end system over to another router of its group
    Move {
        /// An end system's address, or `rest` for all that are in no table
        condition: ConditionChoice,
        /// The word `to`
        to: To,
        /// The router's id or its address on the link
        router: Ipv4Addr,
    },
    /// Reviews of the routers' load
    #[command(subcommand)]
    Review(Review),
    /// Give every end system away, then end the router; no packet is lost
    Drain,
    /// Start forwarding
    Start,
    /// Stop forwarding; the control thread goes on
    Stop,
    /// Read the configuration file again and apply what can change while running
    Reload,
    /// End the router
    Quit,
    /// Leave the prompt; a router that was started with it (`run -i`) ends, any other goes on
    Exit,
}

/// What can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Show {
    /// Ports: what they are, and what their drivers count
    #[command(subcommand)]
    Port(ShowPort),
    /// What the workers received and sent
    #[command(subcommand)]
    Fwd(Fwd),
    /// Workers: processor, queues, how busy
    Lcores,
    /// Every counter that is not zero; as JSON, all of them
    Counters,
    /// Routes, or the one that an address takes
    Route {
        /// An address whose route is wanted
        address: Option<Ipv4Addr>,
    },
    /// Neighbours, and how well they are known
    Neighbours,
    /// Virtual routers: who is master, and why
    Vrrp,
    /// Routers that share the load: state, weight, what they have installed
    Routers,
    /// Which router is in charge of which end system, or of the one at an address
    Allocation {
        /// An end system's address
        address: Option<Ipv4Addr>,
    },
    /// End systems on their way from one router to another
    Moves,
    /// End systems, behind what and how they were seen
    EndSystems,
    /// What this router routes of whom, what the others carry, and the last review
    FlowRates,
    /// Packets that the workers hold back
    Backlog,
    /// Packet buffers, used and free
    Mempool,
    /// The configuration in force, defaults included
    Config,
}

/// What can be shown of a port.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ShowPort {
    /// Device, addresses, link
    Info {
        /// Number or name of a port, or all
        port: PortChoice,
    },
    /// The driver's counters, and rates since they were last shown
    Stats {
        /// Number or name of a port, or all
        port: PortChoice,
    },
    /// Every counter that the driver has a name for
    Xstats {
        /// Number or name of a port, or all
        port: PortChoice,
    },
}

/// What can be counted from zero again.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Clear {
    /// A port's counters
    #[command(subcommand)]
    Port(ClearPort),
    /// What the router itself counted; the drivers' counters stay
    Counters,
}

/// What of a port can be counted from zero again.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ClearPort {
    /// The driver's counters
    Stats {
        /// Number or name of a port, or all
        port: PortChoice,
    },
}

/// The workers' counters, in testpmd's words.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Fwd {
    /// Packets received, sent and dropped, by port
    Stats {
        /// All ports
        ports: AllPorts,
    },
}

/// What can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Set {
    /// What becomes of a packet
    Fwd {
        /// How packets are forwarded
        mode: Mode,
    },
    /// When the load is looked at, and when it is shared anew; until the file is read again
    #[command(subcommand)]
    ReviewThreshold(ReviewThreshold),
}

/// What of the load can be beyond a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ReviewThreshold {
    /// A router that routes more asks for a review
    Rate {
        /// Mbit/s
        value: u32,
    },
    /// A router whose backlogs overflow more often asks for a review
    Overflows {
        /// Overflows a second
        value: u32,
    },
    /// The load is shared anew if routers differ by more
    Difference {
        /// Percent of the mean
        value: u16,
    },
    /// The load is shared anew if a router overflows so much more often than another
    OverflowDifference {
        /// Overflows a second
        value: u32,
    },
}

/// What can be done about reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Review {
    /// Look at everyone's load, and share it anew if that is called for
    Now,
}

/// How packets are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// From each port to its pair, as they are
    Io,
    /// From each port to its pair, with new link addresses
    Mac,
    /// As a router does
    Route,
}

/// The word `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// Whom to
    To,
}

/// The word `all`, where testpmd wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AllPorts {
    /// All ports
    All,
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotACommand {
    /// There is nothing on it, or only a comment.
    Empty,
    /// It asks for help, which is this.
    Help(String),
    /// It is wrong, and this says what was expected.
    Wrong(String),
}

impl fmt::Display for NotACommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no command"),
            Self::Help(text) | Self::Wrong(text) => f.write_str(text),
        }
    }
}

impl Line {
    /// Reads a line: words with spaces between. What follows a `#` is a comment. A `?` asks what may stand in its place.
    ///
    /// # Errors
    /// [`NotACommand`], with the text to show.
    pub fn read(line: &str) -> Result<Self, NotACommand> {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.split_last() {
            None => return Err(NotACommand::Empty),
            Some((last, before)) if *last == "?" => {
                return Err(NotACommand::Help(Completion::new(&[]).expected(before)));
            }
            Some(_) => {}
        }
        Self::try_parse_from(&words).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp => NotACommand::Help(error.to_string()),
            _ => NotACommand::Wrong(Completion::new(&[]).expected(&words)),
        })
    }

    /// The words of the command that `matches` holds, as they stood behind `manifold ctl`.
    pub fn words(matches: &ArgMatches) -> Vec<OsString> {
        let mut command = Self::command();
        command.build();
        let (mut at, mut matches) = (&command, matches);
        let mut words = Vec::new();
        while let Some((name, below)) = matches.subcommand() {
            words.push(name.into());
            matches = below;
            match at.find_subcommand(name) {
                Some(subcommand) => at = subcommand,
                None => return words,
            }
        }
        for positional in at.get_positionals() {
            let values = matches.get_raw(positional.get_id().as_str());
            words.extend(values.into_iter().flatten().map(OsString::from));
        }
        words
    }
}

#[cfg(test)]
mod tests;
