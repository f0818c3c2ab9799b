//! The table of keys: for each its name, when a change of it counts after a reload, and the rule
//! that fills its field. What is not here is not a key; `docs/floe.example.toml` is held against
//! it.

use super::model::{Auth, Format, Level, Limits, Log, Server};
use super::mounts::{IntroPosition, Lag, MountSettings, OnChange};
use super::read::{Read, Value};
use super::values;
use crate::base::limits::MOUNTS_MAX;
use Reload::{Live, NewConnections, Restart};
use std::ops::RangeInclusive;
use std::time::Duration;

/// When a changed setting counts after a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reload {
    /// At once, for sessions under way too.
    Live,
    /// For connections and sources that come after it.
    NewConnections,
    /// After a restart of the server.
    Restart,
}

impl Reload {
    /// The words of the example file and the docs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::NewConnections => "new connections",
            Self::Restart => "restart",
        }
    }
}

/// One key of a section that fills a `T`.
pub(super) struct Key<T> {
    /// As written in the file, without its section.
    pub(super) name: &'static str,
    /// When a change of it counts.
    pub(super) reload: Reload,
    /// Reads the value into its field, or leaves the field and gives the value's faults.
    pub(super) set: fn(&mut T, &Value<'_>) -> Read<()>,
}

const fn key<T>(
    name: &'static str,
    reload: Reload,
    set: fn(&mut T, &Value<'_>) -> Read<()>,
) -> Key<T> {
    Key { name, reload, set }
}

/// Puts what was read into its field.
fn store<T>(field: &mut T, read: Read<T>) -> Read<()> {
    *field = read?;
    Ok(())
}

/// The sections, in the order of the example file.
pub(super) const SECTIONS: &[&str] = &["server", "limits", "auth", "log", "mounts"];

/// Every key of every section, as (section, name, reload).
pub(super) fn every() -> impl Iterator<Item = (&'static str, &'static str, Reload)> {
    fn rows<T>(
        section: &'static str,
        keys: &'static [Key<T>],
    ) -> impl Iterator<Item = (&'static str, &'static str, Reload)> {
        keys.iter().map(move |key| (section, key.name, key.reload))
    }
    rows("server", SERVER)
        .chain(rows("limits", LIMITS))
        .chain(rows("auth", AUTH))
        .chain(rows("log", LOG))
        .chain(rows("mounts", MOUNT))
}

/// `[server]`
pub(super) const SERVER: &[Key<Server>] = &[
    key("listen", Restart, |to, value| {
        store(&mut to.listen, value.distinct(1..=LISTEN_MAX, values::address))
    }),
    key("hostname", Live, |to, value| store(&mut to.hostname, value.parsed(values::hostname))),
    key("location", Live, |to, value| store(&mut to.location, value.parsed(values::line))),
    key("admin_contact", Live, |to, value| {
        store(&mut to.admin_contact, value.parsed(values::line))
    }),
    key("cores", Restart, |to, value| store(&mut to.cores, value.cores(1..=CORES_MAX, CPU_MAX))),
    key("pin", Restart, |to, value| store(&mut to.pin, value.flag())),
    key("beat_min", Live, |to, value| store(&mut to.beat_min, value.duration(BEAT_MIN))),
    key("beat_max", Live, |to, value| store(&mut to.beat_max, value.duration(BEAT_MAX))),
    key("backlog", Restart, |to, value| store(&mut to.backlog, value.number(BACKLOG))),
    key("accept_per_second", Live, |to, value| {
        store(&mut to.accept_per_second, value.number(RATE))
    }),
    key("steer", Restart, |to, value| store(&mut to.steer, value.flag())),
    key("drain_grace", Live, |to, value| store(&mut to.drain_grace, value.duration(DRAIN_GRACE))),
    key("demo", Restart, |to, value| store(&mut to.demo, value.flag())),
];

/// `[limits]`
pub(super) const LIMITS: &[Key<Limits>] = &[
    key("listeners", NewConnections, |to, value| store(&mut to.listeners, value.number(LISTENERS))),
    key("listeners_per_address", NewConnections, |to, value| {
        store(&mut to.listeners_per_address, value.number(LISTENERS))
    }),
    key("new_connections_per_second_per_address", NewConnections, |to, value| {
        store(&mut to.new_connections_per_second_per_address, value.number(RATE))
    }),
    key("sources", NewConnections, |to, value| store(&mut to.sources, value.number(SOURCES))),
    key("header_bytes", NewConnections, |to, value| {
        store(&mut to.header_bytes, value.bytes(HEADER_BYTES))
    }),
    key("header_timeout", NewConnections, |to, value| {
        store(&mut to.header_timeout, value.duration(HEADER_TIMEOUT))
    }),
    key("source_timeout", Live, |to, value| store(&mut to.source_timeout, value.duration(SILENCE))),
    key("stall_timeout", Live, |to, value| store(&mut to.stall_timeout, value.duration(SILENCE))),
    key("lag_bytes", Restart, |to, value| store(&mut to.lag_bytes, value.bytes(LAG_BYTES))),
];

/// `[auth]`
pub(super) const AUTH: &[Key<Auth>] = &[
    key("source_password", NewConnections, |to, value| {
        store(&mut to.source_password, value.secret().map(Some))
    }),
    key("relay_password", NewConnections, |to, value| {
        store(&mut to.relay_password, value.secret().map(Some))
    }),
    key("admin_user", NewConnections, |to, value| {
        store(&mut to.admin_user, value.parsed(values::user))
    }),
    key("admin_password", NewConnections, |to, value| {
        store(&mut to.admin_password, value.secret().map(Some))
    }),
];

/// `[log]`
pub(super) const LOG: &[Key<Log>] = &[
    key("level", Live, |to, value| store(&mut to.level, value.choice(LEVEL_NAMES, LEVELS))),
    key("format", Restart, |to, value| {
        store(&mut to.format, value.choice(&["text", "json"], &[Format::Text, Format::Json]))
    }),
    key("access", Restart, |to, value| store(&mut to.access, value.parsed(values::log_target))),
];

/// `[mounts."…"]`
pub(super) const MOUNT: &[Key<MountSettings>] = &[
    key("name", NewConnections, |to, value| store(&mut to.name, optional_line(value))),
    key("description", NewConnections, |to, value| {
        store(&mut to.description, optional_line(value))
    }),
    key("genre", NewConnections, |to, value| store(&mut to.genre, optional_line(value))),
    key("url", NewConnections, |to, value| store(&mut to.url, optional_line(value))),
    key("public", NewConnections, |to, value| store(&mut to.public, value.flag().map(Some))),
    key("hidden", Live, |to, value| store(&mut to.hidden, value.flag())),
    key("content_type", NewConnections, |to, value| {
        store(&mut to.content_type, value.parsed(values::content_type).map(Some))
    }),
    key("user", NewConnections, |to, value| {
        store(&mut to.user, value.parsed(values::user).map(Some))
    }),
    key("password", NewConnections, |to, value| store(&mut to.password, value.secret().map(Some))),
    key("max_listeners", NewConnections, |to, value| {
        store(&mut to.max_listeners, value.number(LISTENERS))
    }),
    key("max_listener_duration", NewConnections, |to, value| {
        store(&mut to.max_listener_duration, value.duration(LISTENER_DURATION))
    }),
    key("burst", NewConnections, |to, value| {
        store(&mut to.burst, value.burst(BURST_TIME, BURST_BYTES))
    }),
    key("burst_max", NewConnections, |to, value| {
        store(&mut to.burst_max, value.burst(BURST_TIME, BURST_BYTES))
    }),
    key("lag", Live, |to, value| {
        store(&mut to.lag, value.choice(&["skip", "drop"], &[Lag::Skip, Lag::Drop]))
    }),
    key("linger", Live, |to, value| store(&mut to.linger, value.duration(LINGER))),
    key("takeover", NewConnections, |to, value| store(&mut to.takeover, value.flag())),
    key("on_change", NewConnections, |to, value| {
        let words = [OnChange::Continue, OnChange::Reset];
        store(&mut to.on_change, value.choice(&["continue", "reset"], &words))
    }),
    key("stream_titles", NewConnections, |to, value| store(&mut to.stream_titles, value.flag())),
    key("intro", Restart, |to, value| store(&mut to.intro, value.parsed(values::file).map(Some))),
    key("intro_position", NewConnections, |to, value| {
        let words = [IntroPosition::Start, IntroPosition::Shared];
        store(&mut to.intro_position, value.choice(&["start", "shared"], &words))
    }),
    key("outro", Restart, |to, value| store(&mut to.outro, value.parsed(values::file).map(Some))),
    key("metadata_interval", NewConnections, |to, value| {
        store(&mut to.metadata_interval, value.number_or_zero(METADATA_INTERVAL))
    }),
    key("allow", NewConnections, |to, value| {
        store(&mut to.allow, value.distinct(0..=NETS_MAX, values::net))
    }),
    key("deny", NewConnections, |to, value| {
        store(&mut to.deny, value.distinct(0..=NETS_MAX, values::net))
    }),
    key("headers", NewConnections, |to, value| store(&mut to.headers, value.headers(HEADERS_MAX))),
    key("cors_origins", NewConnections, |to, value| {
        store(&mut to.cors_origins, value.distinct(0..=ORIGINS_MAX, values::origin))
    }),
];

fn optional_line(value: &Value<'_>) -> Read<Option<String>> {
    value.parsed(values::line).map(Some)
}

/// The names of [`LEVELS`], in step with it.
pub(super) const LEVEL_NAMES: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// Every level.
pub(super) const LEVELS: &[Level] =
    &[Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

/// Listen sockets of each core. Each costs every core a descriptor and an accept task.
pub(super) const LISTEN_MAX: usize = 64;
/// Listener cores. The largest x86 machines have fewer threads than this.
const CORES_MAX: usize = 1024;
/// The last CPU a Linux kernel may number (`NR_CPUS` goes to 8192).
const CPU_MAX: u32 = 8191;
/// Below 5 ms a core wakes more often than it sends; above 1 s idle listeners hear silence first.
const BEAT_MIN: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_secs(1);
/// Above 10 s most players give a stream up.
const BEAT_MAX: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_secs(10);
/// The kernel lowers what is above `net.core.somaxconn`.
const BACKLOG: RangeInclusive<u32> = 1..=1_000_000;
/// 0 means no limit; a million a second is more than a kernel accepts.
const RATE: RangeInclusive<u32> = 0..=1_000_000;
/// Service managers kill after 90 s unless told otherwise; ten minutes is for those who told.
const DRAIN_GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);
/// 0 means no limit; the upper end is far above what one machine's descriptors allow.
const LISTENERS: RangeInclusive<u32> = 0..=100_000_000;
/// The upper end is the number of mounts the tables are made for.
const SOURCES: RangeInclusive<u32> = 1..=MOUNTS_MAX as u32;
/// Below 1 KiB a browser's head does not fit; above 64 KiB waiting heads cost more than listeners.
const HEADER_BYTES: RangeInclusive<usize> = 1024..=65_536;
/// Below 1 s phones on a poor network fail; above 5 min idle connections fill the waiting places.
const HEADER_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
/// Below 1 s one lost packet is silence; above 1 h nobody waits for the peer any more.
const SILENCE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Below 64 KiB one full-size send is lag; above 64 MiB each mount keeps an hour of audio in
/// memory.
const LAG_BYTES: RangeInclusive<usize> = 65_536..=64 * 1024 * 1024;
/// 0 means no limit; beyond a year nobody can tell the limit from none.
const LISTENER_DURATION: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(365 * 86_400);
/// Above a minute the burst is a recording, and lag in seconds is heard by all.
const BURST_TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
/// 0 is allowed too. Below 1 KiB there is not one frame of most streams; the upper end is that of
/// `lag_bytes`.
const BURST_BYTES: RangeInclusive<usize> = 1024..=64 * 1024 * 1024;
/// Beyond a day players have long given up.
const LINGER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
/// 0 is allowed too. Below 256 bytes the blocks outweigh small streams; above a million bytes a
/// title is minutes late.
const METADATA_INTERVAL: RangeInclusive<u32> = 256..=1_000_000;
/// Each newcomer is compared with every network of its mount, so the list must stay short.
const NETS_MAX: usize = 1024;
/// Headers of one mount; more would not fit what old players read of a head.
const HEADERS_MAX: usize = 32;
/// Origins of one mount; each request with an `Origin` is compared with all.
const ORIGINS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_section_has_a_key_twice_and_names_are_plain() {
        let names: Vec<_> = every().map(|(section, name, _)| (section, name)).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for (section, name) in names {
            assert!(SECTIONS.contains(&section));
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        }
    }

    #[test]
    fn every_level_has_its_name() {
        assert_eq!(LEVELS.len(), LEVEL_NAMES.len());
        for (level, name) in LEVELS.iter().zip(LEVEL_NAMES) {
            assert_eq!(format!("{level:?}").to_lowercase(), *name);
        }
    }
}
