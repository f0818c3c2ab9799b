//! FLOOR 3 · control: the control thread, one tokio runtime on one thread. It checks passwords,
//! renders the documents that cores hand out, takes signals, watches that the cores make progress,
//! tells the service manager, and ends the server in order. What blocks runs on its bounded helper
//! threads.

pub mod log;
pub mod notify;
pub mod secret;

mod gate;
mod pages;
mod roster;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use crate::base::limits::{DRAIN_REST, HASHING_THREADS_MAX};
use crate::base::{Moment, WallTime};
use crate::config::Config;
use crate::domain::bus::{
    ControlToEdge, ControlToIngest, EdgeToControl, IngestToControl, Outbox, Verify,
};
use crate::domain::progress::{Change, Progress, Watch};
use crate::domain::stats::ServerCounters;
use crate::ring::{Doorbell, LaneReceiver};
use crate::rt::clock::Clock;
use crate::rt::memory;

use gate::Gate;
use notify::{Facts, Notify, Phase};
use roster::Roster;

/// How often the documents are rendered anew while nothing but counts changes.
const RENDER_EVERY: Duration = Duration::from_secs(1);

/// How soon after a mount came, went or changed its title the documents say so.
const RENDER_SOON: Duration = Duration::from_millis(50);

/// What the control thread is given.
pub struct Parts {
    /// The clock all threads share.
    pub clock: Clock,
    /// The configuration.
    pub config: Arc<Config>,
    /// The server's counters.
    pub counters: Arc<ServerCounters>,
    /// When the server started.
    pub started: WallTime,
    /// Rung when any lane to this thread has something.
    pub bell: Arc<Doorbell>,
    /// From each listener core.
    pub from_edges: Vec<LaneReceiver<EdgeToControl>>,
    /// To each listener core.
    pub to_edges: Vec<Outbox<ControlToEdge>>,
    /// From the source core.
    pub from_ingest: LaneReceiver<IngestToControl>,
    /// To the source core.
    pub to_ingest: Outbox<ControlToIngest>,
    /// The turns of every core, by its name: listener cores in their order, then the source core.
    pub progress: Vec<(String, Progress)>,
    /// The way to the service manager.
    pub notify: Notify,
}

/// The control thread's runtime. Made before the cores take their own descriptor tables, so that
/// its waker has the same number in all of them.
pub struct Runtime {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
}

