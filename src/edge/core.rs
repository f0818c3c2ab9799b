//! One listener core: its state and its tasks. The state is one value behind one `RefCell`, touched
//! only by synchronous methods, so that no borrow is ever held while a task waits.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::{DRAIN_REST, HOUSEKEEPING, PAGES_LOOK, SUBSCRIPTION_LINGER};
use crate::base::{CloseReason, ConnId, CoreIndex, ListenerId, Moment, MountId};
use crate::config::Config;
use crate::domain::beat::Beat;
use crate::domain::bus::{
    ControlToEdge, EdgeToControl, EdgeToIngest, IngestToEdge, MountInfo, Outbox, Pages,
};
use crate::domain::progress::Progress;
use crate::domain::stats::ServerCounters;
use crate::ring::{Census, Doorbell, LaneReceiver, Rates, Spool};
use crate::rt::clock::Clock;
use crate::rt::net::BoundNumber;
use crate::rt::task::{self, Queues, Reply, Signal};
use crate::rt::wire::Wire;

use super::feed::{Feed, FeedRules};
use super::labels::Labels;
use super::pending::Pending;
use super::row::Row;
use super::table::{Departure, Table, Tally};
use super::{accept, inbox, looks};

/// What a listener core is given.
pub struct Parts {
    /// Which core it is.
    pub index: CoreIndex,
    /// The clock all threads share.
    pub clock: Clock,
    /// The configuration.
    pub config: Arc<Config>,
    /// The server's counters.
    pub counters: Arc<ServerCounters>,
    /// Listeners by address, over all cores.
    pub census: Arc<Census>,
    /// Connections a second by address, over all cores.
    pub rates: Arc<Rates>,
    /// Most listeners the server takes, 0 = no limit: the configured limit, or what the machine
    /// allows.
    pub listeners_max: u32,
    /// Cores that run on this one's CPU, itself included.
    pub cores_on_cpu: usize,
    /// Its listening sockets.
    pub own_sockets: Vec<BoundNumber>,
    /// The other cores' listening sockets, whose copies it closes.
    pub other_sockets: Vec<BoundNumber>,
    /// Rung when any lane to this core has something.
    pub bell: Arc<Doorbell>,
    /// From the source core.
    pub from_ingest: LaneReceiver<IngestToEdge>,
    /// To the source core.
    pub to_ingest: Outbox<EdgeToIngest>,
    /// From the control thread.
    pub from_control: LaneReceiver<ControlToEdge>,
    /// To the control thread.
    pub to_control: Outbox<EdgeToControl>,
    /// Where access lines go, if anywhere.
    pub access_log: Option<Arc<Spool>>,
    /// Where its turns are counted.
    pub progress: Progress,
}

/// A mount on this core.
pub(super) struct Mount {
    pub(super) info: Arc<MountInfo>,
    pub(super) table: Table<Wire>,
    /// Whether the source core sends this core the mount's stream.
    pub(super) follows: bool,
    /// Since when nobody listens here.
    idle_since: Moment,
    /// Whether the mount is gone and only its last listeners are left to go.
    pub(super) gone: bool,
}

/// How far the shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    No,
    Until(Moment),
}

pub(super) type Shared = Rc<RefCell<Core>>;

/// The state of one listener core.
pub(super) struct Core {
    pub(super) index: CoreIndex,
    pub(super) clock: Clock,
    pub(super) config: Arc<Config>,
    pub(super) counters: Arc<ServerCounters>,
    pub(super) census: Arc<Census>,
    pub(super) rates: Arc<Rates>,
    pub(super) listeners_max: u32,
    pub(super) mounts: HashMap<MountId, Mount>,
    pub(super) paths: HashMap<Arc<str>, MountId>,
    pub(super) labels: Labels,
    pub(super) pending: Pending,
    pub(super) beat: Beat,
    pub(super) pump_signal: Signal,
    pub(super) pages: Arc<Pages>,
    pub(super) drain: Drain,
    pub(super) to_ingest: Outbox<EdgeToIngest>,
    pub(super) to_control: Outbox<EdgeToControl>,
    pub(super) access_log: Option<Arc<Spool>>,
    /// Questions that other threads have not answered yet.
    pub(super) open: HashMap<ConnId, Reply<Result<(), CloseReason>>>,
    /// Raised to close a listening socket, one each.
    pub(super) doors: Vec<Signal>,
    /// Sources on this core, and how each is told to stop.
    pub(super) sources: HashMap<ConnId, Rc<StopSign>>,
    next_conn: u32,
    next_listener: u64,
    departures: Vec<Departure<Wire>>,
    housekept: Moment,
}

/// Tells a source's task to stop, and why.
#[derive(Default)]
pub(super) struct StopSign {
    pub(super) reason: std::cell::Cell<Option<CloseReason>>,
    pub(super) handle: std::cell::Cell<Option<crate::rt::socket::Handle>>,
}

