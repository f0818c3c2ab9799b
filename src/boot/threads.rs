//! Makes every thread with what it needs, runs them, and waits for their end.
//!
//! Executors and the control thread's runtime are made first, then each core takes a descriptor
//! table of its own, then they run.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use crate::base::limits::{ADDRESS_CELLS, END_TIME};
use crate::base::{CloseReason, CoreIndex};
use crate::config::Config;
use crate::control::notify::Notify;
use crate::control::{self, secret};
use crate::domain::intro::Shelf;
use crate::domain::progress::Progress;
use crate::domain::stats::ServerCounters;
use crate::ring::{Census, Rates};
use crate::rt::clock::Clock;
use crate::rt::cores::{self, CorePlan};
use crate::rt::net::{Bound, BoundNumber};
use crate::rt::task::Queues;
use crate::{edge, ingest};

use super::Failure;
use super::lanes::{ControlEnds, EdgeEnds, IngestEnds, Lanes};
use super::logging::Logging;

/// The name of the source core's thread.
const SOURCE_CORE: &str = "floe-source";

/// Cells when no limit by address is configured: the table is never used.
const ADDRESS_CELLS_UNUSED: usize = 1;

type Body = Box<dyn FnOnce(Queues) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What the threads are made from.
pub(super) struct Plan<'a> {
    pub(super) config: Arc<Config>,
    /// The configuration's intros and outros.
    pub(super) shelf: Arc<Shelf>,
    pub(super) clock: Clock,
    /// Most listeners the server takes.
    pub(super) listeners_max: u32,
    /// The CPU of each listener core.
    pub(super) cpus: Vec<usize>,
    /// Listening sockets by address, one for each core.
    pub(super) sockets: Vec<Vec<Bound>>,
    pub(super) logging: &'a Logging,
    /// The way to the service manager.
    pub(super) notify: Notify,
}

/// Runs the server until it has drained.
pub(super) fn run(plan: Plan<'_>) -> Result<(), Failure> {
    let Lanes { edges, ingest, control } = Lanes::lay(plan.cpus.len());
    let runtime = control::Runtime::create()?;
    let counters = Arc::new(ServerCounters::default());
    let sockets = by_core(plan.sockets, plan.cpus.len());
    let all: Vec<BoundNumber> = sockets.iter().flatten().copied().collect();
    let source_cpu = source_cpu(&plan.cpus);
    let shared = Shared {
        counters: Arc::clone(&counters),
        census: Arc::new(Census::new(
            cells(plan.config.limits.listeners_per_address),
            secret::random_seed()?,
        )),
        rates: Arc::new(Rates::new(cells(
            plan.config.limits.new_connections_per_second_per_address,
        ))),
        config: plan.config,
        shelf: plan.shelf,
        clock: plan.clock,
        listeners_max: plan.listeners_max,
    };
    let mut bodies = Vec::with_capacity(plan.cpus.len() + 1);
    let mut progress: Vec<(String, Progress)> = Vec::with_capacity(plan.cpus.len() + 1);
    for (index, ends) in edges.into_iter().enumerate() {
        let parts = shared.edge_parts(index, ends, &plan.cpus, &sockets, plan.logging);
        let name = format!("floe-core-{index}");
        progress.push((name.clone(), parts.progress.clone()));
        let body: Body = Box::new(move |queues| Box::pin(edge::run(parts, queues)));
        bodies.push((shared.core_plan(name, plan.cpus[index]), body));
    }
    let parts = shared.ingest_parts(ingest, all.clone());
    progress.push((SOURCE_CORE.to_owned(), parts.progress.clone()));
    let body: Body = Box::new(move |_| Box::pin(ingest::run(parts)));
    bodies.push((shared.core_plan(SOURCE_CORE.to_owned(), source_cpu), body));
    let cores = cores::prepare(bodies)?.run()?;
    // The cores have copies of these now; the process's own are of no more use.
    all.into_iter().for_each(BoundNumber::close);
    if shared.config.server.pin && has_spare_cpu() {
        cores::pin_current(source_cpu);
    }
    let last = Arc::clone(&counters);
    let ControlEnds { bell, from_edges, to_edges, from_ingest, to_ingest } = control;
    runtime.run(control::Parts {
        clock: shared.clock,
        config: shared.config,
        counters,
        started: Clock::wall(),
        bell,
        from_edges,
        to_edges,
        from_ingest,
        to_ingest,
        progress,
        notify: plan.notify,
    });
    if !cores.join(END_TIME) {
        tracing::warn!("a core did not end in time; it ends with the process");
    }
    tell(&last);
    Ok(())
}

