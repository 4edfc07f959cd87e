//! What people write: the configuration file, and lines of the console.

use manifold::command::{Completion, Line};
use manifold::config::{Config, Machine};

/// Any text as a configuration: it is one, or every mistake has a place in it and a remedy.
pub(crate) fn configuration(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    match Config::parse("fuzz.toml", &text, &Machine::default()) {
        Ok(config) => assert!(format!("{config:?}").len() > 100),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                assert!(problem.to_string().contains("remedy"), "{problem}");
            }
        }
    }
}

/// Any lines as commands: each is one, or it is said what was expected; and every word that is offered as the next one leads on.
pub(crate) fn console(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let completion = Completion::new(&["lan".to_owned(), "wan".to_owned()]);
    for line in text.lines().take(8) {
        if let Err(reason) = Line::read(line) {
            assert!(!reason.to_string().is_empty(), "refused without a word");
        }
        let words: Vec<&str> = line.split_whitespace().take(16).collect();
        let _ = completion.expected(&words);
        for candidate in completion.next(&words) {
            assert!(!candidate.word.is_empty());
        }
    }
}
