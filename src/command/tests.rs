//! The grammar as a whole: every command is understood, explained and completed, and nothing typed makes it panic.

use proptest::prelude::*;

use super::*;

/// Every command, spelt out to its end with one example of each argument.
fn every_line() -> Vec<String> {
    fn descend(command: &clap::Command, before: &str, lines: &mut Vec<String>) {
        for below in command.get_subcommands() {
            if below.get_name() == "help" {
                continue;
            }
            let words = format!("{before} {}", below.get_name());
            if below.has_subcommands() {
                descend(below, &words, lines);
                continue;
            }
            let mut line = words.clone();
            for argument in below.get_positionals() {
                if !argument.is_required_set() {
                    lines.push(line.clone());
                }
                let values = argument.get_possible_values();
                line += " ";
                line += match argument.get_id().as_str() {
                    "port" => "0",
                    "address" | "condition" | "router" => "192.0.2.1",
                    "value" => "20",
                    _ => values.first().expect("a value to try").get_name(),
                };
            }
            lines.push(line);
        }
    }
    let mut grammar = Line::command();
    grammar.build();
    let mut lines = Vec::new();
    descend(&grammar, "", &mut lines);
    lines
}

#[test]
fn the_grammar_is_well_formed() {
    Line::command().debug_assert();
}

#[test]
fn every_command_is_read_with_and_without_json() {
    let lines = every_line();
    assert!(lines.len() >= 26, "{lines:?}");
    for line in lines {
        let read = Line::read(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(!read.json);
        let json = Line::read(&format!("{line} --json")).unwrap();
        assert!(json.json);
        assert_eq!(read.command, json.command);
    }
}

#[test]
fn every_word_of_every_command_has_help_and_is_completed() {
    let completion = Completion::new(&["lan".to_owned()]);
    for line in every_line() {
        let words: Vec<&str> = line.split_whitespace().collect();
        for (index, word) in words.iter().enumerate() {
            let candidates = completion.next(&words[..index]);
            let known = candidates.iter().find(|candidate| candidate.word == *word);
            match known {
                Some(candidate) => assert!(!candidate.help.is_empty(), "{line}: {word}"),
                None => assert!(
                    candidates
                        .iter()
                        .any(|candidate| !candidate.is_literal() && !candidate.help.is_empty()),
                    "{line}: {word} is not among {candidates:?}"
                ),
            }
        }
        let Err(NotACommand::Help(help)) = Line::read(&format!("help {}", line_of_words(&words)))
        else {
            panic!("no help for {line}");
        };
        assert!(help.contains("Usage:"), "{help}");
    }
}

/// The words of a line without its arguments, for `help`.
fn line_of_words(words: &[&str]) -> String {
    let mut grammar = Line::command();
    grammar.build();
    let mut at = &grammar;
    let mut path = Vec::new();
    for word in words {
        match at.find_subcommand(word) {
            Some(below) => at = below,
            None => break,
        }
        path.push(*word);
    }
    path.join(" ")
}

#[test]
fn ports_are_completed_by_name() {
    let completion = Completion::new(&["lan".to_owned(), "wan".to_owned()]);
    let words: Vec<String> = completion
        .next(&["show", "port", "stats"])
        .into_iter()
        .filter(Candidate::is_literal)
        .map(|candidate| candidate.word)
        .collect();
    assert_eq!(words, ["all", "lan", "wan"]);
}

#[test]
fn wrong_input_says_what_was_expected() {
    for (line, parts) in [
        ("shw", &["unknown command \"shw\"", "show", "quit"][..]),
        ("show", &["expected one of", "neighbours"]),
        (
            "show prot stats all",
            &["\"show\" knows no \"prot\"", "port", "lcores"],
        ),
        ("show port stats", &["expected one of", "<port>", "all"]),
        (
            "set fwd route now",
            &["\"set fwd route\" knows no \"now\"; expected the end of the line"],
        ),
        (
            "set fwd rout",
            &["\"set fwd\" knows no \"rout\"", "io", "mac", "route"],
        ),
        (
            "show route nowhere",
            &["\"show route\" knows no \"nowhere\"", "<address>"],
        ),
        ("start --now", &["\"start\" knows no \"--now\""]),
        (
            "move 192.0.2.1 too 192.0.2.2",
            &["\"move 192.0.2.1\" knows no \"too\"", "to  Whom to"],
        ),
        (
            "set review-threshold rate much",
            &["\"set review-threshold rate\" knows no \"much\"", "Mbit/s"],
        ),
        (
            "move all to 192.0.2.2",
            &["\"move\" knows no \"all\"", "rest"],
        ),
        ("--json", &["expected one of", "show"]),
    ] {
        let Err(NotACommand::Wrong(text)) = Line::read(line) else {
            panic!("{line} is not refused");
        };
        for part in parts {
            assert!(text.contains(part), "{line}: {text}");
        }
    }
}

#[test]
fn a_question_mark_lists_what_may_stand_there() {
    let Err(NotACommand::Help(text)) = Line::read("show port ?") else {
        panic!("no help");
    };
    assert!(text.contains("info") && text.contains("xstats"), "{text}");
}

#[test]
fn empty_lines_and_comments_are_no_commands() {
    for line in ["", "  ", "# start", "\t#"] {
        assert_eq!(Line::read(line), Err(NotACommand::Empty));
    }
    assert_eq!(Line::read("start # now").unwrap().command, Command::Start);
}

#[test]
fn the_words_behind_ctl_are_a_line() {
    for line in every_line() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let matches = Line::command().try_get_matches_from(&words).unwrap();
        assert_eq!(Line::words(&matches), words);
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(line in "\\PC{0,60}") {
        let _ = Line::read(&line).map_err(|error| error.to_string());
    }

    #[test]
    fn no_mixture_of_known_words_makes_the_reader_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "show", "port", "info", "stats", "xstats", "all", "fwd", "clear", "set", "io", "route", "help", "--help",
                "--json", "-h", "?", "0", "lan", "192.0.2.1", "--", "start", "quit", "é", "",
            ]),
            0..8,
        )
    ) {
        let _ = Line::read(&words.join(" ")).map_err(|error| error.to_string());
        Completion::new(&[]).next(&words);
    }
}
