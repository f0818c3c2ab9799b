//! What a load came to: the figures as JSON for machines, a short table for people, and the stated
//! limits that it broke. Values and text only.

use crate::outcome::{Outcome, Spread};
use crate::watch::{Cost, Memory};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// Everything about one load.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The command that ran, e.g. `listen`.
    pub command: &'static str,
    /// When it ended, ISO 8601 in UTC.
    pub ended: String,
    /// The server, as `host:port`.
    pub server: String,
    /// How many mounts were listened to.
    pub mounts: usize,
    /// Whether ICY metadata was asked for.
    pub icy: bool,
    /// Worker processes.
    pub workers: usize,
    /// Seconds until every listener had audio or had failed.
    pub ramp_s: f64,
    /// Seconds held after that.
    pub held_s: f64,
    /// Bytes a second and listener that were expected.
    pub expected_rate: u64,
    /// Percentiles of the distributions.
    pub percentiles: Percentiles,
    /// Counters and whole distributions.
    pub outcome: Outcome,
    /// What the server used while the load was held, if its process id was given.
    pub server_cost: Option<ServerCost>,
    /// CPU of all workers while the load was held, in cores.
    pub generator_cores: f64,
    /// Bytes in TCP buffers of this machine, before the load and at its end.
    pub tcp_memory: [Option<u64>; 2],
    /// The load over time.
    pub timeline: Vec<Point>,
    /// The limits that were broken, in words; empty is good.
    pub broken: Vec<String>,
}

/// The server's share.
#[derive(Clone, Debug, Serialize)]
pub struct ServerCost {
    /// CPU and memory while the load was held.
    pub cost: Cost,
    /// Memory before the first listener.
    pub memory_before: Memory,
    /// Growth of private memory per listener, in bytes.
    pub bytes_per_listener: i64,
}

/// One moment of a load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Seconds since the start.
    pub at_s: f64,
    /// Listeners with audio.
    pub flowing: u64,
    /// Listeners that ended.
    pub ended: u64,
    /// Body bytes received so far.
    pub bytes: u64,
}

/// The distributions in short.
#[derive(Clone, Debug, Serialize)]
pub struct Percentiles {
    /// TCP connect time, us.
    pub connect_us: Short,
    /// Time to the response head, us.
    pub head_us: Short,
    /// Time to first audio, us.
    pub audio_us: Short,
    /// Longest gap of each listener, us.
    pub gap_us: Short,
    /// Rate of each listener, bytes a second.
    pub rate: Short,
    /// Time from the storm until audio came again, us.
    pub served_us: Short,
    /// Source-to-listener delay of each checked frame, us.
    pub delay_us: Short,
}

/// A distribution in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Short {
    /// How many values.
    pub count: u64,
    /// The smallest.
    pub min: u64,
    /// Half lie below.
    pub p50: u64,
    /// 90 % lie below.
    pub p90: u64,
    /// 99 % lie below.
    pub p99: u64,
    /// 99.9 % lie below.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

impl From<&Spread> for Short {
    fn from(spread: &Spread) -> Self {
        Self {
            count: spread.count(),
            min: spread.min(),
            p50: spread.percentile(50.0),
            p90: spread.percentile(90.0),
            p99: spread.percentile(99.0),
            p999: spread.percentile(99.9),
            max: spread.max(),
        }
    }
}

impl From<&Outcome> for Percentiles {
    fn from(outcome: &Outcome) -> Self {
        Self {
            connect_us: Short::from(&outcome.connect_us),
            head_us: Short::from(&outcome.head_us),
            audio_us: Short::from(&outcome.audio_us),
            gap_us: Short::from(&outcome.gap_us),
            rate: Short::from(&outcome.rate),
            served_us: Short::from(&outcome.storm.served_us),
            delay_us: Short::from(&outcome.marks.delay_us),
        }
    }
}

/// What a load must keep to; what is unset is not judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Longest gap of any steady listener.
    pub max_gap: Option<Duration>,
    /// Longest time from the start of a connection to its first audio.
    pub max_connect: Option<Duration>,
    /// Least rate of any steady listener, as a part of the expected one.
    pub min_rate: Option<f64>,
    /// Longest delay of 99 % of the checked frames.
    pub max_delay: Option<Duration>,
    /// Longest time from a storm until any listener has audio again.
    pub max_served: Option<Duration>,
    /// No steady listener may fail or be dropped.
    pub no_drop: bool,
    /// No checked byte may be lost, changed, strayed or out of order, and no metadata off its grid.
    pub no_loss: bool,
}

