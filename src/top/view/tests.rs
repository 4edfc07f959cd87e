//! The view on a terminal that is not there.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::*;
use crate::request::{Ask, AskError, Form};
use crate::top::sample::Sample;

const SECOND: Duration = Duration::from_secs(1);

/// A router that answers what it is told to.
struct Answers {
    heaviest_at: &'static str,
    groups: usize,
}

impl Answers {
    fn group(&self, vrid: usize, line: &str) -> Value {
        let rest = match line {
            "show routers" => json!({
                "mode": "sequence", "authority": "192.0.2.2", "new": "field",
                "routers": [
                    {"router_id": "192.0.2.2", "is_this": true, "state": "working", "master": true, "weight": 100, "conditions": 5},
                    {"router_id": "192.0.2.3", "is_this": false, "state": "faulty", "master": false, "weight": 100, "conditions": 0},
                ],
            }),
            "show flow-rates" => json!({
                "window_ms": 10_000.0,
                "routers": [
                    {"router_id": "192.0.2.2", "is_this": true, "bit_s": 30_000_000, "overflows_s": 2.5, "conditions_bit_s": 1, "weight_percent": 100.0},
                    {"router_id": "192.0.2.3", "is_this": false, "bit_s": null, "overflows_s": null, "conditions_bit_s": 10_000_000, "weight_percent": 55.0},
                ],
                "last_review": {"ms_ago": 3000.0, "verdict": "reallocate", "max_over_mean": 2.25},
                "conditions": [{"condition": "192.0.2.77", "router": "192.0.2.2", "bit_s": 1000, "known_bit_s": 25_000}],
            }),
            "show moves" => json!({"total": 3}),
            _ => json!({"conditions": [
                {"condition": "192.0.2.77", "router": self.heaviest_at},
                {"condition": "rest", "router": "192.0.2.2"},
            ]}),
        };
        let mut group = rest;
        group["port"] = "lan".into();
        group["vrid"] = vrid.into();
        group
    }
}

impl Ask for Answers {
    fn ask(&self, line: &str, form: Form) -> Result<String, AskError> {
        assert_eq!(form, Form::Json);
        let groups: Vec<Value> = (0..self.groups)
            .map(|index| self.group(7 + index, line))
            .collect();
        Ok(json!({ "groups": groups }).to_string())
    }
}

fn sample(heaviest_at: &'static str, groups: usize) -> Result<Sample, AskError> {
    Sample::take(&Answers {
        heaviest_at,
        groups,
    })
}

/// What stands on a terminal of this size.
fn screen(model: &Model, now: Duration, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, now)).unwrap();
    terminal.backend().to_string()
}

fn shows(model: &Model, now: Duration, parts: &[&str]) {
    let screen = screen(model, now, (120, 24));
    for part in parts {
        assert!(screen.contains(part), "{part} is not on\n{screen}");
    }
}

#[test]
fn routers_stand_below_each_other_with_their_load_overflows_and_end_systems() {
    let mut model = Model::new(Path::new("/s"));
    model.take(SECOND, sample("192.0.2.2", 1));
    shows(
        &model,
        SECOND,
        &[
            "lan, VRID 7, sequence mode",
            "last review 3 s ago: reallocate, heaviest router at 2.25 of the mean",
            // The heaviest has the longest bar, half of the load being its share.
            "192.0.2.2 (this)       working    master    ████████████████████ 30.00     1.50     100      2.5         5",
            "192.0.2.3              faulty               ███████              ~10.00    0.50     100·55%  -           0",
            "192.0.2.77",
            "25.0",
            "moves (3 under way)",
        ],
    );
}

#[test]
fn an_end_system_that_changes_hands_is_seen_and_its_age_goes_on() {
    let mut model = Model::new(Path::new("/s"));
    model.take(SECOND, sample("192.0.2.2", 1));
    model.take(2 * SECOND, sample("192.0.2.3", 1));
    shows(&model, 2 * SECOND, &["0 s ago  192.0.2.77  …2.2 → …2.3"]);
    model.take(6 * SECOND, sample("192.0.2.3", 1));
    shows(&model, 7 * SECOND, &["5 s ago  192.0.2.77  …2.2 → …2.3"]);
    assert_eq!(model.group().unwrap().moved.len(), 1);
}

#[test]
fn a_router_that_goes_away_is_told_of_while_the_last_figures_stay_and_comes_back() {
    let gone = || {
        Err(AskError::Unreachable(
            "the router has ended\n  remedy: start one".into(),
        ))
    };
    let mut model = Model::new(Path::new("/run/s"));
    shows(&model, SECOND, &["/run/s", "asking …"]);
    model.take(SECOND, gone());
    shows(
        &model,
        SECOND,
        &["no answer, trying again: the router has ended"],
    );
    model.take(2 * SECOND, sample("192.0.2.2", 1));
    model.take(3 * SECOND, gone());
    let old = "no answer; these figures are 3 s old, trying again: the router has ended";
    shows(&model, 5 * SECOND, &[old, "192.0.2.77"]);
    model.take(6 * SECOND, sample("192.0.2.2", 1));
    shows(&model, 7 * SECOND, &["the router answers again"]);
    shows(&model, 10 * SECOND, &["last review"]);
    assert!(!screen(&model, 10 * SECOND, (110, 24)).contains("no answer"));
}

#[test]
fn several_groups_are_shown_one_after_the_other_and_none_is_said() {
    let mut model = Model::new(Path::new("/s"));
    model.take(SECOND, sample("192.0.2.2", 2));
    shows(&model, SECOND, &["VRID 7", "group 1 of 2"]);
    model.next_group();
    shows(&model, SECOND, &["VRID 8", "group 2 of 2"]);
    model.next_group();
    shows(&model, SECOND, &["VRID 7"]);
    model.next_group();
    model.take(SECOND, sample("192.0.2.2", 1));
    shows(&model, SECOND, &["VRID 7"]);
    model.take(SECOND, sample("192.0.2.2", 0));
    shows(
        &model,
        SECOND,
        &["no virtual router of this router shares its load"],
    );
    model.next_group();
}

#[test]
fn an_answer_that_is_not_understood_is_a_failure() {
    struct Nonsense;
    impl Ask for Nonsense {
        fn ask(&self, _: &str, _: Form) -> Result<String, AskError> {
            Ok("{}".into())
        }
    }
    assert!(matches!(
        Sample::take(&Nonsense),
        Err(AskError::Unreachable(_))
    ));
}

#[test]
fn on_a_narrower_terminal_bars_are_shorter_and_the_figures_stay() {
    let mut model = Model::new(Path::new("/s"));
    model.take(SECOND, sample("192.0.2.2", 1));
    let screen = screen(&model, SECOND, (110, 24));
    let line = "192.0.2.2 (this)       working    master    ████████████ 30.00     1.50     100      2.5         5";
    assert!(screen.contains(line), "{screen}");
}

#[test]
fn no_terminal_is_too_small() {
    let mut model = Model::new(Path::new("/s"));
    model.take(SECOND, sample("192.0.2.2", 2));
    for size in [(1, 1), (3, 30), (200, 2), (20, 8)] {
        screen(&model, SECOND, size);
    }
}
