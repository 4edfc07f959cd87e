//! The router without a data plane: what it has the workers do when it is configured, elected, changed and stopped.

mod mastership;
mod sharing;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::config::Machine;

/// Workers that note what they are told.
#[derive(Default)]
struct Noted {
    frames: Vec<(PortIndex, Vec<u8>)>,
    forwarded: usize,
    neighbours: BTreeMap<Ipv4Addr, Option<MacAddr>>,
    charges: BTreeMap<GroupKey, Option<Charge>>,
    routes: RouteTable,
    routes_max: Option<usize>,
    /// Whether the ports receive nothing but what is for their own address.
    deaf: bool,
    hooks: Vec<HookCall>,
    verdicts: BTreeMap<GroupKey, Arc<VerdictTable>>,
    /// The steps asked for, and what is to be said of them.
    asked: Vec<(HandoverId, HandoverStep)>,
    handovers: VecDeque<(HandoverId, HandoverDone)>,
    /// Whether there is no room for another recording.
    records_enough: bool,
    learned: VecDeque<Learned>,
}

impl Workers for Noted {
    type Packet = Vec<u8>;

    fn transmit(&mut self, port: PortIndex, frame: &[u8]) {
        self.frames.push((port, frame.to_vec()));
    }

    fn forward(&mut self, _: PortIndex, _: Vec<u8>) {
        self.forwarded += 1;
    }

    fn set_neighbour(&mut self, _: PortIndex, address: Ipv4Addr, mac: Option<MacAddr>) {
        self.neighbours.insert(address, mac);
    }

    fn receive_virtual_mac(&mut self, _: GroupKey) -> Result<(), String> {
        if self.deaf {
            return Err("no filter".to_owned());
        }
        Ok(())
    }

    fn set_charge(&mut self, group: GroupKey, charge: Option<Charge>) {
        self.charges.insert(group, charge);
    }

    fn change_routes(&mut self, changes: &[Change]) -> Result<(), String> {
        for change in changes {
            let full = self
                .routes_max
                .is_some_and(|max| self.routes.count() >= max);
            if full && matches!(change, Change::Set(..)) {
                return Err("full".to_owned());
            }
            self.routes.apply(*change);
        }
        Ok(())
    }

    fn run_hook(&mut self, call: HookCall) {
        self.hooks.push(call);
    }

    fn set_verdicts(&mut self, group: GroupKey, verdicts: Arc<VerdictTable>) -> Option<Taken> {
        self.charges.get(&group)?.as_ref()?;
        self.verdicts.insert(group, verdicts);
        Some(0)
    }

    fn has_taken_up(&self, _: Taken) -> bool {
        true
    }

    fn hand_over(
        &mut self,
        id: HandoverId,
        _: &[u32],
        step: HandoverStep,
    ) -> Result<(), HandoverStep> {
        if self.records_enough && matches!(step, HandoverStep::StartRecording { .. }) {
            return Err(step);
        }
        self.asked.push((id, step.clone()));
        let done = match step {
            HandoverStep::StartRecording { .. } => HandoverDone::Recording,
            HandoverStep::StopRecording => return Ok(()),
            HandoverStep::EmptyReceiveQueues => HandoverDone::QueuesEmptied,
            HandoverStep::DrainBacklog => HandoverDone::Drained,
            HandoverStep::Inspect => HandoverDone::Inspected(Vec::new()),
            HandoverStep::Release(_) => HandoverDone::Released,
            HandoverStep::DropBacklog => HandoverDone::Dropped,
        };
        self.handovers.push_back((id, done));
        Ok(())
    }

    fn poll_handover(&mut self) -> Option<(HandoverId, HandoverDone)> {
        self.handovers.pop_front()
    }

    fn poll_learned(&mut self) -> Option<Learned> {
        self.learned.pop_front()
    }
}

