//! How bytes leave: every way to hand a beat's bytes to many sockets that was thought of, each
//! against the plain non-blocking `send(2)` of `floe::rt::wire`. Guards decision 0010, which says
//! what pays and what does not: read the ratios, never a figure alone.
//!
//! ```sh
//! cargo bench --bench sends -- --listeners 16000 --seconds 5 --rounds 4 [--only NAME,...]
//! ```
//!
//! A variant and plain send run at the same time, slot by slot in turn, each on half of the
//! sockets; then they exchange halves. So whatever else the machine does falls on both, and a ratio
//! holds where the figures drift. `send-again` is plain send in a variant's place: its spread is
//! the noise that other ratios must leave to mean anything.
//!
//! What is counted is this process's CPU during the sends. Work that the kernel does later on its
//! own, as the timers of congestion controls that pace, is nobody's and not in it.
//!
//! The listeners are a child process, this program again. Both are pinned, to the first and the
//! last CPU. Without cargo's `--bench`, as `tests/run bench` starts it, each variant runs for a
//! moment with few listeners.

mod crowd;
mod duel;
mod kernel;
mod reader;
mod ring;
mod series;
mod variants;
mod ways;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};
use duel::Stage;
use series::Series;
use variants::{VARIANTS, Variant};

#[derive(Debug, Parser)]
struct Args {
    /// Sockets that are sent to, half of them by plain send
    #[arg(long)]
    listeners: Option<usize>,
    /// Seconds of one run, rounded up to whole beats
    #[arg(long)]
    seconds: Option<f64>,
    /// Times that each variant runs on either half
    #[arg(long)]
    rounds: Option<usize>,
    /// What a listener hears, in kbit/s; the longest beat of it must fit in a segment
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=256))]
    bitrate: u32,
    /// Milliseconds that readers sleep between two looks; 0 wakes them for each arrival
    #[arg(long, default_value_t = 0)]
    tick_ms: u64,
    /// Names of variants to run; all, if none is given
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Given by cargo bench: measure, instead of trying each variant once
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Read for the listeners (started by the bench)
    #[command(hide = true)]
    Reader { server: SocketAddr, count: usize, tick_ms: u64, cpu: usize },
}

/// What every run has in common.
#[derive(Debug)]
struct Load {
    /// On either side.
    listeners: usize,
    /// Of a beat of 100 per cent.
    beat: Duration,
    /// What each is sent in a second.
    bytes_per_s: u32,
    span: Duration,
    rounds: usize,
    tick_ms: u64,
}

impl Load {
    fn of(args: &Args) -> Self {
        let (listeners, beat_ms, seconds, rounds) =
            if args.bench { (16_000, 1_000, 5.0, 4) } else { (200, 40, 0.04, 1) };
        Self {
            listeners: args.listeners.unwrap_or(listeners).div_ceil(2).max(1),
            beat: Duration::from_millis(beat_ms),
            bytes_per_s: args.bitrate * 125,
            span: Duration::try_from_secs_f64(args.seconds.unwrap_or(seconds)).unwrap_or_default(),
            rounds: args.rounds.unwrap_or(rounds).max(1),
            tick_ms: args.tick_ms,
        }
    }
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    floe::rt::fds::raise_open_files()?;
    if let Some(Role::Reader { server, count, tick_ms, cpu }) = args.role {
        return reader::run(server, count, Duration::from_millis(tick_ms), cpu);
    }
    let load = Load::of(&args);
    let chosen = choose(&args.only)?;
    let mut out = io::stdout();
    writeln!(
        out,
        "2 times {} listeners, {} bytes a second each; runs of {:?}, {} rounds; {}; {}",
        load.listeners,
        load.bytes_per_s,
        load.span,
        load.rounds,
        match load.tick_ms {
            0 => "readers wake for each arrival".to_owned(),
            tick_ms => format!("readers look every {tick_ms} ms"),
        },
        kernel::congestion_control()?,
    )?;
    let mut stage = Stage::new(load)?;
    let series = compare(&mut stage, &chosen)?;
    stage.clear()?;
    series::print(&mut out, &series)
}

/// The variants of these names, in the table's order.
fn choose(names: &[String]) -> io::Result<Vec<&'static Variant>> {
    for name in names {
        if !VARIANTS.iter().any(|variant| variant.name == name) {
            let all: Vec<_> = VARIANTS.iter().map(|variant| variant.name).collect();
            let what = format!("no variant is called {name}; there are: {}", all.join(", "));
            return Err(io::Error::other(what));
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    Ok(VARIANTS.iter().filter(|variant| wanted(variant.name)).collect())
}

/// Runs each variant against plain send, round after round, so that all see the same weather.
fn compare(stage: &mut Stage, chosen: &[&'static Variant]) -> io::Result<Vec<Series>> {
    let mut all: Vec<Series> = chosen.iter().map(|variant| Series::new(variant)).collect();
    for round in 0..stage.load.rounds {
        writeln!(io::stderr(), "round {} of {}", round + 1, stage.load.rounds)?;
        for series in all.iter_mut().filter(|series| series.absent.is_none()) {
            let setting = series.variant.setting;
            let halves = stage.run(setting, 0).and_then(|one| Ok([one, stage.run(setting, 1)?]));
            match halves {
                Ok(halves) => series.add(&halves),
                Err(error) if is_absent(&error) => series.absent = Some(error),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(all)
}

/// Whether this kernel, its settings or the hardware merely lack something.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || matches!(
            error.raw_os_error(),
            Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::ENOENT | libc::EOPNOTSUPP)
        )
}
