//! A scenario file as written: TOML to structs, key by key. Keys that are not known stop it. What a
//! key alone cannot say wrong, such as two that exclude each other, is `check`'s.

use crate::addresses::SourceNet;
use crate::args;
use crate::frames::Codec;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// A whole scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Letters, digits and hyphens: files of results are named by it.
    pub name: String,
    /// What it shows, in a sentence.
    #[serde(default)]
    pub about: String,
    /// How long it is held once every crowd that joins has audio.
    #[serde(deserialize_with = "span")]
    pub duration: Duration,
    /// How long sources are on air before the first listener: a burst must have been filled.
    #[serde(default = "lead_default", deserialize_with = "span")]
    pub lead: Duration,
    /// How long joining may take before holding begins regardless.
    #[serde(default = "ramp_max_default", deserialize_with = "span")]
    pub ramp_max: Duration,
    /// The server under test.
    #[serde(default)]
    pub server: Option<Spanned<Server>>,
    /// Generated sources.
    #[serde(default)]
    pub source: Vec<Spanned<Source>>,
    /// Listeners.
    #[serde(default)]
    pub crowd: Vec<Spanned<Crowd>>,
    /// What must be kept to.
    #[serde(default)]
    pub limits: Limits,
    /// What the machine should be set to.
    #[serde(default)]
    pub host: Host,
}

/// The server under test: one that is started, or one that runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Which one to start.
    pub kind: Option<Kind>,
    /// Its binary; floe beside this one, or icecast2 from the path, if missing.
    pub program: Option<PathBuf>,
    /// More of Floe's configuration, as TOML. The port and the passwords are set besides.
    pub config: Option<String>,
    /// A server that runs already, `http://host:port`.
    pub target: Option<String>,
    /// What sources sign in with there.
    pub password: Option<String>,
    /// The host of `target`, letter by letter, if it is public and its owner gave leave.
    pub i_may_load_this_host: Option<String>,
}

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// This project's.
    Floe,
    /// Icecast 2.4, as Debian has it.
    Icecast2,
}

impl Kind {
    /// The word of the file and of the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floe => "floe",
            Self::Icecast2 => "icecast2",
        }
    }
}

/// Sources that are alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where; numbered from 0 at its end or in place of `{n}` if there are several.
    pub mount: String,
    /// How many.
    #[serde(default = "one")]
    pub count: u32,
    /// How their audio is coded: `mp3` or `adts`.
    #[serde(default = "mp3", deserialize_with = "codec")]
    pub codec: Codec,
    /// Its bitrate in kbit/s.
    #[serde(default = "bitrate_default")]
    pub bitrate_kbit: u32,
    /// How often each sends what has come due: encoders on libshout send 4 KB at once.
    #[serde(default = "pace_default", deserialize_with = "span")]
    pub pace: Duration,
    /// A new title so often.
    #[serde(default, deserialize_with = "span_if")]
    pub titles_every: Option<Duration>,
}

/// Listeners that are alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// What results call it.
    pub name: String,
    /// How many.
    pub listeners: u64,
    /// Mounts, listened to in turn; all sources' mounts if there are none.
    #[serde(default)]
    pub mounts: Vec<String>,
    /// Numbers each of `mounts` as a source's `count` does.
    #[serde(default = "one")]
    pub mount_count: u32,
    /// When it begins to come, from the start of the load.
    #[serde(default, deserialize_with = "span")]
    pub at: Duration,
    /// Connections begun a second; 0 begins all at once.
    #[serde(default)]
    pub rate: f64,
    /// TCP handshakes under way at once in each worker process.
    #[serde(default = "connecting_default")]
    pub connecting_max: u32,
    /// Whether ICY metadata is asked for.
    #[serde(default)]
    pub icy: bool,
    /// How many check every frame.
    #[serde(default)]
    pub verify: u64,
    /// Share that reads too slowly.
    #[serde(default)]
    pub slow_fraction: f64,
    /// The part of the bitrate that these read.
    #[serde(default = "half")]
    pub slow_rate: f64,
    /// Share that stops reading after its first audio.
    #[serde(default)]
    pub stop_fraction: f64,
    /// Share that connects and never sends a byte.
    #[serde(default)]
    pub half_open_fraction: f64,
    /// Share that sends its request one byte a second.
    #[serde(default)]
    pub slow_head_fraction: f64,
    /// Steady listeners that leave every second and come back by a new connection.
    #[serde(default)]
    pub leaves_per_s: f64,
    /// Whether who leaves comes back to the next mount.
    #[serde(default)]
    pub zaps: bool,
    /// When all of it closes at once and connects again, from the crowd's begin.
    #[serde(default, deserialize_with = "span_if")]
    pub storm_at: Option<Duration>,
    /// What is expected of its mounts; what their sources send if missing.
    #[serde(default)]
    pub bitrate_kbit: Option<u32>,
    /// How often arrivals are looked at.
    #[serde(default = "tick_default", deserialize_with = "span")]
    pub tick: Duration,
    /// How long one waits for its first audio.
    #[serde(default = "patience_default", deserialize_with = "span")]
    pub patience: Duration,
    /// Players by their `User-Agent`, with how many of each come in turn.
    #[serde(default)]
    pub user_agents: BTreeMap<String, u32>,
    /// The ranges of addresses it comes from; 127.0.0.0/8 if the server is there.
    #[serde(default, deserialize_with = "nets")]
    pub sources_from: Vec<SourceNet>,
    /// Instead of, and beside, those of the whole scenario.
    #[serde(default)]
    pub limits: CrowdLimits,
}

