//! What may stand next on a line: for completion, for `?`, and for saying what was expected instead of a wrong word.

use clap::{Arg, Command, CommandFactory};

use super::Line;

/// A word that may stand next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The word, or in angle brackets what it stands for.
    pub word: String,
    /// What it means.
    pub help: String,
}

impl Candidate {
    /// Whether it is to be typed as it is.
    pub fn is_literal(&self) -> bool {
        !self.word.starts_with('<')
    }
}

/// Knows the grammar and the names of the ports.
#[derive(Clone, Debug)]
pub struct Completion {
    grammar: Command,
    ports: Vec<String>,
}

/// A place on a line.
struct Place<'g> {
    command: &'g Command,
    /// Positional arguments that stand before it.
    positionals: usize,
}

impl<'g> Place<'g> {
    fn positional(&self) -> Option<&'g Arg> {
        self.command.get_positionals().nth(self.positionals)
    }
}

impl Completion {
    /// With the names of the ports, as far as known.
    pub fn new(ports: &[String]) -> Self {
        let mut grammar = Line::command();
        grammar.build();
        Self {
            grammar,
            ports: ports.to_vec(),
        }
    }

    /// What may stand behind `words`; nothing if they are wrong already.
    pub fn next(&self, words: &[&str]) -> Vec<Candidate> {
        let Ok(place) = self.walk(words) else {
            return Vec::new();
        };
        let mut candidates = self.candidates(&place);
        let whole = !place.command.has_subcommands()
            && !place.positional().is_some_and(Arg::is_required_set);
        if whole {
            let flags = place
                .command
                .get_arguments()
                .filter_map(|flag| Some((format!("--{}", flag.get_long()?), flag)))
                .filter(|(word, _)| word != "--help" && !words.contains(&word.as_str()));
            candidates.extend(flags.map(|(word, flag)| Candidate {
                word,
                help: text(flag.get_help()),
            }));
        }
        candidates
    }

    /// What was expected in place of the first wrong word of `words`, or behind them.
    pub fn expected(&self, words: &[&str]) -> String {
        let (place, stray) = match self.walk(words) {
            Ok(place) => (place, None),
            Err((place, index)) => (place, Some(index)),
        };
        let candidates = self.candidates(&place);
        let mut text = match stray {
            Some(index) => {
                let word = words[index].escape_debug();
                match words[..index].join(" ") {
                    before if before.is_empty() => format!("unknown command \"{word}\"; "),
                    before => format!("\"{before}\" knows no \"{word}\"; "),
                }
            }
            None => String::new(),
        };
        if candidates.is_empty() {
            return text + "expected the end of the line";
        }
        text += "expected one of:";
        let width = candidates
            .iter()
            .map(|candidate| candidate.word.len())
            .max()
            .unwrap_or_default();
        for Candidate { word, help } in candidates {
            text += format!("\n  {word:width$}  {help}").trim_end();
        }
        text
    }

    /// The place behind `words`, or the place at the first word that is wrong, and its index.
    fn walk(&self, words: &[&str]) -> Result<Place<'_>, (Place<'_>, usize)> {
        let mut place = Place {
            command: &self.grammar,
            positionals: 0,
        };
        for (index, word) in words.iter().enumerate() {
            if place
                .command
                .get_arguments()
                .any(|flag| is_flag(flag, word))
            {
                continue;
            }
            if place.command.has_subcommands() {
                match place.command.find_subcommand(word) {
                    Some(below) => place.command = below,
                    None => return Err((place, index)),
                }
                continue;
            }
            match place.positional() {
                Some(argument) if accepts(argument, word) => place.positionals += 1,
                _ => return Err((place, index)),
            }
        }
        Ok(place)
    }

    fn candidates(&self, place: &Place<'_>) -> Vec<Candidate> {
        if place.command.has_subcommands() {
            return place
                .command
                .get_subcommands()
                .map(|below| Candidate {
                    word: below.get_name().to_owned(),
                    help: text(below.get_about()),
                })
                .collect();
        }
        let Some(argument) = place.positional() else {
            return Vec::new();
        };
        let help = text(argument.get_help());
        let values = argument.get_possible_values();
        if !values.is_empty() {
            return values
                .iter()
                .map(|value| Candidate {
                    word: value.get_name().to_owned(),
                    help: text(value.get_help()),
                })
                .collect();
        }
        let stands_for = Candidate {
            word: format!("<{}>", argument.get_id()),
            help,
        };
        let literal = |word: &str| Candidate {
            word: word.to_owned(),
            help: String::new(),
        };
        let mut candidates = vec![stands_for];
        match argument.get_id().as_str() {
            "port" => {
                candidates.push(literal("all"));
                candidates.extend(self.ports.iter().map(|port| literal(port)));
            }
            "condition" => candidates.push(literal("rest")),
            _ => {}
        }
        candidates
    }
}

fn is_flag(argument: &Arg, word: &str) -> bool {
    word.strip_prefix("--")
        .is_some_and(|name| argument.get_long() == Some(name))
}

fn accepts(argument: &Arg, word: &str) -> bool {
    let values = argument.get_possible_values();
    match argument.get_id().as_str() {
        "address" | "router" => word.parse::<std::net::Ipv4Addr>().is_ok(),
        "condition" => word.parse::<super::ConditionChoice>().is_ok(),
        "value" => word.parse::<u32>().is_ok(),
        _ => values.is_empty() || values.iter().any(|value| value.matches(word, false)),
    }
}

fn text(styled: Option<&clap::builder::StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}
