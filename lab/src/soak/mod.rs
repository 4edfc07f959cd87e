//! A soak: three real routers under load for a given time, and what happens to them drawn from one seed.
//!
//! | file | what lives there |
//! |---|---|
//! | `act.rs` | what a seed decides: moves, kills, stops, reloads, link flaps, hostile frames |
//! | `cable.rs` | a cable that is pulled, and when it really was away |
//! | `hostile.rs` | frames that no honest machine sends |
//! | `account.rs` | what was lost, doubled, reordered, and by which cause |
//! | `load.rs` | what end systems send, and what of it arrives |
//! | `memory.rs` | what a router occupies |
//! | `report.rs` | the figures |
//!
//! The last router is neither killed nor stopped, so that its memory can be compared at the end with that at the start.

mod account;
mod act;
mod cable;
mod hostile;
mod load;
mod memory;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Result;
use crate::group::{Group, tail};
use crate::stalls::Watch;
use crate::topology::sharing::{KEYS, Setup, Sharing};

use account::{Account, Window};
pub use account::{Cause, Tolls};
use act::{Act, Kind, Random};
use load::Load;
pub use memory::Memory;
use memory::{mbufs_in_use, packets_on_hold, resident_kib};
pub use report::Report;

const HOSTS: u8 = 6;
const ROUTERS: u8 = 3;
const SERVERS: u8 = 2;
/// The advertisement interval, and by how much frames may be apart at two ports.
const INTERVAL: Duration = Duration::from_millis(100);
const SKEW: Duration = Duration::from_millis(5);
/// For how long an end system may be without service when a router fails: 3 intervals, the skew time of the lowest priority here (RFC 9568
/// section 6.1), and 50 ms.
const BOUND: Duration = Duration::from_millis(3 * 100 + 30 + 50);
/// For what takes milliseconds, or a few intervals, when nothing else runs.
const DEADLINE: Duration = Duration::from_secs(30);
/// What was under way when a fault came is its loss too.
const UNDER_WAY: Duration = Duration::from_millis(50);
/// How long behind its bound a fault still excuses what happens to packets.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// A datagram that has not arrived after this long is lost.
const LATE: Duration = Duration::from_secs(2);
/// How often memory is looked at.
const SAMPLES: u32 = 10;
/// An agreement that takes longer than this is told.
const TOLD: Duration = Duration::from_secs(1);
/// Lines of each router's log that are shown, and how often at most.
const LOG_LINES: usize = 60;
const SHOWN_MAX: u32 = 3;

/// What is soaked, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// How long new acts begin.
    pub time: Duration,
    /// What decides all of them.
    pub seed: u64,
    /// Nothing but acts whose description contains this word.
    pub only: Option<String>,
    /// Whether a fault may block nobody for longer than its bound. On a machine that many programs share, its own slowness would be judged.
    pub judges_times: bool,
}

/// Runs it.
///
/// # Errors
/// When the network cannot be laid out, a router does not start, or the routers do not agree any more: nothing can be measured then.
pub fn run(options: &Options) -> Result<Report> {
    let net = Sharing::new(HOSTS, ROUTERS, SERVERS)?;
    let mut soak = Soak::start(&net, options)?;
    while soak.start.elapsed() < options.time {
        soak.next_act()?;
        soak.look_at_memory(options.time / SAMPLES)?;
    }
    soak.finish()
}

struct Soak<'a> {
    net: &'a Sharing,
    group: Group<'a>,
    seed: u64,
    only: Option<String>,
    bound: Option<Duration>,
    drawn: u64,
    acts: u64,
    start: Instant,
    /// When the load did.
    ended: Option<Duration>,
    load: Load<'a>,
    watch: Watch,
    account: Account,
    memory: Memory,
    shown: u32,
    /// What the router that stopped last had logged.
    last_words: String,
}

