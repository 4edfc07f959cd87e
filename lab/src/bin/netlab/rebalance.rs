//! The demo's rebalancing: the end systems of one router send much more than the others; a review finds it, and the load is shared anew under
//! way. Then it rests.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::carried::{Reading, max_over_mean};
use lab::group::Group;
use lab::load::{Load, Rates};
use lab::skew::{self, HOLD, Skew, WINDOW};
use lab::table::Table;
use lab::topology::sharing::Sharing;
use lab::traffic::Count;
use lab::{LabError, Result};
use serde::Serialize;

use super::picture::Track;

/// The router whose end systems are made heavy: a backup, which has to ask for the review.
const HEAVY: u8 = 1;
/// From when on a router asks for a review, in Mbit/s: less than the heavy one has, and more than a third of all.
const THRESHOLD_MBIT: u32 = 1;
/// How much more than possible the heaviest may have when all is done: the tolerance, and as much again, because rates are measured.
const BALANCED: f64 = 1.10;
/// Reviews that are waited for afterwards, in which nothing shall move.
const REVIEWS_AFTERWARDS: u32 = 5;
const DEADLINE: Duration = Duration::from_secs(60);
/// From one point of the picture to the next.
const STEP: Duration = Duration::from_millis(500);

const RATES: Rates = Rates {
    seconds: 300,
    udp_pps: 0,
    icmp_pps: 5,
    tcp_pps: 5,
    streams: 3,
};

/// A figure before and after.
#[derive(Debug, Serialize)]
pub(crate) struct Change<T> {
    before: T,
    after: T,
}

/// What became of the packets, and of the end systems.
#[derive(Debug, Serialize)]
pub(crate) struct Rebalancing {
    /// End systems that changed hands.
    moves: u64,
    sent: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    reviews_afterwards: u64,
    moves_afterwards: u64,
}

/// The act's figures, under the names of the demo's object.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Bit/s of each router towards the servers.
    share: Change<Vec<u64>>,
    max_over_mean: Change<f64>,
    rebalancing: Rebalancing,
    #[serde(skip)]
    pub(crate) track: Track,
}

/// Shows it in a network without routers.
pub(crate) fn show_in(net: &Sharing, program: &Path) -> Result<Figures> {
    let hosts = u8::try_from(net.hosts.len()).unwrap_or(u8::MAX);
    let group = Group::start(net, program, &skew::setup(hosts))?;
    skew::wait_until_shared(&group, hosts, DEADLINE)?;
    let skew = Skew::of(&group, hosts, HEAVY)?;
    let load = Load::start_uneven(net, RATES, |host| skew.pps(host))?.steady()?;
    let mut track = Track::new(group.count());
    eprintln!(
        "the end systems of r{} send more than the others:",
        HEAVY + 1
    );
    let first = Reading::take(net)?;
    let mut on = |what: Option<&str>, time: Duration, done: &mut dyn FnMut() -> Result<bool>| {
        record(net, &first, &mut track, what, time, done)
    };
    // A whole window, so that everyone knows the rates when it begins.
    on(None, WINDOW + Duration::from_secs(1), &mut || Ok(false))?;
    let at_review = Reading::take(net)?;
    for router in 0..group.count() {
        skew::let_go(&group, router, THRESHOLD_MBIT)?;
    }
    eprintln!("routers may ask for reviews from {THRESHOLD_MBIT} Mbit/s on:");
    on(Some("reviews begin"), DEADLINE, &mut || {
        let balanced = skew.over_bound(&group.in_charge()?) <= BALANCED;
        Ok(balanced && group.is_quiet()?)
    })?;
    let (moves, collections) = moves_and_reviews(&group)?;
    let settled = Reading::take(net)?;
    for router in 0..group.count() {
        skew::let_go(&group, router, 0)?;
    }
    eprintln!("shared anew; {REVIEWS_AFTERWARDS} more reviews of the same traffic:");
    let wanted = collections + u64::from(REVIEWS_AFTERWARDS);
    on(
        Some("shared anew"),
        HOLD * REVIEWS_AFTERWARDS + DEADLINE,
        &mut || Ok(moves_and_reviews(&group)?.1 >= wanted),
    )?;
    let end = Reading::take(net)?;
    let (moves_in_all, collections_in_all) = moves_and_reviews(&group)?;
    let Count {
        sent,
        lost,
        duplicated,
        reordered,
        ..
    } = load.stop()?.total();
    let (before, after) = (at_review.since(&first), end.since(&settled));
    Ok(Figures {
        max_over_mean: Change {
            before: max_over_mean(&before),
            after: max_over_mean(&after),
        },
        share: Change { before, after },
        rebalancing: Rebalancing {
            moves,
            sent,
            lost,
            duplicated,
            reordered,
            reviews_afterwards: collections_in_all - collections,
            moves_afterwards: moves_in_all - moves,
        },
        track,
    })
}

