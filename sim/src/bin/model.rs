//! Goes through every state of the model of the move, and prints how many there were and whether every invariant held.

use std::process::ExitCode;

use sim::model::{Settings, explore, large_sizes, small_sizes};

fn main() -> ExitCode {
    let sizes = match std::env::args().nth(1).as_deref() {
        None => small_sizes(),
        Some("--large") => large_sizes(),
        Some(_) => {
            eprintln!("usage: model [--large]");
            return ExitCode::from(2);
        }
    };
    let mut total = 0;
    let mut holds = true;
    println!(
        "packets  workers  lost  egress     fault         states  longest way   time  invariants"
    );
    for settings in sizes {
        let finding = explore(settings);
        total += finding.states;
        println!("{} {}", describe(&settings), {
            let verdict = match &finding.violation {
                None if finding.succeeds => "all hold".to_string(),
                None => "no way leads to success".to_string(),
                Some((name, steps)) => format!("NOT SO: {name}\n{steps}"),
            };
            format!(
                "{:>10} {:>12} {:>5.1} s  {verdict}",
                finding.states, finding.depth, finding.seconds
            )
        });
        holds &= finding.violation.is_none() && finding.succeeds;
    }
    println!("{total} states in all");
    ExitCode::from(u8::from(!holds))
}

fn describe(settings: &Settings) -> String {
    let egress = if settings.congested {
        "congested"
    } else {
        "free"
    };
    let fault = format!("{:?}", settings.fault);
    format!(
        "{:>7} {:>8} {:>5}  {egress:<9}  {fault:<12}",
        settings.frames, settings.workers, settings.receive_losses
    )
}
