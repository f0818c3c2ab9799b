//! The command line as it is written: every option with its default and its reading. Running the
//! commands is `cli`'s.

use crate::addresses::SourceNet;
use crate::frames::Codec;
use crate::publish::{PACES, TITLES_EVERY_MIN};
use crate::scenario::Kind;
use crate::server::Choice;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A load test for Icecast-compatible servers that anyone can repeat.
#[derive(Debug, Parser)]
#[command(name = "floe-loadtest", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario: server, sources and listeners as its file says, with limits and a report
    Run(RunArgs),
    /// Run one scenario against two servers in turn, and print what differs
    Compare(CompareArgs),
    /// Hold many listeners, and measure what each of them gets
    Listen(ListenArgs),
    /// Hold listeners of which some leave every second and come back, as zapping audiences do
    Churn(ListenArgs),
    /// Hold listeners that all close at one moment and connect again, as after a network outage
    Storm(ListenArgs),
    /// Hold listeners of which a part reads too slowly, stops reading or never asks
    Slow(ListenArgs),
    /// Check every byte that every listener gets, with metadata; anything wrong is exit code 1
    Verify(ListenArgs),
    /// Measure delay, loss and order from `publish --frame-marks` to listeners on the same machine
    Delay(DelayArgs),
    /// Publish generated MP3 or AAC in real time
    Publish(PublishArgs),
    /// Measure the bare send loop: what no server on this machine gets below
    Floor(FloorArgs),
    /// Watch what a process costs
    Watch(WatchArgs),
    /// Hold a part of the listeners (started by the other commands)
    #[command(hide = true)]
    Worker,
    /// Hold a server that another command started, and end it with that
    #[command(hide = true)]
    Guard(GuardArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The scenario, e.g. loadtest/scenarios/smoke.toml
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The scenario, e.g. loadtest/scenarios/icecast.toml
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// Two of floe, floe=PATH, icecast2, icecast2=PATH, separated by a comma
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "floe,icecast2",
        value_name = "SERVERS",
        value_parser = choice
    )]
    pub(crate) servers: Vec<Choice>,
    /// How often each server has its turn
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Write the results as JSON to this file; below loadtest-results/ if missing
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report to this file; below loadtest-results/ if missing
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// Its folder, which is removed at the end
    pub(crate) folder: PathBuf,
    /// Its program
    pub(crate) program: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The server, with a mount where one is needed, e.g. http://127.0.0.1:8000/live
    #[arg(long, value_name = "URL")]
    pub(crate) target: String,
    /// Allow a public host; it must be the target's host, letter by letter
    #[arg(long, value_name = "HOST")]
    pub(crate) i_may_load_this_host: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CrowdArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Mounts to listen to in turn instead of the target's, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "MOUNTS")]
    pub(crate) mounts: Vec<String>,
    /// Number the one mount from 0 to COUNT-1, at its end or in place of {n}
    #[arg(
        long,
        default_value_t = 1,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) mount_count: u32,
    /// How long to hold the load once every listener has audio
    #[arg(long, default_value = "30s", value_parser = span)]
    pub(crate) duration: Duration,
    /// How long the ramp may take before holding begins regardless
    #[arg(long, default_value = "120s", value_parser = span)]
    pub(crate) ramp_max: Duration,
    /// How long a listener waits for its first audio
    #[arg(long, default_value = "60s", value_parser = span)]
    pub(crate) patience: Duration,
    /// How long after its first audio a listener's rate and delay begin to count
    #[arg(long, default_value = "5s", value_parser = span)]
    pub(crate) settle: Duration,
    /// Ask for ICY metadata
    #[arg(long)]
    pub(crate) icy: bool,
    /// Bitrate of the mounts in kbit/s, for the expected rate
    #[arg(long, default_value_t = 128)]
    pub(crate) bitrate: u32,
    /// The User-Agent header, `floe-loadtest/VERSION` if missing; several are taken in turn
    #[arg(long, value_name = "NAME")]
    pub(crate) user_agent: Vec<String>,
    /// Use the User-Agent headers of eight real players in turn
    #[arg(long, conflicts_with = "user_agent")]
    pub(crate) user_agent_mix: bool,
    /// Connect from these IPv4 addresses and ranges, separated by commas; 127.0.0.0/8 if missing
    /// and the server is on loopback
    #[arg(long, value_delimiter = ',', value_name = "NETS")]
    pub(crate) sources_from: Vec<SourceNet>,
    /// Worker processes; as many as the descriptor limit asks for if missing
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub(crate) workers: Option<u64>,
    /// Report what this process costs: the server's id
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    /// Write the result as JSON to this file, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (broken ones make the exit code 1)")]
pub(crate) struct LimitArgs {
    /// Longest time any steady listener may be without bytes
    #[arg(long, value_parser = span)]
    pub(crate) max_gap: Option<Duration>,
    /// Longest time from the start of any connection to its first audio
    #[arg(long, value_parser = span)]
    pub(crate) max_connect: Option<Duration>,
    /// Least part of the bitrate that every steady listener must get
    #[arg(long, value_name = "PART")]
    pub(crate) min_rate: Option<f64>,
    /// Longest delay of 99 % of the checked frames
    #[arg(long, value_parser = span)]
    pub(crate) max_delay: Option<Duration>,
    /// No steady listener may fail or be dropped
    #[arg(long)]
    pub(crate) no_drop: bool,
    /// Longest time from the storm until any listener has audio again; all must come back
    #[arg(long, value_parser = span)]
    pub(crate) max_served: Option<Duration>,
    /// No checked byte may be lost, changed or out of order, and no metadata off its grid
    #[arg(long)]
    pub(crate) no_loss: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) crowd: CrowdArgs,
    /// Listeners to hold
    #[arg(
        long,
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000)
    )]
    pub(crate) listeners: u64,
    /// Connections to start per second; 0 starts all at once
    #[arg(long, default_value_t = 0.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// TCP handshakes under way at once in each worker
    #[arg(long, default_value_t = 1_024)]
    pub(crate) connecting_max: usize,
    /// Check every byte of COUNT listeners (100 if it is left out; all of them by `verify`); the
    /// source must be `publish --frame-marks`
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "100")]
    pub(crate) verify: Option<u64>,
    /// Copy bytes to the process as players do, instead of dropping them in the kernel
    #[arg(long)]
    pub(crate) copy: bool,
    /// How often arrivals are looked at: the accuracy of gaps, and the generator's own cost
    ///
    /// The default is short for the server's sake: what waits in receive queues grows cold in the
    /// CPU's caches, and on one machine it is the server's next send that pays for it. At 100,000
    /// listeners the server took 1.05 of a core with a tick of 10 ms, and 0.84 with 1 ms.
    #[arg(long, default_value = "1ms", value_parser = span)]
    pub(crate) tick: Duration,
    #[command(flatten)]
    pub(crate) behaviour: BehaviourArgs,
}