impl Runtime {
    /// Makes the runtime and starts to listen for signals.
    pub fn create() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(HASHING_THREADS_MAX)
            .thread_name("floe-hash")
            .build()?;
        let signals = {
            let _inside = runtime.enter();
            Signals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                reload: signal(SignalKind::hangup())?,
            }
        };
        Ok(Self { runtime, signals })
    }

    /// Runs the control thread until every core has ended, or had its time to.
    pub fn run(self, parts: Parts) {
        let Self { runtime, signals } = self;
        LocalSet::new().block_on(&runtime, control(parts, signals));
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

/// The lanes to the listener cores, shared with the tasks that wait for a password check.
type Edges = Rc<RefCell<Vec<Outbox<ControlToEdge>>>>;

async fn control(parts: Parts, mut signals: Signals) {
    let Parts { clock, config, counters, started, bell, mut from_edges, to_edges, .. } = parts;
    let (mut from_ingest, mut to_ingest) = (parts.from_ingest, parts.to_ingest);
    let edges: Edges = Rc::new(RefCell::new(to_edges));
    let gate = Rc::new(Gate::new(Arc::clone(&config), clock));
    let mut roster = Roster::new(config.clone(), Arc::clone(&counters), clock, started);
    let mut cores = Cores::new(parts.progress, parts.notify, clock.now());
    let mut storm = Storm::default();
    let mut render_at = clock.now();
    let mut end_at = None;
    loop {
        while let Some(message) = from_ingest.receive() {
            roster.told(message);
            render_at = render_at.min(clock.now() + RENDER_SOON);
        }
        for (core, lane) in from_edges.iter_mut().enumerate() {
            while let Some(message) = lane.receive() {
                match message {
                    EdgeToControl::Verify(verify) => judge(&gate, &edges, *verify),
                    EdgeToControl::Listening => cores.listening += 1,
                    EdgeToControl::Drained => cores.ended(core),
                }
            }
        }
        let now = clock.now();
        cores.look(now);
        if now >= render_at {
            render_at = now + RENDER_EVERY;
            let pages = roster.render(end_at.is_some(), &cores.watch.stuck());
            post_all(&edges, || ControlToEdge::Pages(Arc::clone(&pages)));
            if storm.is_over(counters.accepted.now()) {
                memory::give_back();
            }
        }
        edges.borrow_mut().iter_mut().for_each(Outbox::flush);
        let is_running = cores.listening >= from_edges.len();
        cores.tell(&counters, is_running, end_at.is_some(), now);
        if cores.drained == from_edges.len() || end_at.is_some_and(|end| now >= end) {
            to_ingest.post(ControlToIngest::Drain);
            to_ingest.flush();
            return;
        }
        let nap = cores.notify.next_ping(now).map_or(render_at, |ping| ping.min(render_at));
        tokio::select! {
            () = bell.rung() => {}
            () = tokio::time::sleep(nap.since(now)) => {}
            _ = signals.terminate.recv() => end_at = Some(drain(&config, &edges, clock, end_at)),
            _ = signals.interrupt.recv() => end_at = Some(drain(&config, &edges, clock, end_at)),
            _ = signals.reload.recv() => {
                tracing::warn!("SIGHUP is reserved for reloading; restart for a new configuration");
            }
        }
    }
}

/// How the cores are, and who is told.
struct Cores {
    watch: Watch,
    notify: Notify,
    /// How many listener cores have said that they accept.
    listening: usize,
    /// How many have drained.
    drained: usize,
}

impl Cores {
    fn new(progress: Vec<(String, Progress)>, notify: Notify, now: Moment) -> Self {
        let watch = Watch::new(progress, notify.stuck_after(), now);
        Self { watch, notify, listening: 0, drained: 0 }
    }

    fn ended(&mut self, core: usize) {
        self.drained += 1;
        self.watch.ended(core);
    }

    /// Looks whether they make progress; the log names those who do not.
    fn look(&mut self, now: Moment) {
        for change in self.watch.look(now) {
            match change {
                Change::Stuck(core) => tracing::error!(
                    core = self.watch.name(core),
                    "a core makes no progress: its listeners hear nothing; with a watchdog the \
                     service manager restarts the server"
                ),
                Change::GoesOn(core) => {
                    tracing::warn!(core = self.watch.name(core), "a core that was stuck goes on");
                }
            }
        }
    }

    /// Tells the service manager.
    fn tell(&mut self, counters: &ServerCounters, is_running: bool, draining: bool, now: Moment) {
        let phase = match (draining, is_running) {
            (true, _) => Phase::Draining,
            (false, true) => Phase::Running,
            (false, false) => Phase::Starting,
        };
        let fed = self.notify.tell(&Facts {
            now,
            phase,
            listeners: counters.listeners.now(),
            listeners_peak: counters.listeners.peak(),
            sources: counters.sources.now(),
            stuck: &self.watch.stuck(),
            all_moved: self.watch.all_moved(),
        });
        if fed {
            self.watch.fed();
        }
    }
}

/// Watches, once a second, for the end of a storm of connections.
#[derive(Default)]
struct Storm {
    accepted: u64,
    since_last: u64,
}

impl Storm {
    /// Connections since memory was given back last that make it worth doing again: each had needed
    /// about 4 KiB, so this is 4 MiB.
    const WORTH: u64 = 1_000;

    /// Whether many connections came and now hardly any do. `accepted`: so many in all.
    fn is_over(&mut self, accepted: u64) -> bool {
        let news = accepted - self.accepted;
        self.accepted = accepted;
        self.since_last += news;
        let over = self.since_last >= Self::WORTH && news * 20 < self.since_last;
        if over {
            self.since_last = 0;
        }
        over
    }
}

/// Asks every core to drain; says when the wait is over. Asked again, it is over at once.
fn drain(config: &Config, edges: &Edges, clock: Clock, end_at: Option<Moment>) -> Moment {
    let grace = if end_at.is_some() { Duration::ZERO } else { config.server.drain_grace };
    tracing::info!(grace = ?grace, "shutting down: no new listeners, those on have this long");
    post_all(edges, || ControlToEdge::Drain(grace));
    clock.now() + grace + DRAIN_REST
}

fn post_all(edges: &Edges, message: impl Fn() -> ControlToEdge) {
    for outbox in edges.borrow_mut().iter_mut() {
        outbox.post(message());
        outbox.flush();
    }
}

/// Checks credentials in a task of their own and posts the verdict.
fn judge(gate: &Rc<Gate>, edges: &Edges, verify: Verify) {
    let (gate, edges) = (Rc::clone(gate), Rc::clone(edges));
    tokio::task::spawn_local(async move {
        let asker = verify.asker;
        let verdict = gate.check(verify).await;
        if let Some(outbox) = edges.borrow_mut().get_mut(usize::from(asker.core.0)) {
            outbox.post(ControlToEdge::Verdict { asker, verdict });
            outbox.flush();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_a_storm_and_not_within_it() {
        let mut storm = Storm::default();
        let accepted = [0, 10_000, 20_000, 20_100, 20_100, 20_101, 20_500, 22_000, 22_010];
        let given_back: Vec<bool> =
            accepted.into_iter().map(|accepted| storm.is_over(accepted)).collect();
        assert_eq!(given_back, [false, false, false, true, false, false, false, false, true]);
    }
}
