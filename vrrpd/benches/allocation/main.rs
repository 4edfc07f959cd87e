//! How well conditions are shared out by rate, what that moves, how long it takes, and what the largest group costs: messages, time to
//! install them, memory. The figures of docs/performance.md.
//!
//! `cargo bench -p vrrpd --bench allocation [-- --svg FILE]`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop at the impossible"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use vrrpd::sharing::allocation::{Load, Measure, Share, allocate};
use vrrpd::sharing::monitor::Monitor;
use vrrpd::sharing::names::{BootId, Condition, Epoch, MemberState, Mode, RouterId, Seen, Version};
use vrrpd::sharing::table::{Row, Table};
use vrrpd::sharing::wire::{Body, Head, RouterRecord};
use vrrpd::{Family, Time};

mod loads;

use loads::{KINDS, bound, optimum, rates, weights};

const TOLERANCE_PERMILLE: u16 = 50;

const CONDITIONS: [usize; 4] = [10, 100, 1_000, 65_536];
const ROUTERS: [usize; 5] = [2, 3, 5, 8, 16];
/// So few conditions that the best of all allocations can be found.
const FEW: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let svg = arguments.windows(2).find(|pair| pair[0] == "--svg");

    println!(
        "heaviest router over the bound (the larger of mean and heaviest condition), first allocation"
    );
    print!("{:<14}{:>11}{:>9}", "load", "conditions", "weights");
    for routers in ROUTERS {
        print!("{:>8}", format!("of {routers}"));
    }
    println!();
    let mut picture = Vec::new();
    for kind in KINDS {
        for conditions in CONDITIONS {
            for equal in [true, false] {
                let reached = ROUTERS.map(|routers| quality(kind, conditions, routers, equal));
                let weights = if equal { "equal" } else { "unequal" };
                print!("{kind:<14}{conditions:>11}{weights:>9}");
                for (over, _) in reached {
                    print!("{over:>8.4}");
                }
                println!();
                if let [Some(_), ..] = reached.map(|(_, best)| best) {
                    print!("{:>34}", "the best there is");
                    for (over, best) in reached {
                        // Within the tolerance nothing better is looked for.
                        let best = best.unwrap_or(over);
                        let wanted = best.max(1.0 + f64::from(TOLERANCE_PERMILLE) / 1000.0);
                        let mark = if over > wanted + 1e-9 { "!" } else { "" };
                        print!("{:>8}", format!("{best:.4}{mark}"));
                    }
                    println!();
                }
                let over = reached.map(|(over, _)| over);
                picture.push((format!("{kind}, {conditions}, {weights}"), over));
            }
        }
    }

    println!("\none router's traffic trebled: what is moved, over the least that has to be");
    println!(
        "{:<14}{:>11}{:>9}{:>14}{:>14}{:>12}",
        "load", "conditions", "routers", "moved ÷ least", "over bound", "ms"
    );
    for kind in KINDS {
        for (conditions, routers) in [(100, 3), (1_000, 3), (1_000, 8), (65_536, 3), (65_536, 16)] {
            let moved = rebalance(kind, conditions, routers);
            let over_least = match moved.least {
                0.0 => "-".to_owned(),
                least => format!("{:.3}", moved.moved / least),
            };
            println!(
                "{kind:<14}{conditions:>11}{routers:>9}{over_least:>14}{:>14.4}{:>12.1}",
                moved.over_bound,
                milliseconds(moved.time)
            );
        }
    }

    largest();
    if let Some(pair) = svg {
        fs::write(&pair[1], draw(&picture)).unwrap();
    }
}

fn router(number: usize) -> RouterId {
    RouterId::new(1 + number as u32).unwrap()
}

fn shares(weights: &[u16]) -> Vec<Share> {
    let share = |(number, weight): (usize, &u16)| Share {
        router: router(number),
        weight: *weight,
    };
    weights.iter().enumerate().map(share).collect()
}

fn conditions(rates: &[u64], at: Option<&[Option<RouterId>]>) -> Vec<Load> {
    let place = |number: usize| at.and_then(|at| at[number]);
    let load = |(number, rate): (usize, &u64)| Load {
        bit_per_s: *rate,
        router: place(number),
        pinned: false,
    };
    rates.iter().enumerate().map(load).collect()
}

