//! Batches and completion, against a router that repeats what it was asked.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Echo {
    asked: RefCell<Vec<String>>,
}

impl Ask for Echo {
    fn ask(&self, line: &str, form: Form) -> Result<String, AskError> {
        self.asked.borrow_mut().push(line.trim().to_owned());
        match line.trim() {
            "stop" => Err(AskError::Refused("not now".into())),
            "show port info all" if form == Form::Json => {
                Ok("{\"ports\":[{\"name\":\"lan\"},{\"name\":\"wan\"}]}\n".into())
            }
            _ => Ok(format!("did {}\n", line.trim())),
        }
    }
}

fn batch_of(input: &str) -> (Result<(), ConsoleError>, Vec<String>, String) {
    let router = Echo::default();
    let mut output = Vec::new();
    let ended = batch(&router, input.as_bytes(), &mut output, Form::Text);
    let output = String::from_utf8(output).unwrap();
    (ended, router.asked.into_inner(), output)
}

#[test]
fn a_batch_is_carried_out_line_by_line() {
    let (ended, asked, output) = batch_of("# first\n\nstart\n  show lcores  # busy?\n");
    ended.unwrap();
    assert_eq!(asked, ["start", "show lcores  # busy?"]);
    assert_eq!(output, "did start\ndid show lcores  # busy?\n");
}

#[test]
fn a_batch_stops_at_the_first_line_that_fails_and_says_which() {
    let (ended, asked, _) = batch_of("start\nstop\nstart\n");
    assert_eq!(ended.unwrap_err().to_string(), "line 2: stop\nnot now");
    assert_eq!(asked, ["start", "stop"]);

    let (ended, asked, _) = batch_of("start\n\nshow prot\nstart\n");
    let error = ended.unwrap_err().to_string();
    assert!(error.starts_with("line 3: show prot\n"), "{error}");
    assert!(error.contains("lcores"), "{error}");
    assert_eq!(asked, ["start"]);
}

#[test]
fn exit_and_quit_end_a_batch_and_only_quit_reaches_the_router() {
    assert_eq!(batch_of("exit\nstart\n").1, Vec::<String>::new());
    assert_eq!(batch_of("quit\nstart\n").1, ["quit"]);
}

#[test]
fn help_does_not_ask_the_router() {
    let (ended, asked, output) = batch_of("help show port\nset ?\n");
    ended.unwrap();
    assert_eq!(asked, Vec::<String>::new());
    assert!(
        output.contains("xstats") && output.contains("fwd"),
        "{output}"
    );
}

#[test]
fn words_and_ports_are_completed_with_a_space_behind() {
    let ports = || vec!["lan".to_owned(), "wan".to_owned()];
    let complete = |line: &str| complete(line, ports);
    assert_eq!(complete("sh"), (0, vec!["show ".to_owned()]));
    assert_eq!(complete("show po"), (5, vec!["port ".to_owned()]));
    assert_eq!(complete("show port info w"), (15, vec!["wan ".to_owned()]));
    assert_eq!(
        complete("clear port stats ").1,
        ["all ", "lan ", "wan "].map(str::to_owned)
    );
    assert_eq!(complete("nonsense ").1, Vec::<String>::new());
}

#[test]
fn ports_are_asked_for_only_where_one_may_stand() {
    complete("show ", || panic!("no port may stand here"));
}

#[test]
fn the_assistant_finds_the_names_of_the_ports_in_the_answer() {
    let router = Echo::default();
    let assistant = Assistant {
        router: &router,
        hinter: HistoryHinter::new(),
    };
    assert_eq!(assistant.port_names(), ["lan", "wan"]);
}

proptest! {
    #[test]
    fn no_beginning_of_a_line_makes_completion_panic(line in "\\PC{0,40}") {
        let (start, candidates) = complete(&line, Vec::new);
        prop_assert!(line.is_char_boundary(start));
        for candidate in candidates {
            prop_assert!(candidate.starts_with(&line[start..]));
        }
    }

    #[test]
    fn a_completed_word_can_always_stand_there(
        words in prop::collection::vec(
            prop::sample::select(vec!["show", "port", "info", "clear", "stats", "set", "fwd"]),
            0..4,
        )
    ) {
        let before = words.iter().map(|word| format!("{word} ")).collect::<String>();
        let ports = || vec!["lan".to_owned()];
        for candidate in complete(&before, ports).1 {
            let line = format!("{before}{candidate}");
            // Either the line is whole, or something may follow.
            let whole = Line::read(&line).is_ok() || matches!(Line::read(&line), Err(NotACommand::Help(_)));
            prop_assert!(whole || !Completion::new(&[]).next(&line.split_whitespace().collect::<Vec<_>>()).is_empty());
        }
    }
}