const TEXT: &str = r#"
    [[port]]
    name = "lan"
    device = "net_null0"
    addresses = ["192.0.2.2/24"]
    [[route]]
    prefix = "0.0.0.0/0"
    via = "192.0.2.254"
    [[virtual-router]]
    vrid = 7
    port = "lan"
    virtual-addresses = ["192.0.2.1"]
    advertisement-interval = "10ms"
    notify = ["/bin/true"]
"#;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const GROUP: GroupKey = GroupKey { port: 0, vrid: 7 };

fn config(text: &str) -> Config {
    Config::parse("t", text, &Machine::default()).unwrap()
}

/// A configured router whose link is up, and its workers.
fn running() -> (Router<Vec<u8>>, Noted) {
    let (mut router, mut workers) = (Router::new(HostConfig::default(), 7), Noted::default());
    router
        .configure(Time::ZERO, &config(TEXT), &[MAC], &mut workers)
        .unwrap();
    router.on_link(Time::ZERO, 0, true);
    router.carry_out(Time::ZERO, &mut workers);
    (router, workers)
}

/// Lets time pass, in the steps that the router asks for.
fn pass(router: &mut Router<Vec<u8>>, workers: &mut Noted, from: Time, duration: Duration) -> Time {
    let end = from + duration;
    let mut now = from;
    while let Some(due) = router.poll_timeout().filter(|due| *due <= end) {
        now = due.max(now);
        router.tick(now);
        router.carry_out(now, workers);
    }
    now
}

/// The priorities of the advertisements among the frames.
fn advertised(workers: &Noted) -> Vec<u8> {
    let is_vrrp = |frame: &&(PortIndex, Vec<u8>)| frame.1.get(23) == Some(&vrrpd::wire::PROTOCOL);
    workers
        .frames
        .iter()
        .filter(is_vrrp)
        .map(|(_, frame)| frame[36])
        .collect()
}

#[test]
fn a_configuration_gives_the_workers_its_routes() {
    let (router, workers) = running();
    let lookup = |address: &str| {
        workers
            .routes
            .longest_match(address.parse().unwrap())
            .unwrap()
            .1
    };
    let address = Ipv4Addr::new(192, 0, 2, 254);
    assert_eq!(lookup("203.0.113.9"), Route::Gateway { port: 0, address });
    assert_eq!(lookup("192.0.2.99"), Route::Connected { port: 0 });
    assert_eq!(lookup("192.0.2.2"), Route::Local);
    assert_eq!(lookup("192.0.2.1"), Route::Local);
    assert_eq!(lookup("192.0.2.255"), Route::Broadcast);
    assert_eq!(router.routes().count(), workers.routes.count());
}

#[test]
fn a_router_alone_becomes_master_and_takes_charge() {
    let (mut router, mut workers) = running();
    assert_eq!(workers.charges[&GROUP], Some(Charge::Others));
    pass(
        &mut router,
        &mut workers,
        Time::ZERO,
        Duration::from_millis(100),
    );
    assert_eq!(workers.charges[&GROUP], Some(Charge::Ours));
    assert!(advertised(&workers).contains(&100));
    let announced = workers
        .frames
        .iter()
        .any(|(_, frame)| frame[12..14] == [0x08, 0x06]);
    assert!(announced, "no gratuitous ARP");
    assert!(!workers.hooks.is_empty());
}

#[test]
fn a_master_that_stops_resigns() {
    let (mut router, mut workers) = running();
    let now = pass(
        &mut router,
        &mut workers,
        Time::ZERO,
        Duration::from_millis(100),
    );
    router.shutdown(now, &mut workers);
    assert_eq!(advertised(&workers).last(), Some(&0));
}

#[test]
fn a_link_that_goes_down_ends_the_mastership() {
    let (mut router, mut workers) = running();
    let now = pass(
        &mut router,
        &mut workers,
        Time::ZERO,
        Duration::from_millis(100),
    );
    router.on_link(now, 0, false);
    router.carry_out(now, &mut workers);
    assert_eq!(workers.charges[&GROUP], Some(Charge::Others));
}