fn share_out(shares: &[Share], loads: &[Load]) -> Vec<Option<RouterId>> {
    let measure = Measure::Rate {
        tolerance_permille: TOLERANCE_PERMILLE,
    };
    allocate(measure, shares, loads)
}

/// The load of the heaviest router relative to its weight.
fn heaviest(shares: &[Share], rates: &[u64], at: &[Option<RouterId>]) -> f64 {
    let mut loads: BTreeMap<RouterId, u64> = BTreeMap::new();
    for (rate, at) in rates.iter().zip(at) {
        *loads.entry(at.unwrap()).or_default() += rate;
    }
    let load = |share: &Share| loads.get(&share.router).copied().unwrap_or(0);
    let relative = |share: &Share| load(share) as f64 / f64::from(share.weight);
    shares.iter().map(relative).fold(0.0, f64::max)
}

/// What the heaviest router has over the bound; for few conditions also what it has in the best of all allocations.
fn quality(kind: &str, count: usize, routers: usize, equal: bool) -> (f64, Option<f64>) {
    let (weights, rates) = (weights(routers, equal), rates(kind, count));
    let shares = shares(&weights);
    let at = share_out(&shares, &conditions(&rates, None));
    let reached = heaviest(&shares, &rates, &at);
    let bound = bound(&weights, &rates);
    let best = (count <= FEW).then(|| optimum(&weights, &rates, reached) / bound);
    (reached / bound, best)
}

struct Rebalanced {
    moved: f64,
    /// What the routers have beyond the bound and the tolerance.
    least: f64,
    over_bound: f64,
    time: Duration,
}

fn rebalance(kind: &str, count: usize, routers: usize) -> Rebalanced {
    let (weights, mut rates) = (weights(routers, true), rates(kind, count));
    let shares = shares(&weights);
    let before = share_out(&shares, &conditions(&rates, None));
    for (rate, at) in rates.iter_mut().zip(&before) {
        *rate *= if *at == Some(router(0)) { 3 } else { 1 };
    }
    let loads = conditions(&rates, Some(&before));
    let began = Instant::now();
    let after = share_out(&shares, &loads);
    let time = began.elapsed();
    let bound = bound(&weights, &rates);
    let allowed = bound * (1.0 + f64::from(TOLERANCE_PERMILLE) / 1000.0);
    let mut carried: BTreeMap<RouterId, f64> = BTreeMap::new();
    for (rate, at) in rates.iter().zip(&before) {
        *carried.entry(at.unwrap()).or_default() += *rate as f64;
    }
    let moved = rates
        .iter()
        .zip(before.iter().zip(&after))
        .filter(|(_, (before, after))| before != after)
        .map(|(rate, _)| *rate as f64);
    Rebalanced {
        moved: moved.sum(),
        least: carried.values().map(|load| (load - allowed).max(0.0)).sum(),
        over_bound: heaviest(&shares, &rates, &after) / bound,
        time,
    }
}

