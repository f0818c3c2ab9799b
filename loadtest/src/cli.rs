//! Running a command: from its arguments to the plan, and from the figures to where they are
//! wanted. Nothing here measures.

use crate::addresses::SourceNet;
use crate::args::{
    Cli, Command, CrowdArgs, DelayArgs, FloorArgs, LimitArgs, ListenArgs, PublishArgs, TargetArgs,
    WatchArgs,
};
use crate::floor::{self, Beats};
use crate::listen::{self, Load};
use crate::plan::{Behaviour, Plan};
use crate::players::PLAYERS;
use crate::publish::{self, Program};
use crate::report::{self, Limits, Short};
use crate::target::{self, Target, TargetError};
use crate::watch::{Cost, Sample};
use crate::worker;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a command could not run.
#[derive(Debug)]
pub enum CliError {
    /// The target cannot or may not be loaded.
    Target(TargetError),
    /// A mount cannot stand in a request.
    BadMount(String),
    /// The system refused something.
    Io(io::Error),
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::BadMount(mount) => {
                write!(f, "{mount:?} is no mount: it must begin with / and have no spaces")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CliError {}

impl From<TargetError> for CliError {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Cli {
    /// Runs the command. `true` is success: all stated limits were kept.
    ///
    /// # Errors
    /// If it could not run at all.
    pub fn run(self) -> Result<bool, CliError> {
        match self.command {
            Command::Listen(args) => load(args.crowd.json.clone(), args.into_load()?),
            Command::Delay(args) => load(args.crowd.json.clone(), args.into_load()?),
            Command::Publish(args) => args.run(),
            Command::Floor(args) => args.run(),
            Command::Watch(args) => args.run(),
            Command::Worker => Ok(worker::run().map(|()| true)?),
        }
    }
}

impl TargetArgs {
    fn resolve(&self) -> Result<(Target, SocketAddr), CliError> {
        let target = Target::parse(&self.target)?;
        let server = target.resolve(self.i_may_load_this_host.as_deref())?;
        Ok((target, server))
    }
}

impl CrowdArgs {
    /// The load with every listener steady, starting at once.
    fn load(&self, command: &'static str, listeners: u64) -> Result<Load, CliError> {
        let (target, server) = self.target.resolve()?;
        let named =
            if self.mounts.is_empty() { std::slice::from_ref(&target.path) } else { &self.mounts };
        let mounts: Vec<_> = named
            .iter()
            .flat_map(|mount| target::numbered_mounts(mount, self.mount_count))
            .collect();
        checked_mounts(&mounts)?;
        let mut sources = self.sources_from.clone();
        if sources.is_empty() && server.is_ipv4() && server.ip().is_loopback() {
            sources.push(SourceNet::LOOPBACK);
        }
        let plan = Plan {
            server,
            authority: target.authority(),
            mounts,
            user_agents: self.user_agents(),
            indexes: 0..listeners,
            listeners,
            rate: 0.0,
            connecting_max: CONNECTING_MAX,
            icy: self.icy,
            sources,
            bytes_per_s: bytes_per_s(self.bitrate),
            behaviour: Behaviour::default(),
            checked: 0,
            copy: false,
            settle: self.settle,
            tick: Duration::ZERO,
            patience: self.patience,
        };
        let (hold, ramp_max) = (self.duration, self.ramp_max);
        let LimitArgs { max_gap, max_connect, min_rate, max_delay, no_drop, no_loss } = self.limits;
        let limits = Limits { max_gap, max_connect, min_rate, max_delay, no_drop, no_loss };
        let (workers, server_pid) = (self.workers, self.server_pid);
        Ok(Load { command, plan, workers, hold, ramp_max, server_pid, limits })
    }

    /// A control character would end the header it stands in.
    fn user_agents(&self) -> Vec<String> {
        if self.user_agent_mix {
            return PLAYERS.map(str::to_owned).to_vec();
        }
        let clean = |name: &String| name.replace(|letter: char| letter.is_control(), "");
        self.user_agent.iter().map(clean).collect()
    }
}

impl ListenArgs {
    fn into_load(self) -> Result<Load, CliError> {
        let mut load = self.crowd.load("listen", self.listeners)?;
        load.plan.rate = self.rate.max(0.0);
        load.plan.connecting_max = self.connecting_max.max(1);
        load.plan.checked = self.verify;
        load.plan.copy = self.copy;
        load.plan.tick = self.tick;
        load.plan.behaviour = Behaviour {
            slow_fraction: self.slow_fraction,
            slow_rate: self.slow_rate,
            stop_fraction: self.stop_fraction,
            ..Behaviour::default()
        };
        Ok(load)
    }
}

impl DelayArgs {
    fn into_load(self) -> Result<Load, CliError> {
        let mut load = self.crowd.load("delay", self.listeners)?;
        load.plan.checked = self.listeners;
        Ok(load)
    }
}

impl PublishArgs {
    fn run(self) -> Result<bool, CliError> {
        let (target, server) = self.target.resolve()?;
        let mount = self.mount.unwrap_or_else(|| target.path.clone());
        let mounts = target::numbered_mounts(&mount, self.count);
        checked_mounts(&mounts)?;
        worker::raise_descriptor_limit();
        let published = publish::run(&Program {
            server,
            authority: target.authority(),
            mounts,
            user: self.user,
            password: self.password,
            cbr: self.bitrate,
            marks: self.frame_marks,
            pace: self.pace,
            duration: self.duration,
        });
        let mut table = String::new();
        let lost: u64 = published.failures.values().sum();
        report::row(&mut table, "sources", &format!("{}, {lost} failed", published.sources));
        for (kind, count) in &published.failures {
            report::row(&mut table, &format!("  {kind}"), &count.to_string());
        }
        let sent = format!("{} frames, {} bytes", published.frames, published.bytes);
        report::row(&mut table, "sent", &sent);
        report::row(&mut table, "woke late", &report::in_ms(Short::from(&published.late_us)));
        show(self.json.as_deref(), &published, &table)?;
        Ok(lost == 0)
    }
}

impl FloorArgs {
    fn run(self) -> Result<bool, CliError> {
        let Self { listeners, beat, slots, duration, tick, .. } = self;
        let beats = Beats { bytes_per_s: bytes_per_s(self.bitrate), beat, slots, duration };
        let run = floor::run(listeners, beats, tick)?;
        let (figures, heard) = (&run.floor, &run.listeners);
        let mut table = String::new();
        let cost = format!("{:.3} cores, {:.2} us per send", figures.cores, figures.us_per_send);
        report::row(&mut table, "floor", &cost);
        let sends = format!(
            "{} of {} bytes, {} short, {} broken",
            figures.sends, figures.send_bytes, figures.short, figures.broken
        );
        report::row(&mut table, "sends", &sends);
        report::row(&mut table, "slots late", &report::in_ms(Short::from(&figures.late_us)));
        let listeners = format!("{} of {} at the end", heard.at_end, heard.listeners);
        report::row(&mut table, "listeners", &listeners);
        report::row(&mut table, "longest gap", &report::in_ms(Short::from(&heard.gap_us)));
        report::row(&mut table, "generator", &format!("{:.3} cores", run.generator_cores));
        show(self.json.as_deref(), &run, &table)?;
        Ok(heard.failed() == 0)
    }
}

impl WatchArgs {
    fn run(self) -> Result<bool, CliError> {
        let before = Sample::take(self.pid)?;
        std::thread::sleep(self.duration);
        let cost: Cost = Sample::take(self.pid)?.since(&before);
        let mut table = String::new();
        report::row(&mut table, "process", &format!("{:.3} cores", cost.cores));
        for thread in &cost.threads {
            let name = format!("  {} {}", thread.tid, thread.name);
            report::row(&mut table, &name, &format!("{:.3} cores", thread.cores));
        }
        let bytes = report::mebibytes;
        let memory = cost.memory;
        let line = format!(
            "{} resident, {} proportional, {} private and dirty",
            bytes(memory.rss),
            bytes(memory.pss),
            bytes(memory.private_dirty)
        );
        report::row(&mut table, "memory", &line);
        show(self.json.as_deref(), &cost, &table)?;
        Ok(true)
    }
}

fn load(json: Option<PathBuf>, load: Load) -> Result<bool, CliError> {
    let report = listen::run(&load)?;
    show(json.as_deref(), &report, &report.table())?;
    Ok(report.broken.is_empty())
}

/// Writes `result` to where JSON is wanted and `table` to standard output; if both would meet
/// there, the table gives way to standard error.
fn show(json: Option<&Path>, result: &impl Serialize, table: &str) -> io::Result<()> {
    let Some(path) = json else { return io::stdout().write_all(table.as_bytes()) };
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    if path == Path::new("-") {
        io::stdout().write_all(text.as_bytes())?;
        io::stderr().write_all(table.as_bytes())
    } else {
        std::fs::write(path, text)?;
        io::stdout().write_all(table.as_bytes())
    }
}

fn checked_mounts(mounts: &[String]) -> Result<(), CliError> {
    match mounts.iter().find(|mount| !target::is_request_path(mount)) {
        Some(bad) => Err(CliError::BadMount(bad.clone())),
        None => Ok(()),
    }
}

fn bytes_per_s(kbit: u32) -> u64 {
    u64::from(kbit) * 1_000 / 8
}

const CONNECTING_MAX: usize = 1_024;