#[test]
fn a_new_configuration_changes_only_what_it_says() {
    let (mut router, mut workers) = running();
    let now = pass(
        &mut router,
        &mut workers,
        Time::ZERO,
        Duration::from_millis(100),
    );
    let before = workers.frames.len();
    let new = config(&TEXT.replace("192.0.2.254", "192.0.2.253"));
    router.configure(now, &new, &[MAC], &mut workers).unwrap();
    assert_eq!(
        workers.charges[&GROUP],
        Some(Charge::Ours),
        "the master lost its place"
    );
    assert_eq!(workers.frames.len(), before, "something was sent");
    let (_, route) = router.route_to(Ipv4Addr::new(203, 0, 113, 9)).unwrap();
    let address = Ipv4Addr::new(192, 0, 2, 253);
    assert_eq!(route, Route::Gateway { port: 0, address });

    let (without, _) = TEXT.split_once("[[virtual-router]]").unwrap();
    router
        .configure(now, &config(without), &[MAC], &mut workers)
        .unwrap();
    assert_eq!(workers.charges[&GROUP], None);
    assert_eq!(advertised(&workers).last(), Some(&0), "it did not resign");
    let (_, route) = router.route_to(Ipv4Addr::new(192, 0, 2, 1)).unwrap();
    assert_eq!(route, Route::Connected { port: 0 });
}

#[test]
fn routes_that_do_not_fit_change_nothing() {
    let (mut router, mut workers) = running();
    let before: Vec<_> = router.routes().iter().collect();
    workers.routes_max = Some(before.len());
    let more = TEXT.replace(
        "[[virtual-router]]",
        "[[route]]\nprefix = \"10.0.0.0/8\"\nblackhole = true\n[[virtual-router]]",
    );
    let refused = router.configure(
        Time::ZERO,
        &config(&more.replace("vrid = 7", "vrid = 8")),
        &[MAC],
        &mut workers,
    );
    assert_eq!(refused, Err(ConfigureError::Routes("full".to_owned())));
    assert!(router.routes().iter().eq(before.iter().copied()));
    assert!(workers.routes.iter().eq(before));
    assert_eq!(router.vrrp().groups().count(), 1);
    assert_eq!(workers.charges.len(), 1);
}

#[test]
fn a_virtual_router_whose_mac_its_port_cannot_receive_is_refused_and_changes_nothing() {
    let (mut router, mut workers) = running();
    let before: Vec<_> = router.routes().iter().collect();
    workers.deaf = true;
    let more = TEXT
        .replace("vrid = 7", "vrid = 8")
        .replace("2.1\"", "2.9\"");
    let refused = router
        .configure(Time::ZERO, &config(&more), &[MAC], &mut workers)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("port lan cannot receive frames to the virtual MAC of VRID 8: no filter"),
        "{refused}"
    );
    assert!(workers.routes.iter().eq(before));
    assert_eq!(workers.charges.len(), 1);
}

#[test]
fn a_move_that_waits_for_room_to_record_keeps_its_order_and_no_other_move_back() {
    let (mut router, mut workers) = running();
    let (waits, goes) = (HandoverId(1), HandoverId(2));
    let start = || HandoverStep::StartRecording { room: 8 };
    let steps = [
        (waits, start()),
        (goes, HandoverStep::Inspect),
        (waits, HandoverStep::StopRecording),
        (goes, HandoverStep::DropBacklog),
    ];
    let steps = steps.map(|(id, step)| (id, vec![1], step));
    router.steps.extend(steps);
    workers.records_enough = true;
    router.publish(&mut workers);
    let of_goes = [
        (goes, HandoverStep::Inspect),
        (goes, HandoverStep::DropBacklog),
    ];
    assert_eq!(std::mem::take(&mut workers.asked), of_goes);
    workers.records_enough = false;
    router.publish(&mut workers);
    let of_waits = [(waits, start()), (waits, HandoverStep::StopRecording)];
    assert_eq!(workers.asked, of_waits);
}
