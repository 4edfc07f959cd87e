//! Many routers and many end systems.

use crate::lan::{Lan, MS, Settings, router};

/// Whether the table is the same everywhere, and evenly shared.
fn is_even(lan: &Lan, routers: usize, conditions: usize) -> bool {
    let even = conditions / routers;
    lan.is_settled()
        && (0..routers).all(|node| {
            let table = lan.sharing(0).table();
            let share = table
                .rows()
                .filter(|(_, row)| row.router == router(node))
                .count();
            (even..=even + 2).contains(&share)
        })
}

/// The numbers with which the measurements in `docs/performance.md` are made are `SHARING_ROUTERS=16` and `SHARING_CONDITIONS=65536`.
#[test]
fn a_large_table_reaches_every_router_and_is_shared_out_evenly() {
    let number = |name, usual| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(usual)
    };
    let (routers, conditions) = (
        number("SHARING_ROUTERS", 6),
        number("SHARING_CONDITIONS", 3_000),
    );
    let began = std::time::Instant::now();
    let mut lan = Lan::new(Settings {
        routers,
        hosts: 0,
        configured: conditions,
        loss: 5,
        batch_len_max: 256,
        ..Settings::new(1)
    });
    lan.start(0);
    lan.run_until(1_000 * MS, Lan::is_settled);
    println!("alone after {} ms, {:?}", lan.now / MS, began.elapsed());
    for node in 1..routers {
        lan.start(node);
    }
    let taken = lan.run_until(60_000 * MS, |lan| is_even(lan, routers, conditions));
    let sent: u64 = lan.sent_types.iter().flat_map(|types| types.values()).sum();
    println!(
        "shared out after {} ms, {sent} messages, {:?}",
        taken / MS,
        began.elapsed()
    );
    let before = lan.sharing(1).table().digest();
    lan.crash(0);
    let taken = lan.run_until(60_000 * MS, |lan| {
        lan.master() == Some(1) && lan.is_settled() && lan.sharing(1).table().digest() != before
    });
    println!("taken over after {} ms, {:?}", taken / MS, began.elapsed());
    lan.start(0);
    let taken = lan.run_until(60_000 * MS, |lan| is_even(lan, routers, conditions));
    println!("given back after {} ms, {:?}", taken / MS, began.elapsed());
}