/// What the server counted in its life, for the log's last lines.
fn tell(counters: &ServerCounters) {
    tracing::info!(
        connections = counters.accepted.now(),
        listeners_peak = counters.listeners.peak(),
        accept_pauses = counters.accept_pauses.now(),
        access_lines_dropped = counters.log_dropped.now(),
        "served"
    );
    for &reason in CloseReason::ALL {
        let count = counters.closed(reason);
        if count > 0 {
            tracing::info!(reason = reason.label(), count, "sessions ended");
        }
    }
}

/// Whether a CPU is left to the source core and the control thread.
fn has_spare_cpu() -> bool {
    cores::cpus().len() >= SPARE_CPU_FROM
}

/// With so many CPUs the first is left to the source core and the control thread.
pub(super) const SPARE_CPU_FROM: usize = 4;

/// The CPU of the source core: the spare one, or the first listener core's.
fn source_cpu(listener_cpus: &[usize]) -> usize {
    let first = cores::cpus().first().copied().filter(|_| has_spare_cpu());
    first.or(listener_cpus.first().copied()).unwrap_or(0)
}

fn cells(limit: u32) -> usize {
    if limit > 0 { ADDRESS_CELLS } else { ADDRESS_CELLS_UNUSED }
}

/// What every core is given alike.
struct Shared {
    config: Arc<Config>,
    shelf: Arc<Shelf>,
    clock: Clock,
    counters: Arc<ServerCounters>,
    census: Arc<Census>,
    rates: Arc<Rates>,
    listeners_max: u32,
}

impl Shared {
    fn core_plan(&self, name: String, cpu: usize) -> CorePlan {
        CorePlan { name, cpu: self.config.server.pin.then_some(cpu) }
    }

    fn ingest_parts(&self, ends: IngestEnds, sockets: Vec<BoundNumber>) -> ingest::Parts {
        let IngestEnds { bell, from_edges, to_edges, from_control, to_control } = ends;
        ingest::Parts {
            clock: self.clock,
            config: Arc::clone(&self.config),
            shelf: Arc::clone(&self.shelf),
            counters: Arc::clone(&self.counters),
            bell,
            from_edges,
            to_edges,
            from_control,
            to_control,
            sockets,
            progress: Progress::default(),
        }
    }

    fn edge_parts(
        &self,
        index: usize,
        ends: EdgeEnds,
        cpus: &[usize],
        sockets: &[Vec<BoundNumber>],
        logging: &Logging,
    ) -> edge::Parts {
        let EdgeEnds { bell, from_ingest, to_ingest, from_control, to_control } = ends;
        let mut neighbours: HashMap<usize, usize> = HashMap::new();
        for &cpu in cpus {
            *neighbours.entry(cpu).or_default() += 1;
        }
        edge::Parts {
            index: CoreIndex(u16::try_from(index).unwrap_or(u16::MAX)),
            clock: self.clock,
            config: Arc::clone(&self.config),
            counters: Arc::clone(&self.counters),
            census: Arc::clone(&self.census),
            rates: Arc::clone(&self.rates),
            listeners_max: self.listeners_max,
            cores_on_cpu: neighbours.get(&cpus[index]).copied().unwrap_or(1),
            own_sockets: sockets[index].clone(),
            other_sockets: others(sockets, index),
            bell,
            from_ingest,
            to_ingest,
            from_control,
            to_control,
            access_log: logging.access.clone(),
            progress: Progress::default(),
        }
    }
}

/// Sockets by core instead of by address. Of more sockets than cores a core has several.
fn by_core(sockets: Vec<Vec<Bound>>, cores: usize) -> Vec<Vec<BoundNumber>> {
    let mut by_core = vec![Vec::with_capacity(sockets.len()); cores];
    for of_address in sockets {
        for (core, bound) in of_address.into_iter().enumerate() {
            by_core[core % cores].push(bound.into_number());
        }
    }
    by_core
}

/// The sockets of all cores but one.
fn others(by_core: &[Vec<BoundNumber>], own: usize) -> Vec<BoundNumber> {
    let others = by_core.iter().enumerate().filter(|&(core, _)| core != own);
    others.flat_map(|(_, sockets)| sockets.iter().copied()).collect()
}