impl StopSign {
    /// Ends the source's socket under its task.
    pub(super) fn stop(&self, reason: CloseReason) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
            if let Some(handle) = self.handle.get() {
                handle.end();
            }
        }
    }
}

/// Runs a listener core until it has drained.
pub async fn run(parts: Parts, queues: Queues) {
    for socket in &parts.other_sockets {
        socket.close();
    }
    let Parts { own_sockets, bell, from_ingest, from_control, clock, config, progress, .. } = parts;
    let beat = Beat::new(config.server.beat_min, config.server.beat_max, parts.cores_on_cpu);
    let shared = Rc::new(RefCell::new(Core {
        index: parts.index,
        clock,
        config,
        counters: parts.counters,
        census: parts.census,
        rates: parts.rates,
        listeners_max: parts.listeners_max,
        mounts: HashMap::new(),
        paths: HashMap::new(),
        labels: Labels::default(),
        pending: Pending::default(),
        beat,
        pump_signal: Signal::default(),
        pages: Arc::default(),
        drain: Drain::No,
        to_ingest: parts.to_ingest,
        to_control: parts.to_control,
        access_log: parts.access_log,
        open: HashMap::new(),
        doors: Vec::new(),
        sources: HashMap::new(),
        next_conn: 0,
        next_listener: 0,
        departures: Vec::new(),
        housekept: clock.now(),
    }));
    let inbox = Rc::new(RefCell::new(inbox::Inbox { bell, from_ingest, from_control }));
    queues.urgent(inbox::run(Rc::clone(&shared), Rc::clone(&inbox)));
    queues.urgent(looks::run(Rc::clone(&shared), inbox));
    // Pages are handed out as the control thread renders them: nobody is let in before the first
    // are here, or the first client of a start would get an empty document.
    while shared.borrow().pages.landing.is_empty() {
        task::sleep(PAGES_LOOK).await;
    }
    for socket in own_sockets {
        let closing = Signal::default();
        shared.borrow_mut().doors.push(closing.clone());
        queues.patient(accept::run(Rc::clone(&shared), socket.open(), queues, closing));
    }
    {
        let to_control = &mut shared.borrow_mut().to_control;
        to_control.post(EdgeToControl::Listening);
        to_control.flush();
    }
    housekeeping(&shared, &progress).await;
}

/// Deadlines, sweeps and subscriptions, twice a second. Returns when the core has drained. A core
/// whose other tasks do not let go of it does not come here either, so this is where it counts.
async fn housekeeping(shared: &Shared, progress: &Progress) {
    loop {
        task::sleep(HOUSEKEEPING).await;
        progress.count();
        let now = shared.borrow().clock.now();
        if shared.borrow_mut().housekeep(now) {
            // Everyone has left; what the last tasks still have to say goes out in this while.
            task::sleep(Duration::from_millis(50)).await;
            return;
        }
    }
}

impl Core {
    /// Listeners on this core.
    pub(super) fn listeners(&self) -> usize {
        self.mounts.values().map(|mount| mount.table.len()).sum()
    }

    /// Whether any mount has something for the pump.
    pub(super) fn any_active(&self) -> bool {
        self.mounts.values().any(|mount| mount.table.is_active())
    }

    /// Lists which mounts have how many rows due.
    pub(super) fn plan(&mut self, now: Moment, beat: Duration, due: &mut Vec<(MountId, usize)>) {
        for (&id, mount) in &mut self.mounts {
            if mount.table.is_active() {
                let rows = mount.table.due(now, beat);
                if rows > 0 {
                    due.push((id, rows));
                }
            }
        }
    }

    /// Visits up to `rows` rows of a mount; says how many it visited, none if the mount is gone.
    pub(super) fn pump(
        &mut self,
        id: MountId,
        rows: usize,
        now: Moment,
        beat: Duration,
    ) -> Option<usize> {
        let mount = self.mounts.get_mut(&id)?;
        let tally = mount.table.visit_rows(rows, now, beat, &mut self.departures);
        count(&mount.info, tally);
        if !self.departures.is_empty() {
            self.part(id, now);
        }
        Some(tally.visits)
    }

    /// Takes leave of those who left: counts, log, strings. Their sockets close as the rows drop.
    fn part(&mut self, id: MountId, now: Moment) {
        let mut departures = std::mem::take(&mut self.departures);
        for (row, reason) in departures.drain(..) {
            if let Some(mount) = self.mounts.get(&id) {
                mount.info.counters.listeners.leave();
            }
            self.counters.listeners.leave();
            self.counters.close(reason);
            self.forget_address(row.address);
            self.journal_listener(id, &row, reason, now);
            for label in [row.target, row.agent, row.referrer] {
                self.labels.release(label);
            }
        }
        self.departures = departures;
        if let Some(mount) = self.mounts.get_mut(&id)
            && mount.table.is_empty()
        {
            mount.idle_since = now;
            if mount.gone {
                self.mounts.remove(&id);
            }
        }
    }