impl<'a> Soak<'a> {
    fn start(net: &'a Sharing, options: &Options) -> Result<Self> {
        let group = Group::start(net, &options.program, &setup())?;
        group.wait_until_agreed(DEADLINE)?;
        let start = Instant::now();
        let mut soak = Self {
            net,
            group,
            seed: options.seed,
            only: options.only.clone(),
            bound: options.judges_times.then_some(BOUND),
            drawn: 0,
            acts: 0,
            start,
            ended: None,
            load: Load::listen(net, start)?,
            watch: Watch::start(start)?,
            account: Account::default(),
            memory: Memory::default(),
            shown: 0,
            last_words: String::new(),
        };
        (0..ROUTERS).try_for_each(|router| soak.watch(router))?;
        // Neighbours are found, and memory that is used once is used, before anything is measured.
        soak.begin(Cause::WarmUp, true, None);
        soak.load.begin(net)?;
        let lasting = soak.group.router(ROUTERS - 1)?;
        soak.memory.rss_kib.push(resident_kib(lasting)?);
        soak.memory.mbufs_at_start = mbufs_in_use(lasting)?;
        soak.account.end_rough(soak.start.elapsed());
        soak.begin(Cause::Nothing, false, None);
        Ok(soak)
    }

    /// The next act that is wanted.
    fn draw(&mut self) -> Act {
        loop {
            let act = Act::draw(self.seed, self.drawn);
            self.drawn += 1;
            let is_wanted = |word: &String| act.to_string().contains(word.as_str());
            if self.only.as_ref().is_none_or(is_wanted) {
                return act;
            }
        }
    }

    fn next_act(&mut self) -> Result<()> {
        let act = self.draw();
        self.acts += 1;
        eprintln!("{:9.3} s  {act}", self.start.elapsed().as_secs_f64());
        if !act.moves.is_empty() {
            self.begin(Cause::Moves, false, None);
            for (host, to) in &act.moves {
                // A router that is not there, or has it already, is refused; so it is drawn.
                let condition = Sharing::host(*host).to_string();
                match self.group.move_to(&condition, *to) {
                    Ok(()) => self.account.moves += 1,
                    Err(_) => self.account.moves_refused += 1,
                }
            }
        }
        match act.kind {
            Kind::Moves => {}
            Kind::Kill { router, down } => {
                self.begin(Cause::Kill, true, self.bound);
                self.group.kill(router);
                self.settle_fault()?;
                self.come_back(router, down)?;
            }
            Kind::Stop { router, down } => {
                self.begin(Cause::Stop, false, None);
                let ended = self.group.stop(router)?;
                if !ended.status.success() {
                    let text = format!("r{} ended with {}", router + 1, ended.status);
                    self.account.wrong.push(text);
                }
                self.last_words = tail(&ended.stderr, LOG_LINES);
                self.come_back(router, down)?;
            }
            Kind::Flap { router, lasts } => {
                self.begin(Cause::Flap, true, self.bound);
                let away = cable::pull(self.net, router, lasts)?;
                eprintln!("             ({away})");
                self.settle_fault()?;
            }
            Kind::Reload { router, weight } => {
                self.begin(Cause::Reload, false, None);
                let router_of = self.group.router(router)?;
                let mut changed = setup();
                let sharing = changed.sharing.get_or_insert_default();
                sharing.push_str(&format!("weight = {weight}\n"));
                router_of.configure(&self.net.configuration(router, &changed))?;
                router_of.ask("reload")?;
            }
            Kind::Hostile { host, frames } => {
                self.begin(Cause::Hostile, false, None);
                let random = &mut Random::new(self.seed ^ self.acts);
                self.account.hostile_frames +=
                    hostile::send(self.net.host_end(host), random, frames)?;
            }
        }
        self.agree()?;
        std::thread::sleep(act.pause);
        self.examine(Some(self.start.elapsed().saturating_sub(LATE)));
        Ok(())
    }