/// What listeners do beside listening. An option that is missing has the default of the command:
/// nothing for `listen` and `verify`, what its name says for `churn`, `storm` and `slow`.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Behaviour (shares are parts of all listeners, from 0 to 1)")]
pub(crate) struct BehaviourArgs {
    /// Share of listeners that read too slowly [`slow`: 0.1]
    #[arg(long, value_parser = share, value_name = "SHARE")]
    pub(crate) slow_fraction: Option<f64>,
    /// Part of the bitrate that slow listeners read [default: 0.5]
    #[arg(long, value_parser = share, value_name = "SHARE")]
    pub(crate) slow_rate: Option<f64>,
    /// Share of listeners that stop reading after their first audio [`slow`: 0.05]
    #[arg(long, value_parser = share, value_name = "SHARE")]
    pub(crate) stop_fraction: Option<f64>,
    /// Share of listeners that connect and never send a byte [`slow`: 0.05]
    #[arg(long, value_parser = share, value_name = "SHARE")]
    pub(crate) half_open_fraction: Option<f64>,
    /// Share of listeners that send their request one byte a second [`slow`: 0.05]
    #[arg(long, value_parser = share, value_name = "SHARE")]
    pub(crate) slow_head_fraction: Option<f64>,
    /// Listeners that leave every second and come back at once [`churn`: a fiftieth of all]
    #[arg(long, value_parser = rate, value_name = "COUNT")]
    pub(crate) leaves_per_s: Option<f64>,
    /// Come back to the next mount instead of the same
    #[arg(long)]
    pub(crate) zap: bool,
    /// When all listeners close at once and connect again, after the start [`storm`: 15s]
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) storm_at: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct DelayArgs {
    #[command(flatten)]
    pub(crate) crowd: CrowdArgs,
    /// Listeners, all of which check every frame
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) listeners: u64,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Where to publish; the target's path if missing
    #[arg(long)]
    pub(crate) mount: Option<String>,
    /// Sources; more than one are numbered from 0, at the mount's end or in place of {n}
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) count: u32,
    /// User name of the sources
    #[arg(long, default_value = "source")]
    pub(crate) user: String,
    /// Password of the sources
    #[arg(long)]
    pub(crate) password: String,
    /// What to publish: mp3, or adts for AAC-LC in ADTS
    #[arg(long, default_value = "mp3", value_parser = codec, value_name = "CODEC")]
    pub(crate) codec: Codec,
    /// Bitrate in kbit/s
    #[arg(long, default_value_t = 128)]
    pub(crate) bitrate: u32,
    /// Mark every frame, so that `delay` and `--verify` can check it
    #[arg(long)]
    pub(crate) frame_marks: bool,
    /// Set each source's title to the next number so often, so that `verify` can check their order
    #[arg(long, value_parser = titles_every, value_name = "SPAN")]
    pub(crate) titles_every: Option<Duration>,
    /// How often to send what is due
    #[arg(long, default_value = "20ms", value_parser = pace)]
    pub(crate) pace: Duration,
    /// How long; until ended if missing
    #[arg(long, value_parser = span)]
    pub(crate) duration: Option<Duration>,
    /// Write the result as JSON to this file, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FloorArgs {
    /// Listeners to send to
    #[arg(long, default_value_t = 16_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) listeners: u64,
    /// Bitrate in kbit/s
    #[arg(long, default_value_t = 128)]
    pub(crate) bitrate: u32,
    /// Time between two sends to one listener
    #[arg(long, default_value = "1s", value_parser = span)]
    pub(crate) beat: Duration,
    /// Parts of a beat over which listeners are spread
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) slots: u32,
    /// How long to measure
    #[arg(long, default_value = "20s", value_parser = span)]
    pub(crate) duration: Duration,
    /// How often listeners look at what arrived; 0 wakes them for each arrival
    #[arg(long, default_value = "1ms", value_parser = span)]
    pub(crate) tick: Duration,
    /// Write the result as JSON to this file, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The process
    #[arg(long)]
    pub(crate) pid: u32,
    /// How long to watch
    #[arg(long, default_value = "10s", value_parser = span)]
    pub(crate) duration: Duration,
    /// Write the result as JSON to this file, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Reads `250ms`, `1.5s`, `30s`, `2m` or `1h`; a bare number is seconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        unit => return Err(format!("{unit:?} is none of ms, s, m, h")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("{digits:?} is no number"))?;
    let span = Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())?;
    if span > SPAN_MAX { Err("longer than a year".into()) } else { Ok(span) }
}

