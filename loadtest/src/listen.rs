//! Running a load: ramp up, hold, stop, and put the figures together. This is what `listen` and
//! `delay` have in common; it runs in the parent process, which itself holds no listener.

use crate::clock;
use crate::fleet::{self, Fleet};
use crate::plan::Plan;
use crate::report::{Limits, Percentiles, Point, Report, ServerCost};
use crate::watch::{self, Memory, Sample};
use crate::worker;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A load to run.
#[derive(Clone, Debug)]
pub struct Load {
    /// The command's name, for the report.
    pub command: &'static str,
    /// What all workers together do.
    pub plan: Plan,
    /// Worker processes; `None` starts as many as the descriptor limit asks for.
    pub workers: Option<u64>,
    /// How long to hold once every listener has audio or has failed.
    pub hold: Duration,
    /// How long the ramp may take before holding begins regardless.
    pub ramp_max: Duration,
    /// The server's process id, to report what it costs.
    pub server_pid: Option<u32>,
    /// What the load must keep to.
    pub limits: Limits,
}

/// Runs `load` to its end.
///
/// # Errors
/// If workers cannot be started or die, or the server's process is gone.
pub fn run(load: &Load) -> io::Result<Report> {
    let needed = fleet::workers_for(load.plan.listeners, worker::descriptor_limit());
    let plans = load.plan.split(load.workers.unwrap_or(needed).max(1));
    let server_before = load.server_pid.map(Sample::take).transpose()?;
    let tcp_before = watch::tcp_memory();

    let mut run =
        Run { fleet: Fleet::launch(&plans)?, began: Instant::now(), timeline: Vec::new() };
    run.until(Instant::now() + load.ramp_max, |run| run.fleet.progress().pending == 0)?;
    let ramp = run.began.elapsed();

    let server_held = load.server_pid.map(Sample::take).transpose()?;
    let workers_held = run.fleet.samples()?;
    let held_from = Instant::now();
    run.until(held_from + load.hold, |_| false)?;
    let held = held_from.elapsed();
    let server_after = load.server_pid.map(Sample::take).transpose()?;
    let generator_cores = watch::cores(&workers_held, &run.fleet.samples()?);
    let tcp_after = watch::tcp_memory();
    let outcome = run.fleet.stop()?;

    let server_cost = match (server_before, server_held, server_after) {
        (Some(before), Some(from), Some(to)) => {
            Some(server_cost(before.memory, &from, &to, outcome.at_end))
        }
        _ => None,
    };
    Ok(Report {
        command: load.command,
        ended: clock::wall().icecast_iso8601(),
        server: load.plan.authority.clone(),
        mounts: load.plan.mounts.len(),
        icy: load.plan.icy,
        workers: plans.len(),
        ramp_s: ramp.as_secs_f64(),
        held_s: held.as_secs_f64(),
        expected_rate: load.plan.bytes_per_s,
        percentiles: Percentiles::from(&outcome),
        broken: load.limits.broken_by(&outcome, load.plan.bytes_per_s),
        server_cost,
        generator_cores,
        tcp_memory: [tcp_before, tcp_after],
        timeline: run.timeline,
        outcome,
    })
}

/// A load under way.
struct Run {
    fleet: Fleet,
    began: Instant,
    timeline: Vec<Point>,
}

impl Run {
    /// Takes in what workers tell until `deadline`, or until `is_done` after one of their reports.
    fn until(&mut self, deadline: Instant, is_done: impl Fn(&Self) -> bool) -> io::Result<()> {
        while !is_done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.fleet.listen_for(left.min(worker::PROGRESS_EVERY))?;
            self.note();
        }
        Ok(())
    }

    /// Adds to the timeline once a second, and shows it on a terminal.
    fn note(&mut self) {
        let at_s = self.began.elapsed().as_secs_f64();
        if self.timeline.last().is_some_and(|last| at_s - last.at_s < 1.0) {
            return;
        }
        let progress = self.fleet.progress();
        let (flowing, ended) = (progress.flowing, progress.ended);
        self.timeline.push(Point { at_s, flowing, ended, bytes: progress.bytes });
        let mut terminal = io::stderr();
        if terminal.is_terminal() {
            // A progress line that cannot be shown is no reason to stop a load.
            let _ = write!(terminal, "\r{at_s:6.0} s  {flowing} with audio, {ended} ended ");
        }
    }
}

fn server_cost(before: Memory, from: &Sample, to: &Sample, listeners: u64) -> ServerCost {
    let grown = i128::from(to.memory.private_dirty) - i128::from(before.private_dirty);
    let bytes = grown / i128::from(listeners.max(1));
    ServerCost {
        cost: to.since(from),
        memory_before: before,
        bytes_per_listener: i64::try_from(bytes).unwrap_or(0),
    }
}
