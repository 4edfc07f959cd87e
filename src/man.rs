//! The manual page: what clap knows of the arguments, and behind it every command of the console.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Arguments;
use crate::command;

/// Writes `manifold(1)`.
///
/// # Errors
/// When `output` takes no more.
pub fn write(output: &mut dyn Write) -> io::Result<()> {
    Man::new(Arguments::command()).render(output)?;
    let mut page = Roff::new();
    page.control("SH", ["CONSOLE COMMANDS"]);
    page.text([roman(
        "These are given to a running router by manifold ctl, at its prompt, or at that of manifold run -i. With --json each \
         answers with a JSON object.",
    )]);
    describe(&command::Line::command(), "", &mut page);
    page.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in [
        ("0", "All went well."),
        (
            "1",
            "The configuration is wrong, the router could not start, or it refused a command.",
        ),
        (
            "2",
            "The arguments or a command are wrong, or no router answers.",
        ),
    ] {
        page.control("TP", []);
        page.text([bold(status)]);
        page.text([roman(meaning)]);
    }
    page.to_writer(output)
}

/// Every command below `at`, with its words and what it does.
fn describe(at: &Command, before: &str, page: &mut Roff) {
    for below in at.get_subcommands() {
        let mut words = format!("{before}{}", below.get_name());
        if below.has_subcommands() {
            words.push(' ');
            describe(below, &words, page);
            continue;
        }
        let mut explained = String::new();
        for argument in below.get_positionals() {
            let values = argument.get_possible_values();
            let names: Vec<_> = values.iter().map(|value| value.get_name()).collect();
            let name = if names.is_empty() {
                argument.get_id().as_str().to_uppercase()
            } else {
                names.join("|")
            };
            words += &if argument.is_required_set() {
                format!(" {name}")
            } else {
                format!(" [{name}]")
            };
            if let Some(help) = argument.get_help() {
                explained += &format!(" {name}: {help}.");
            }
        }
        let about = below.get_about().map(ToString::to_string);
        page.control("TP", []);
        page.text([bold(words)]);
        page.text([roman(format!("{}.{explained}", about.unwrap_or_default()))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_the_arguments_and_the_console() {
        let mut page = Vec::new();
        write(&mut page).unwrap();
        // In roff a hyphen is written with a backslash.
        let page = String::from_utf8(page).unwrap().replace('\\', "");
        for part in [
            "completions",
            "show port info PORT",
            "set fwd io|mac|route",
            "show route [ADDRESS]",
            "EXIT STATUS",
        ] {
            assert!(page.contains(part), "{part} is not in the manual");
        }
    }
}