fn titles_every(text: &str) -> Result<Duration, String> {
    let every = span(text)?;
    let possible = every >= TITLES_EVERY_MIN;
    if possible { Ok(every) } else { Err(format!("at least {TITLES_EVERY_MIN:?}")) }
}

fn pace(text: &str) -> Result<Duration, String> {
    let pace = span(text)?;
    let (shortest, longest) = (PACES.start(), PACES.end());
    if PACES.contains(&pace) { Ok(pace) } else { Err(format!("{shortest:?} to {longest:?}")) }
}

/// Reads `floe`, `icecast2` or either with `=PATH`.
fn choice(text: &str) -> Result<Choice, String> {
    let (name, program) = match text.split_once('=') {
        Some((_, "")) => return Err("there is no path behind =".into()),
        Some((name, path)) => (name, Some(PathBuf::from(path))),
        None => (text, None),
    };
    let kind = [Kind::Floe, Kind::Icecast2].into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| format!("{name:?} is neither floe nor icecast2"))?;
    Ok(Choice { kind, program })
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must lie between 0 and 1".into()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    let possible = (0.0..=RATE_MAX).contains(&rate);
    if possible { Ok(rate) } else { Err(format!("must lie between 0 and {RATE_MAX}")) }
}

pub(crate) fn codec(text: &str) -> Result<Codec, String> {
    match text {
        "mp3" => Ok(Codec::Mp3),
        "adts" => Ok(Codec::Adts),
        other => Err(format!("{other:?} is neither mp3 nor adts")),
    }
}