/// What 65,536 conditions and 16 routers cost besides.
fn largest() {
    const COUNT: u32 = 65_536;
    println!("\n65,536 conditions, 16 routers, IPv4");
    let shares = shares(&weights(16, true));
    for kind in KINDS {
        let rates = rates(kind, COUNT as usize);
        let loads = conditions(&rates, None);
        let began = Instant::now();
        let at = share_out(&shares, &loads);
        println!(
            "first allocation, {kind}: {:.1} ms",
            milliseconds(began.elapsed())
        );
        assert_eq!(at.len(), COUNT as usize);
    }

    let issuer = router(0);
    let version = |generation| Version {
        epoch: Epoch {
            counter: 1,
            issuer: Some(issuer),
        },
        generation,
    };
    let members = || {
        shares
            .iter()
            .map(|share| RouterRecord {
                router: share.router,
                state: MemberState::Working,
                weight: share.weight,
            })
            .collect::<Vec<_>>()
    };
    let address =
        |number: u32| Condition::Address(Ipv4Addr::from_bits(0x0a00_0001 + number).into());
    let changes: BTreeMap<Condition, Option<Row>> = (0..COUNT)
        .map(|number| {
            let row = Row {
                router: router(number as usize % 16),
                unfinished: None,
                node: None,
                seen: Seen::Traffic,
                seen_at: Time::ZERO,
                rate_kbit_per_s: number,
            };
            (address(number), Some(row))
        })
        .collect();

    let mut authority = Table::new(Family::Ipv4, Mode::Sequence);
    let began = Instant::now();
    let (_, difference) =
        authority.issue(Time::ZERO, version(1), Mode::Sequence, members(), &changes);
    let issuing = began.elapsed();
    drop(difference);
    println!("issuing the table: {:.1} ms", milliseconds(issuing));

    let began = Instant::now();
    let fragments = Body::Allocation(authority.full(Time::ZERO)).split(Family::Ipv4, 1400);
    println!(
        "full allocation as {} messages of at most 1,400 octets: {:.1} ms to divide",
        fragments.len(),
        milliseconds(began.elapsed())
    );

    let before = resident();
    let mut backup = Table::new(Family::Ipv4, Mode::Sequence);
    let began = Instant::now();
    let mut changed = 0;
    let mut longest = Duration::ZERO;
    for (number, body) in (0..).zip(&fragments) {
        let Body::Allocation(allocation) = body else {
            continue;
        };
        let head = Head {
            router: issuer,
            version: version(1),
            fragment: number,
            fragments: fragments.len() as u16,
            priority: 100,
            boot: BootId(1),
            number: 1 + u64::from(number),
        };
        let one = Instant::now();
        changed += backup.receive(Time::ZERO, &head, allocation).unwrap().len();
        longest = longest.max(one.elapsed());
    }
    assert_eq!(changed, COUNT as usize);
    assert_eq!(backup.installed(), version(1));
    println!(
        "a backup's table from them: {:.1} ms, the longest message {:.3} ms, {:.1} MiB",
        milliseconds(began.elapsed()),
        milliseconds(longest),
        mebibytes(resident().saturating_sub(before))
    );

    let before = resident();
    let mut monitor = Monitor::new(Duration::from_secs(10));
    let mut reading = Duration::ZERO;
    for part in 0u64..5 {
        let now = Time::ZERO + Duration::from_millis(2500 * part);
        let octets = (0..COUNT).map(|number| (address(number), part * u64::from(number)));
        let began = Instant::now();
        monitor.read(now, octets, 0);
        reading = began.elapsed();
    }
    println!(
        "monitor: {:.1} MiB, a reading of all counters {:.2} ms every 2.5 s",
        mebibytes(resident().saturating_sub(before)),
        milliseconds(reading)
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn mebibytes(octets: usize) -> f64 {
    octets as f64 / f64::from(1 << 20)
}

const LEFT: usize = 240;
const STEP: usize = 20;
const WIDTH: usize = 760;

/// What the heaviest router has over the bound, as one dot for each number of routers.
fn draw(rows: &[(String, [f64; ROUTERS.len()])]) -> String {
    const COLOURS: [&str; ROUTERS.len()] = ["#4878a8", "#58a068", "#c08030", "#a04858", "#705090"];
    let height = rows.len() * STEP + 80;
    // From the bound itself to a quarter more.
    let x = |over: f64| LEFT as f64 + (over.min(1.25) - 1.0) * 4.0 * (WIDTH - LEFT - 30) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-weight=\"bold\">Heaviest router over the bound, by load, conditions, weights</text>\n"
    );
    // Writing to a string does not fail.
    for (place, routers) in ROUTERS.into_iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"20\" fill=\"{}\">\u{25cf} {routers} routers</text>",
            400 + 75 * place,
            COLOURS[place]
        );
    }
    let bottom = 40 + rows.len() * STEP;
    for over in [1.0, 1.05, 1.1, 1.15, 1.2, 1.25] {
        let _ = writeln!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"34\" y2=\"{bottom}\" stroke=\"#ccc\"/>\
             <text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{over:.2}</text>",
            x(over),
            bottom + 16
        );
    }
    for (row, (label, over)) in rows.iter().enumerate() {
        let y = 46 + row * STEP;
        let _ = writeln!(svg, "<text x=\"10\" y=\"{}\">{label}</text>", y + 4);
        for (place, over) in over.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"4\" fill=\"{}\" fill-opacity=\"0.7\"/>",
                x(*over),
                COLOURS[place]
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The resident memory of this process in octets.
fn resident() -> usize {
    // In pages of 4 KiB.
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let resident = statm.split_whitespace().nth(1).unwrap();
    resident.parse::<usize>().unwrap() * 4096
}