/// Notes what each router carries until something is so, or the time is over.
fn record(
    net: &Sharing,
    first: &Reading,
    track: &mut Track,
    what: Option<&str>,
    time: Duration,
    done: &mut dyn FnMut() -> Result<bool>,
) -> Result<()> {
    let mut last = Reading::take(net)?;
    let start = Instant::now();
    if let Some(what) = what {
        track.mark(last.seconds_since(first), what);
    }
    let mut steps = 0_u32;
    while start.elapsed() < time && !done()? {
        std::thread::sleep(STEP);
        let now = Reading::take(net)?;
        let rates = now.since(&last);
        if steps.is_multiple_of(4) {
            let each = (1..).zip(&rates);
            let each =
                each.map(|(router, rate)| format!("r{router}: {:5.2} Mbit/s", *rate as f64 / 1e6));
            eprintln!("  {}", each.collect::<Vec<_>>().join("    "));
        }
        track.point(now.seconds_since(first), rates);
        last = now;
        steps += 1;
    }
    Ok(())
}

/// How many end systems have finished changing hands, and how many reviews the authority has held.
fn moves_and_reviews(group: &Group<'_>) -> Result<(u64, u64)> {
    let mut moves = 0;
    for (_, router) in group.running() {
        let shown = Group::shown(router, "show moves")?;
        moves += shown["counters"]["taken"].as_u64().unwrap_or_default();
    }
    let shown = Group::shown(group.router(0)?, "show flow-rates")?;
    let reviews = shown["counters"]["collections"].as_u64();
    let reviews = reviews.ok_or_else(|| LabError::Unreadable {
        what: "the reviews held".into(),
        text: shown.to_string(),
    })?;
    Ok((moves, reviews))
}

/// Prints the figures for people.
pub(crate) fn print(figures: &Figures) {
    let mut shares = Table::new(&["a load that is skewed on purpose", "before", "after"]);
    let mega = |rate: Option<&u64>| {
        rate.map_or_else(String::new, |rate| {
            format!("{:.2} Mbit/s", *rate as f64 / 1e6)
        })
    };
    for (router, before) in figures.share.before.iter().enumerate() {
        let after = figures.share.after.get(router);
        shares.row(&[
            &format!("r{}", router + 1),
            &mega(Some(before)),
            &mega(after),
        ]);
    }
    let ratio = &figures.max_over_mean;
    shares.row(&[
        &"heaviest over mean",
        &format!("{:.3}", ratio.before),
        &format!("{:.3}", ratio.after),
    ]);
    println!("{shares}");
    let what = &figures.rebalancing;
    println!(
        "to share it anew {} end systems moved: of {} packets {} lost, {} duplicated, {} reordered; in {} reviews afterwards {} moved\n",
        what.moves,
        what.sent,
        what.lost,
        what.duplicated,
        what.reordered,
        what.reviews_afterwards,
        what.moves_afterwards
    );
}