/// What one crowd must keep to; what is missing is not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrowdLimits {
    /// Longest time any steady listener may be without bytes.
    #[serde(deserialize_with = "span_if")]
    pub max_gap: Option<Duration>,
    /// Longest time from the start of a connection to its first audio.
    #[serde(deserialize_with = "span_if")]
    pub max_connect: Option<Duration>,
    /// Longest time from the crowd's begin until all of it has audio; in a storm, from the storm's
    /// moment until all of it has audio again.
    #[serde(deserialize_with = "span_if")]
    pub max_ramp: Option<Duration>,
    /// Least part of the bitrate that every steady listener gets.
    pub min_rate: Option<f64>,
    /// Longest delay of 99 % of the checked frames.
    #[serde(deserialize_with = "span_if")]
    pub max_delay_p99: Option<Duration>,
    /// No steady listener fails.
    pub no_drop: Option<bool>,
    /// No checked frame is lost, torn, strayed or out of order.
    pub no_loss: Option<bool>,
}

/// What every crowd and the server must keep to; what is missing is not judged.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// As in [`CrowdLimits`], for each crowd.
    #[serde(deserialize_with = "span_if")]
    pub max_gap: Option<Duration>,
    /// Likewise.
    #[serde(deserialize_with = "span_if")]
    pub max_connect: Option<Duration>,
    /// Likewise.
    #[serde(deserialize_with = "span_if")]
    pub max_ramp: Option<Duration>,
    /// Likewise.
    pub min_rate: Option<f64>,
    /// Likewise, for each crowd that checks frames.
    #[serde(deserialize_with = "span_if")]
    pub max_delay_p99: Option<Duration>,
    /// Likewise.
    pub no_drop: Option<bool>,
    /// Likewise, for each crowd that checks frames.
    pub no_loss: Option<bool>,
    /// Most CPU of the server while the load is held, in cores.
    pub max_server_cores: Option<f64>,
    /// Most private memory that a listener adds to the server, in bytes.
    pub max_server_bytes_per_listener: Option<f64>,
    /// Most that the server's private memory may grow while the load is held, in KiB an hour.
    pub max_memory_slope_kib_per_h: Option<f64>,
    /// Most descriptors that the server may have more at the end of holding than at its start.
    pub max_descriptor_growth: Option<u64>,
}

impl Limits {
    /// What a crowd with limits of its own is judged by. Those of the whole scenario that need
    /// checked frames pass over a crowd without.
    pub fn for_crowd(&self, crowd: &Crowd) -> CrowdLimits {
        let (own, checks) = (crowd.limits, crowd.verify > 0);
        CrowdLimits {
            max_gap: own.max_gap.or(self.max_gap),
            max_connect: own.max_connect.or(self.max_connect),
            max_ramp: own.max_ramp.or(self.max_ramp),
            min_rate: own.min_rate.or(self.min_rate),
            max_delay_p99: own.max_delay_p99.or(self.max_delay_p99.filter(|_| checks)),
            no_drop: own.no_drop.or(self.no_drop),
            no_loss: own.no_loss.or(self.no_loss.filter(|_| checks)),
        }
    }
}

/// What the machine should be set to. It is looked at and never set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Names such as `net.ipv4.tcp_mem` and the least value of each number in them.
    pub sysctl: BTreeMap<String, String>,
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    args::span(&text).map_err(|error| D::Error::custom(format!("{error}; such as \"1.5s\"")))
}

fn span_if<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    span(from).map(Some)
}

fn codec<'de, D: Deserializer<'de>>(from: D) -> Result<Codec, D::Error> {
    args::codec(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn nets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SourceNet>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

fn mp3() -> Codec {
    Codec::Mp3
}

fn one() -> u32 {
    1
}

fn connecting_default() -> u32 {
    1_024
}

fn half() -> f64 {
    0.5
}

/// As `publish` has it.
fn pace_default() -> Duration {
    Duration::from_millis(20)
}

fn bitrate_default() -> u32 {
    128
}

/// A second more than the burst that Floe gives by default.
fn lead_default() -> Duration {
    Duration::from_secs(6)
}

fn ramp_max_default() -> Duration {
    Duration::from_secs(120)
}

fn tick_default() -> Duration {
    Duration::from_millis(1)
}

fn patience_default() -> Duration {
    Duration::from_secs(60)
}