impl Limits {
    /// The limits that `outcome` breaks, in words. A limit that nothing was measured for is broken:
    /// a load that measured nothing has shown nothing.
    pub fn broken_by(&self, outcome: &Outcome, expected_rate: u64) -> Vec<String> {
        let mut broken = Vec::new();
        let mut time = |name: &str, limit: Option<Duration>, spread: &Spread, percent: f64| {
            let Some(limit) = limit else { return };
            let seen = Duration::from_micros(spread.percentile(percent));
            if spread.count() == 0 {
                broken.push(format!("{name}: nothing measured"));
            } else if seen > limit {
                broken.push(format!("{name}: {seen:.3?} is above {limit:.3?}"));
            }
        };
        time("max-gap", self.max_gap, &outcome.gap_us, 100.0);
        time("max-connect", self.max_connect, &outcome.audio_us, 100.0);
        time("max-delay", self.max_delay, &outcome.marks.delay_us, 99.0);
        time("max-served", self.max_served, &outcome.storm.served_us, 100.0);
        let away = outcome.storm.closed.saturating_sub(outcome.storm.reconnected);
        if self.max_served.is_some() && away > 0 {
            broken.push(format!("max-served: {away} listeners never had audio again"));
        }
        if let Some(limit) = self.min_rate {
            let seen = outcome.rate.min() as f64 / expected_rate.max(1) as f64;
            if outcome.rate.count() == 0 {
                broken.push("min-rate: nothing measured".into());
            } else if seen < limit {
                broken.push(format!("min-rate: {seen:.4} is below {limit}"));
            }
        }
        if self.no_drop && outcome.failed() > 0 {
            broken.push(format!("no-drop: {} listeners failed", outcome.failed()));
        }
        let wrong = outcome.marks.wrong() + outcome.icy.wrong();
        if self.no_loss && (wrong > 0 || outcome.marks.frames == 0) {
            broken.push(format!("no-loss: {wrong} of {} frames wrong", outcome.marks.frames));
        }
        broken
    }
}

impl Report {
    /// The short table.
    pub fn table(&self) -> String {
        let outcome = &self.outcome;
        let mut text = String::new();
        row(&mut text, "server", &self.server);
        let crowd = format!(
            "{} of {} with audio, {} at the end, {} failed; {} mounts, ICY {}",
            outcome.with_audio,
            outcome.listeners,
            outcome.at_end,
            outcome.failed(),
            self.mounts,
            if self.icy { "on" } else { "off" },
        );
        row(&mut text, "listeners", &crowd);
        for (kind, count) in &outcome.failures {
            row(&mut text, &format!("  {kind}"), &count.to_string());
        }
        row(&mut text, "ramp, held", &format!("{:.1} s, {:.1} s", self.ramp_s, self.held_s));
        let figures = &self.percentiles;
        for (name, short) in [
            ("connect", figures.connect_us),
            ("response head", figures.head_us),
            ("first audio", figures.audio_us),
            ("longest gap", figures.gap_us),
            ("delay", figures.delay_us),
        ] {
            if short.count > 0 {
                row(&mut text, name, &in_ms(short));
            }
        }
        let part = |rate: u64| rate as f64 / self.expected_rate.max(1) as f64;
        if figures.rate.count > 0 {
            let [min, p50, max] = [figures.rate.min, figures.rate.p50, figures.rate.max].map(part);
            row(
                &mut text,
                "rate",
                &format!("min {min:.3}  p50 {p50:.3}  max {max:.3} of expected"),
            );
        }
        self.sample_rows(&mut text);
        self.cost_rows(&mut text);
        for broken in &self.broken {
            row(&mut text, "BROKEN", broken);
        }
        text
    }

    fn sample_rows(&self, text: &mut String) {
        let (marks, icy) = (&self.outcome.marks, &self.outcome.icy);
        if marks.listeners > 0 {
            let sample = format!(
                "{} listeners, {} frames: {} lost, {} corrupt, {} torn, {} out of order, {} \
                 strayed; {} joined mid-frame",
                marks.listeners,
                marks.frames,
                marks.lost,
                marks.corrupt,
                marks.torn,
                marks.out_of_order,
                marks.strayed,
                marks.joined_mid_frame,
            );
            row(text, "checked", &sample);
        }
        if icy.blocks > 0 {
            let line = format!(
                "{} blocks, {} titles, {} malformed, {} of {} numbered ones backwards",
                icy.blocks, icy.titles, icy.malformed, icy.backwards, icy.numbered
            );
            row(text, "metadata", &line);
        }
        for (name, class) in [("slow", &self.outcome.slow), ("stopped", &self.outcome.stopped)] {
            if class.listeners > 0 {
                row(text, name, &format!("{}, {} of them closed", class.listeners, class.closed));
            }
        }
        self.behaviour_rows(text);
    }