/// More connections a second than the TCP of one machine carries by far.
pub(crate) const RATE_MAX: f64 = 1e6;
/// Keeps sums of spans far from overflow.
const SPAN_MAX: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_its_examples_parse() {
        Cli::command().debug_assert();
        for line in [
            "floe-loadtest listen --target http://127.0.0.1:8000/live --listeners 100000 --icy \
             --mounts /a,/b --rate 2000 --duration 30s --slow-fraction 0.2 --stop-fraction 0.1 \
             --sources-from 127.0.0.0/9,127.128.0.9 --user-agent A --workers 6 \
             --user-agent B --verify --max-gap 1.5s --max-connect 10s \
             --min-rate 0.98 --no-drop --no-loss --server-pid 1 --json -",
            "floe-loadtest churn --target http://127.0.0.1:8000/live --leaves-per-s 200 --zap",
            "floe-loadtest storm --target http://127.0.0.1:8000/live --storm-at 10s --max-served 5s",
            "floe-loadtest slow --target http://127.0.0.1:8000/live --half-open-fraction 0.3",
            "floe-loadtest verify --target http://127.0.0.1:8000/live --listeners 20",
            "floe-loadtest delay --target http://127.0.0.1:8000/live --listeners 100 --duration 20s",
            "floe-loadtest publish --target http://127.0.0.1:8000 --mount /live --user source \
             --password x --bitrate 128 --count 3 --frame-marks --codec adts --titles-every 5s",
            "floe-loadtest floor --listeners 16000 --bitrate 128 --beat 1s --duration 20s",
            "floe-loadtest watch --pid 1 --duration 1m",
            "floe-loadtest run a.toml --json a.json --html a.html",
            "floe-loadtest compare a.toml --servers floe,floe=/b --rounds 3",
            "floe-loadtest guard /folder /bin/floe serve --config /x",
        ] {
            Cli::try_parse_from(line.split_whitespace()).unwrap();
        }
    }

    #[test]
    fn spans_are_read_with_their_unit() {
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(span("7"), Ok(Duration::from_secs(7)));
        for bad in ["", "s", "-1s", "1d", "1e400s", "nans", "9000h", "1 s", "\u{e9}"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn servers_are_read_with_their_binary() {
        let floe = Choice { kind: Kind::Floe, program: None };
        assert_eq!(choice("floe"), Ok(floe.clone()));
        assert_eq!(choice("floe=/b"), Ok(Choice { program: Some("/b".into()), ..floe }));
        assert!(choice("icecast2").is_ok() && choice("nginx").is_err() && choice("floe=").is_err());
    }

    #[test]
    fn shares_rates_codecs_and_paces_out_of_range_are_refused() {
        assert_eq!(share("0.2"), Ok(0.2));
        for bad in ["", "1.1", "-0.1", "nan", "x"] {
            assert!(share(bad).is_err(), "{bad}");
        }
        assert!(rate("2500").is_ok() && rate("-1").is_err() && rate("nan").is_err());
        assert!(codec("adts").is_ok() && codec("AAC").is_err() && codec("").is_err());
        assert!(titles_every("100ms").is_ok() && titles_every("99ms").is_err());
        assert!(pace("1s").is_ok() && pace("0s").is_err() && pace("2s").is_err());
    }
}