    /// From now on, what happens to packets is this cause's.
    fn begin(&mut self, cause: Cause, is_rough: bool, bound: Option<Duration>) {
        let at = self.start.elapsed();
        let from = if is_rough {
            at.saturating_sub(UNDER_WAY)
        } else {
            at
        };
        self.account.begin(Window {
            cause,
            from,
            rough_until: is_rough.then_some(Duration::MAX),
            bound,
        });
    }

    /// A fault is as over as it can be by itself; its consequences are waited for, and excused no longer.
    fn settle_fault(&mut self) -> Result<()> {
        std::thread::sleep(BOUND + AFTERWARDS);
        self.account.end_rough(self.start.elapsed());
        self.agree()
    }

    /// Waits until all routers have the same table.
    fn agree(&mut self) -> Result<()> {
        let since = Instant::now();
        self.group.wait_until_agreed(DEADLINE)?;
        let took = since.elapsed();
        self.account.longest_until_agreed = self.account.longest_until_agreed.max(took);
        if took > TOLD {
            eprintln!("             (agreed after {:.1} s)", took.as_secs_f64());
        }
        Ok(())
    }

    fn come_back(&mut self, router: u8, down: Duration) -> Result<()> {
        self.agree()?;
        std::thread::sleep(down);
        self.begin(Cause::Start, false, None);
        self.group.start_router(router)?;
        self.watch(router)
    }

    /// Has the watch look at a router's threads.
    fn watch(&self, router: u8) -> Result<()> {
        let process = self.group.router(router)?.process().id();
        self.watch.add_router(process);
        Ok(())
    }

    /// Accounts for what was sent before a moment, if anything arrived since; `None`: for everything.
    fn examine(&mut self, until: Option<Duration>) {
        self.load.account(&mut self.account, until);
        let wrong = self.account.judge(&self.watch.so_far());
        for line in &wrong {
            eprintln!("           UNEXCUSED  {line}");
        }
        if !wrong.is_empty() && self.shown < SHOWN_MAX {
            self.shown += 1;
            let said = self.group.said(LOG_LINES);
            eprintln!("{said}\nwhoever stopped last said:\n{}", self.last_words);
        }
        self.account.wrong.extend(wrong);
    }

    /// Looks at it, and tells how things are, when another `distance` is over.
    fn look_at_memory(&mut self, distance: Duration) -> Result<()> {
        let samples = u32::try_from(self.memory.rss_kib.len()).unwrap_or(u32::MAX);
        if self.start.elapsed() >= distance * samples {
            let lasting = self.group.router(ROUTERS - 1)?;
            self.memory.rss_kib.push(resident_kib(lasting)?);
            eprintln!("\nso far:\n{}", self.report(0, 0));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Report> {
        self.load.stop()?;
        self.ended = Some(self.start.elapsed());
        std::thread::sleep(LATE);
        self.examine(None);
        self.agree()?;
        let lasting = self.group.router(ROUTERS - 1)?;
        self.memory.rss_kib.push(resident_kib(lasting)?);
        self.memory.mbufs_at_end = mbufs_in_use(lasting)?;
        let mut held = 0;
        for (_, router) in self.group.running() {
            held += packets_on_hold(router)?;
        }
        let dropped = self.load.dropped(self.net)?;
        Ok(self.report(held, dropped))
    }

    fn report(&self, held: u64, dropped: u64) -> Report {
        let lasted = self.ended.unwrap_or_else(|| self.start.elapsed());
        Report::new(
            (self.seed, lasted.as_secs_f64(), self.acts),
            &self.account,
            &self.watch.so_far(),
            self.memory.clone(),
            held,
            dropped,
        )
    }
}

/// What all routers are configured with.
fn setup() -> Setup {
    let systems: Vec<String> = (0..HOSTS)
        .map(|host| format!("\"{}\"", Sharing::host(host)))
        .collect();
    let sharing = format!(
        "{KEYS}\nskew = \"{}ms\"\nend-systems = [{}]\n",
        SKEW.as_millis(),
        systems.join(", ")
    );
    Setup {
        interval: INTERVAL,
        sharing: Some(sharing),
        ..Setup::default()
    }
}