    /// Takes a listener in. Its place was reserved by `play`.
    pub(super) fn join(&mut self, id: MountId, row: Row<Wire>, now: Moment) {
        self.follow(id);
        let Some(mount) = self.mounts.get_mut(&id) else { return };
        mount.info.counters.connections.add(1);
        let tally = mount.table.join(row, now);
        count(&mount.info, tally);
        self.pump_signal.raise();
    }

    /// A mount that is up; one that is gone and only waits for its last listeners is not.
    pub(super) fn mount_up_at(&self, id: MountId) -> Option<&Mount> {
        self.mounts.get(&id).filter(|mount| !mount.gone)
    }

    /// A number for a connection that will ask other threads something.
    pub(super) fn new_conn(&mut self) -> ConnId {
        let serial = self.next_conn;
        self.next_conn = self.next_conn.wrapping_add(1);
        ConnId { core: self.index, serial }
    }

    /// A number for a listener.
    pub(super) fn new_listener(&mut self) -> ListenerId {
        self.next_listener += 1;
        ListenerId::new(self.index, self.next_listener)
    }

    /// A mount is up or has a new source.
    pub(super) fn mount_up(&mut self, info: Arc<MountInfo>, now: Moment) {
        self.paths.insert(Arc::clone(&info.path), info.id);
        if let Some(mount) = self.mounts.get_mut(&info.id) {
            mount.info = info;
            return;
        }
        let limits = &self.config.limits;
        let rules = FeedRules::new(&info.settings, limits.lag_bytes, limits.stall_timeout);
        let table = Table::new(Feed::new(rules));
        let id = info.id;
        let mount = Mount { info, table, follows: false, idle_since: now, gone: false };
        self.mounts.insert(id, mount);
    }

    /// A mount is gone: it is found no more, and its listeners leave with the pump.
    pub(super) fn mount_down(&mut self, id: MountId, reason: CloseReason, now: Moment) {
        let Some(mount) = self.mounts.get_mut(&id) else { return };
        if self.paths.get(&mount.info.path) == Some(&id) {
            self.paths.remove(&mount.info.path);
        }
        mount.gone = true;
        mount.table.close_all(reason, now);
        if mount.table.is_empty() {
            self.mounts.remove(&id);
        }
        self.pump_signal.raise();
    }

    /// Deadlines, sweeps, subscriptions. Says whether the core has drained.
    fn housekeep(&mut self, now: Moment) -> bool {
        self.pending.expire(now);
        let elapsed = now.since(self.housekept);
        self.housekept = now;
        let mut active = false;
        for (&id, mount) in &mut self.mounts {
            if mount.table.is_empty() {
                let idle = now.since(mount.idle_since);
                if mount.follows && idle >= SUBSCRIPTION_LINGER {
                    mount.follows = false;
                    mount.table.feed.stop();
                    self.to_ingest.post(EdgeToIngest::Unsubscribe(id));
                }
            } else {
                mount.table.sweep(elapsed, now);
            }
            active |= mount.table.is_active();
        }
        if active {
            self.pump_signal.raise();
        }
        self.to_ingest.flush();
        self.to_control.flush();
        self.drained(now)
    }

    /// Moves the shutdown on; says whether nobody is left.
    fn drained(&mut self, now: Moment) -> bool {
        let Drain::Until(deadline) = self.drain else { return false };
        let listeners = self.listeners();
        // Sources go on as long as anybody on any core still listens.
        if now >= deadline || self.counters.listeners.now() == 0 {
            for mount in self.mounts.values_mut() {
                mount.table.close_all(CloseReason::Draining, now);
            }
            for source in self.sources.values() {
                source.stop(CloseReason::Draining);
            }
            self.pump_signal.raise();
        }
        if now >= deadline {
            // Sources that wait for a verdict: it may be a minute away, behind a back-off, and the
            // control thread does not stay for it.
            for (_, reply) in self.open.drain() {
                reply.fill(Err(CloseReason::Draining));
            }
        }
        // Whatever still hangs then, one that waits for a lane for instance, does not hold the
        // process: the control thread leaves after as long.
        let gave_up = now >= deadline + DRAIN_REST;
        if gave_up || (listeners == 0 && self.sources.is_empty()) {
            // Nobody takes what comes from now on; a full lane would keep the source core busy.
            for (&id, mount) in &mut self.mounts {
                if std::mem::take(&mut mount.follows) {
                    self.to_ingest.post(EdgeToIngest::Unsubscribe(id));
                }
            }
            self.to_ingest.flush();
            self.to_control.post(EdgeToControl::Drained);
            self.to_control.flush();
            return true;
        }
        false
    }
}

fn count(info: &MountInfo, tally: Tally) {
    if tally.bytes > 0 {
        info.counters.bytes_sent.add(tally.bytes);
    }
    if tally.slow > 0 {
        info.counters.slow.add(tally.slow);
    }
}