    fn behaviour_rows(&self, text: &mut String) {
        let outcome = &self.outcome;
        for (name, class) in [("half-open", &outcome.half_open), ("slow heads", &outcome.slow_head)]
        {
            if class.opened > 0 {
                let line = format!(
                    "{} opened, {} closed by the server, {} still open",
                    class.opened, class.closed, class.still_open
                );
                row(text, name, &line);
            }
            if class.closed > 0 {
                row(text, "  closed after", &in_ms(Short::from(&class.closed_us)));
            }
        }
        if outcome.churn.left > 0 {
            let line = format!("{} left, {} back", outcome.churn.left, outcome.churn.rejoined);
            row(text, "churn", &line);
        }
        if outcome.storm.closed > 0 {
            let (back, closed) = (outcome.storm.reconnected, outcome.storm.closed);
            row(text, "storm", &format!("{back} of {closed} back"));
            row(text, "  served again", &in_ms(self.percentiles.served_us));
        }
    }

    fn cost_rows(&self, text: &mut String) {
        if let Some(server) = &self.server_cost {
            let line = format!(
                "{:.3} cores, {} private, {} bytes per listener",
                server.cost.cores,
                mebibytes(server.cost.memory.private_dirty),
                server.bytes_per_listener
            );
            row(text, "server cost", &line);
            for thread in &server.cost.threads {
                row(text, &format!("  {}", thread.name), &format!("{:.3} cores", thread.cores));
            }
        }
        row(
            text,
            "generator",
            &format!("{:.3} cores in {} workers", self.generator_cores, self.workers),
        );
        if let [Some(before), Some(after)] = self.tcp_memory {
            row(
                text,
                "TCP buffers",
                &format!("{} before, {} at the end", mebibytes(before), mebibytes(after)),
            );
        }
    }
}

/// Appends a line of a two-column table.
pub fn row(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name:<16} {value}").expect("writing to a String cannot fail");
}

/// A distribution of microseconds, in milliseconds.
pub fn in_ms(short: Short) -> String {
    let ms = |us: u64| us as f64 / 1_000.0;
    let Short { p50, p90, p99, max, .. } = short;
    format!("p50 {:.1}  p90 {:.1}  p99 {:.1}  max {:.1} ms", ms(p50), ms(p90), ms(p99), ms(max))
}

/// A number of bytes for people.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let mut outcome = Outcome { listeners: 3, with_audio: 3, ..Outcome::default() };
        outcome.failures.insert("reset".into(), 1);
        outcome.gap_us.record(1_600_000);
        outcome.audio_us.record(2_000);
        outcome.rate.record(15_000);
        outcome.storm.closed = 2;
        outcome.marks.frames = 10;
        outcome.marks.lost = 1;
        outcome
    }

    const STRICT: Limits = Limits {
        max_gap: Some(Duration::from_millis(1_500)),
        max_connect: Some(Duration::from_millis(1)),
        min_rate: Some(0.98),
        max_delay: Some(Duration::from_secs(1)),
        max_served: Some(Duration::from_secs(1)),
        no_drop: true,
        no_loss: true,
    };

    #[test]
    fn each_broken_limit_is_named_and_unmeasured_ones_are_broken() {
        let broken = STRICT.broken_by(&outcome(), 16_000);
        let names: Vec<_> = broken.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(
            names,
            [
                "max-gap",
                "max-connect",
                "max-delay",
                "max-served",
                "max-served",
                "min-rate",
                "no-drop",
                "no-loss"
            ]
        );
        assert_eq!(STRICT.broken_by(&Outcome::default(), 0).len(), 6);
    }

    #[test]
    fn limits_that_are_kept_or_unset_say_nothing() {
        assert!(Limits::default().broken_by(&outcome(), 16_000).is_empty());
        let loose = Limits {
            max_gap: Some(Duration::from_secs(2)),
            max_connect: Some(Duration::from_millis(3)),
            min_rate: Some(0.9),
            ..Limits::default()
        };
        assert_eq!(loose.broken_by(&outcome(), 16_000), Vec::<String>::new());
    }

    #[test]
    fn the_table_names_failures_and_broken_limits() {
        let outcome = outcome();
        let report = Report {
            command: "listen",
            ended: String::new(),
            server: "127.0.0.1:8000".into(),
            mounts: 1,
            icy: true,
            workers: 1,
            ramp_s: 0.5,
            held_s: 1.0,
            expected_rate: 16_000,
            percentiles: Percentiles::from(&outcome),
            broken: STRICT.broken_by(&outcome, 16_000),
            outcome,
            server_cost: None,
            generator_cores: 0.1,
            tcp_memory: [None, None],
            timeline: Vec::new(),
        };
        let table = report.table();
        for expected in
            ["  reset          1", "longest gap      p50 16", "BROKEN           max-gap"]
        {
            assert!(table.contains(expected), "{expected} in\n{table}");
        }
        assert!(serde_json::to_string(&report).unwrap().contains("\"p999\""));
    }
}
