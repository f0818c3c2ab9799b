//! Running a command: from its arguments to the plan, and from the figures to where they are
//! wanted. Nothing here measures.

use crate::addresses::SourceNet;
use crate::args::{
    BehaviourArgs, Cli, Command, CrowdArgs, DelayArgs, FloorArgs, LimitArgs, ListenArgs,
    PublishArgs, TargetArgs, WatchArgs,
};
use crate::floor::{self, Beats};
use crate::frames::{Cbr, Codec};
use crate::guard;
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
    /// A scenario cannot be read or run: its file, and what is wrong.
    Scenario(PathBuf, String),
    /// A mount cannot stand in a request.
    BadMount(String),
    /// The codec has no such bitrate.
    Bitrate(Codec),
    /// The shares of misbehaving listeners add up to this, which is more than all.
    Shares(f64),
    /// The system refused something.
    Io(io::Error),
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Scenario(path, what) => write!(f, "{}: {what}", path.display()),
            Self::BadMount(mount) => {
                write!(f, "{mount:?} is no mount: it must begin with / and have no spaces")
            }
            Self::Bitrate(codec) => write!(f, "{codec:?} has {:?} kbit/s", codec.bitrates()),
            Self::Shares(sum) => {
                write!(f, "the shares add up to {sum:.2} of the listeners: at most 1 can misbehave")
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
            Command::Run(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Guard(args) => {
                Ok(guard::run(&args.folder, &args.program, &args.arguments).map(|()| true)?)
            }
            Command::Listen(args) => load(args.crowd.json.clone(), args.into_load(LISTEN)?),
            Command::Churn(args) => load(args.crowd.json.clone(), args.into_load(CHURN)?),
            Command::Storm(args) => load(args.crowd.json.clone(), args.into_load(STORM)?),
            Command::Slow(args) => load(args.crowd.json.clone(), args.into_load(SLOW)?),
            Command::Verify(args) => load(args.crowd.json.clone(), args.into_load(VERIFY)?),
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
        let LimitArgs { max_gap, max_connect, min_rate, max_delay, max_served, .. } = self.limits;
        let LimitArgs { no_drop, no_loss, .. } = self.limits;
        let limits =
            Limits { max_gap, max_connect, min_rate, max_delay, max_served, no_drop, no_loss };
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

/// What a command on the options of `listen` does if those options do not say otherwise.
#[derive(Clone, Copy, Debug)]
struct Preset {
    name: &'static str,
    slow_fraction: f64,
    stop_fraction: f64,
    half_open_fraction: f64,
    slow_head_fraction: f64,
    /// Part of all listeners that leaves every second.
    leaves_per_s: f64,
    storm_at: Option<Duration>,
    /// Whether every byte of every listener is checked, with metadata, and must be right.
    verifies: bool,
}

/// Everyone listens, nobody leaves.
const LISTEN: Preset = Preset {
    name: "listen",
    slow_fraction: 0.0,
    stop_fraction: 0.0,
    half_open_fraction: 0.0,
    slow_head_fraction: 0.0,
    leaves_per_s: 0.0,
    storm_at: None,
    verifies: false,
};
/// A listener stays for 50 s: an audience that zaps.
const CHURN: Preset = Preset { name: "churn", leaves_per_s: 0.02, ..LISTEN };
/// Late enough that the ramp is over and rates have settled, well within the default duration.
const STORM: Preset = Preset { name: "storm", storm_at: Some(Duration::from_secs(15)), ..LISTEN };
/// A quarter misbehaves, in every way; three quarters show whether they suffer for it.
const SLOW: Preset = Preset {
    name: "slow",
    slow_fraction: 0.1,
    stop_fraction: 0.05,
    half_open_fraction: 0.05,
    slow_head_fraction: 0.05,
    ..LISTEN
};
const VERIFY: Preset = Preset { name: "verify", verifies: true, ..LISTEN };

impl ListenArgs {
    fn into_load(self, preset: Preset) -> Result<Load, CliError> {
        let mut load = self.crowd.load(preset.name, self.listeners)?;
        load.plan.rate = self.rate;
        load.plan.connecting_max = self.connecting_max.max(1);
        load.plan.checked = self.verify.unwrap_or(if preset.verifies { self.listeners } else { 0 });
        load.plan.copy = self.copy;
        load.plan.tick = self.tick;
        load.plan.icy |= preset.verifies;
        load.limits.no_loss |= preset.verifies;
        load.plan.behaviour = self.behaviour.of(preset, self.listeners);
        let misbehaving = load.plan.behaviour.misbehaving();
        if misbehaving > 1.0 { Err(CliError::Shares(misbehaving)) } else { Ok(load) }
    }
}

impl BehaviourArgs {
    fn of(self, preset: Preset, listeners: u64) -> Behaviour {
        let leaving = preset.leaves_per_s * listeners as f64;
        Behaviour {
            slow_fraction: self.slow_fraction.unwrap_or(preset.slow_fraction),
            slow_rate: self.slow_rate.unwrap_or(Behaviour::default().slow_rate),
            stop_fraction: self.stop_fraction.unwrap_or(preset.stop_fraction),
            half_open_fraction: self.half_open_fraction.unwrap_or(preset.half_open_fraction),
            slow_head_fraction: self.slow_head_fraction.unwrap_or(preset.slow_head_fraction),
            leaves_per_s: self.leaves_per_s.unwrap_or(leaving),
            zaps: self.zap,
            storm_at: self.storm_at.or(preset.storm_at),
        }
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
        let Some(cbr) = Cbr::new(self.codec, self.bitrate) else {
            return Err(CliError::Bitrate(self.codec));
        };
        worker::raise_descriptor_limit();
        let published = publish::run(&Program {
            server,
            authority: target.authority(),
            mounts,
            user: self.user,
            password: self.password,
            cbr,
            marks: self.frame_marks,
            pace: self.pace,
            titles_every: self.titles_every,
            duration: self.duration,
        })
        .map_err(io::Error::from)?;
        let mut table = String::new();
        let lost: u64 = published.failures.values().sum();
        report::row(&mut table, "sources", &format!("{}, {lost} failed", published.sources));
        for (kind, count) in &published.failures {
            report::row(&mut table, &format!("  {kind}"), &count.to_string());
        }
        let sent = format!("{} frames, {} bytes", published.frames, published.bytes);
        report::row(&mut table, "sent", &sent);
        if published.titles > 0 || !published.title_failures.is_empty() {
            report::row(&mut table, "titles", &published.titles.to_string());
        }
        for (kind, count) in &published.title_failures {
            report::row(&mut table, &format!("  {kind}"), &count.to_string());
        }
        report::row(&mut table, "woke late", &report::in_ms(Short::from(&published.late_us)));
        show(self.json.as_deref(), &published, &table)?;
        Ok(lost == 0 && published.title_failures.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn run(line: &str) -> Result<bool, CliError> {
        Cli::try_parse_from(line.split_whitespace()).unwrap().run()
    }

    fn behaviour(options: &str, preset: Preset) -> Plan {
        let line = format!("x listen --target http://127.0.0.1:1/a --listeners 1000 {options}");
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Listen(args) = cli.command else { panic!("{line}") };
        args.into_load(preset).unwrap().plan
    }

    #[test]
    fn every_command_that_loads_a_host_refuses_a_public_one() {
        for command in
            ["listen", "churn", "storm", "slow", "verify", "delay", "publish --password x"]
        {
            for host in ["192.0.2.7", "[2001:db8::1]", "[::ffff:192.0.2.7]"] {
                let refused = run(&format!("x {command} --target http://{host}:8000/live"));
                assert!(
                    matches!(refused, Err(CliError::Target(TargetError::Public(_)))),
                    "{command} at {host}: {refused:?}"
                );
            }
        }
    }

    #[test]
    fn a_front_has_its_own_defaults_and_options_win_over_them() {
        assert_eq!(behaviour("", LISTEN).behaviour, Behaviour::default());
        assert_eq!(behaviour("", CHURN).behaviour.leaves_per_s, 20.0);
        assert_eq!(behaviour("--leaves-per-s 3", CHURN).behaviour.leaves_per_s, 3.0);
        assert_eq!(behaviour("", STORM).behaviour.storm_at, Some(Duration::from_secs(15)));
        let slow = behaviour("--slow-fraction 0", SLOW).behaviour;
        assert_eq!((slow.slow_fraction, slow.half_open_fraction), (0.0, 0.05));
        let verified = behaviour("", VERIFY);
        assert_eq!((verified.checked, verified.icy), (1_000, true));
        assert_eq!(behaviour("--verify 7", VERIFY).checked, 7);
        assert_eq!(behaviour("--user-agent-mix", LISTEN).user_agents.len(), PLAYERS.len());
    }

    #[test]
    fn more_misbehaving_listeners_than_listeners_are_refused() {
        let line = "x slow --target http://127.0.0.1:1/a --slow-fraction 0.9";
        assert!(matches!(run(line), Err(CliError::Shares(_))));
    }
}
