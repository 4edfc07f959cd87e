//! An outside generator at a memif: dpdk-testpmd in `flowgen` mode, another process, sends into the router and gets
//! back what the router routes. Beside it, testpmd as the thing measured, which only sends back what it gets.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::manifold::Manifold;
use lab::namespace::Namespace;
use lab::table::Table;
use lab::testpmd::{Forwarded, Testpmd};
use lab::{LabError, Result, poll};
use serde::Serialize;

/// One CPU for the generator, another for what is measured.
const GENERATOR_CPU: usize = 0;
const MEASURED_CPU: usize = 1;
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing is on the way any more when nothing came for this long.
const SETTLE: Duration = Duration::from_millis(100);
/// Longer than the router takes to ask again for a neighbour.
const ASKS_AGAIN: Duration = Duration::from_millis(1500);

/// The link address that flowgen's frames go to, and the network that its packets do: both are built into testpmd.
const FLOWGEN_TO: &str = "00:01:02:03:04:01";
const FLOWGEN_NETWORK: &str = "10.253.0.0/16";

fn generator_vdev() -> String {
    "net_memif0,role=client,id=0,socket=/manifold".into()
}

fn measured_vdev() -> String {
    format!("net_memif0,role=server,id=0,socket=/manifold,mac={FLOWGEN_TO}")
}

fn configuration() -> String {
    format!(
        "[[port]]\nname = \"memif\"\ndevice = \"{}\"\naddresses = [\"10.252.0.1/24\"]\n\n\
         [[route]]\nprefix = \"{FLOWGEN_NETWORK}\"\nvia = \"10.252.0.2\"\n",
        measured_vdev()
    )
}

/// What came back of what was sent in.
#[derive(Debug, Serialize)]
struct Figures {
    sent: u64,
    returned: u64,
    lost: u64,
    mpps: f64,
    /// Packets that found the ring into the measured program full: the generator is faster.
    refused: u64,
    seconds: f64,
}

/// Measures both, prints a table or a JSON object.
pub(crate) fn measure(program: &Path, seconds: u64, json: bool) -> Result<()> {
    let length = Duration::from_secs(seconds);
    let machine = Namespace::new("memif")?;
    eprintln!("testpmd in io mode, {seconds} s …");
    let landmark = {
        let mut measured = Testpmd::start(&machine, &measured_vdev(), MEASURED_CPU)?;
        measured.forward("io")?;
        run(&machine, length)?
    };
    eprintln!("manifold, {seconds} s …");
    let router = Manifold::start(&machine, program, &configuration(), &[])?;
    let routed = run(&machine, length)?;
    drop(router);
    if json {
        println!(
            "{}",
            serde_json::json!({ "memif": { "testpmd_io": landmark, "manifold_route": routed } })
        );
        return Ok(());
    }
    let mut table = Table::new(&["memif and back", "Mpps", "sent", "returned", "lost"]);
    for (name, figures) in [("testpmd io", landmark), ("manifold route", routed)] {
        table.row(&[
            &name,
            &format!("{:.2}", figures.mpps),
            &figures.sent,
            &figures.returned,
            &figures.lost,
        ]);
    }
    println!("{table}");
    Ok(())
}

/// Generates for a time into whatever serves the memif.
fn run(machine: &Namespace, length: Duration) -> Result<Figures> {
    let mut generator = Testpmd::start(machine, &generator_vdev(), GENERATOR_CPU)?;
    poll::until("the memif", PATIENCE, || {
        Ok(generator.link_is_up()?.then_some(()))
    })?;
    introduce(&mut generator)?;
    drain(&mut generator)?;

    generator.forward("flowgen")?;
    let start = Instant::now();
    std::thread::sleep(length);
    let elapsed = start.elapsed();
    let Forwarded {
        received,
        sent,
        unsent,
    } = generator.stop()?;
    let returned = received + drain(&mut generator)?;
    Ok(Figures {
        sent,
        returned,
        lost: sent.saturating_sub(returned),
        mpps: received as f64 / elapsed.as_secs_f64() / 1e6,
        refused: unsent,
        seconds: elapsed.as_secs_f64(),
    })
}

/// Receives what is still on the way, until nothing more is; how much that was.
fn drain(generator: &mut Testpmd) -> Result<u64> {
    let mut drained = 0;
    loop {
        generator.forward("rxonly")?;
        std::thread::sleep(SETTLE);
        match generator.stop()?.received {
            0 => return Ok(drained),
            more => drained += more,
        }
    }
}

/// Makes the router ask who its next hop is, and answers: flowgen does not, icmpecho does.
fn introduce(generator: &mut Testpmd) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        generator.forward("flowgen")?;
        std::thread::sleep(SETTLE);
        let Forwarded { received, sent, .. } = generator.stop()?;
        if received > sent / 2 {
            return Ok(());
        }
        generator.forward("icmpecho")?;
        std::thread::sleep(ASKS_AGAIN);
        generator.stop()?;
    }
    Err(LabError::Deadline {
        awaited: "packets coming back".into(),
        deadline: PATIENCE,
        detail: String::new(),
    })
}
