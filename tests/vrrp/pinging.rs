//! A host that goes on asking the virtual address, and what it missed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use lab::namespace::Namespace;
use lab::process::Process;
use nix::sys::signal::Signal;

use crate::member::PATIENCE;
use crate::network::VIRTUAL;

const INTERVAL: Duration = Duration::from_millis(10);

/// A running ping.
pub(crate) struct Pinging {
    process: Process,
}

/// What it came to.
#[derive(Debug)]
pub(crate) struct Pinged {
    /// How many requests were answered.
    pub(crate) answered: usize,
    /// How many were answered more than once.
    pub(crate) doubled: usize,
    /// The longest time between two answers, in milliseconds.
    pub(crate) gap_ms: f64,
}

impl Pinging {
    /// Starts it to the first virtual address; the first answer has come when this returns.
    pub(crate) fn start(host: &Namespace) -> Pinging {
        Pinging::start_to(host, VIRTUAL)
    }

    /// Starts it to any address.
    pub(crate) fn start_to(host: &Namespace, to: Ipv4Addr) -> Pinging {
        let interval = INTERVAL.as_secs_f64().to_string();
        let to = to.to_string();
        let words = ["ping", "-n", "-D", "-i", &interval, "-s", "16", &to];
        let mut process = host.spawn(&words).expect("ping");
        process.wait_for("icmp_seq=", PATIENCE).expect("an answer");
        Pinging { process }
    }

    /// How many answers have come.
    fn answers(&self) -> usize {
        answers(&self.process.stdout()).len()
    }

    /// Waits for some more answers, and ends.
    pub(crate) fn finish(self) -> Pinged {
        let before = self.answers();
        lab::poll::until("further answers", PATIENCE, || {
            Ok((self.answers() > before + 10).then_some(()))
        })
        .expect("answers");
        self.process.signal(Signal::SIGINT).expect("a running ping");
        let said = self.process.finish(PATIENCE).expect("an end").stdout;
        let answers = answers(&said);
        let numbers: BTreeSet<u64> = answers.iter().map(|answer| answer.number).collect();
        let pairs = answers.iter().zip(answers.iter().skip(1));
        let longest = pairs
            .map(|(one, next)| next.at - one.at)
            .fold(0.0, f64::max);
        Pinged {
            answered: numbers.len(),
            doubled: answers.len() - numbers.len(),
            gap_ms: longest * 1000.0,
        }
    }
}

/// An answer.
struct Answer {
    /// Seconds since 1970.
    at: f64,
    number: u64,
}

fn answers(said: &str) -> Vec<Answer> {
    let read = |line: &str| {
        let (at, rest) = line.strip_prefix('[')?.split_once(']')?;
        let number = rest.split_once("icmp_seq=")?.1.split_whitespace().next()?;
        Some(Answer {
            at: at.parse().ok()?,
            number: number.parse().ok()?,
        })
    };
    let lines = said.lines().filter(|line| line.contains(" bytes from "));
    lines.filter_map(read).collect()
}
