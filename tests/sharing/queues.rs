//! Several receive queues, which neither P nor N need spread packets over in the same way.

use lab::load::Load;
use lab::topology::sharing::{Setup, Sharing};

use super::moves::move_around;
use super::{RATES, expect_exact, told, told_group};

#[test]
fn moves_are_exact_between_routers_with_one_queue_and_with_two() {
    let net = Sharing::new(6, 3, 2).expect("a network");
    let setup = Setup {
        queues: vec![2, 1, 2],
        ..told("")
    };
    let group = told_group(&net, &setup);
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    let moves = move_around(&group, 6, 12);
    let report = load.stop().expect("counts");
    println!("{moves} moves");
    expect_exact(&net, &group, &since, &report);
    for (index, router) in group.running() {
        let answer = router.ask("show lcores").expect("workers");
        let workers = answer["workers"].as_array().expect("workers");
        let received: Vec<u64> = workers
            .iter()
            .filter_map(|worker| worker["rx_packets"].as_u64())
            .collect();
        println!("r{}: received by each worker: {received:?}", index + 1);
        assert_eq!(
            received.len(),
            usize::from(setup.queues[usize::from(index)])
        );
        assert!(received.iter().all(|received| *received > 500), "{answer}");
    }
}
