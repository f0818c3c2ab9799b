//! What a scenario came to: every figure as a value for JSON and the report, and the short table
//! for people. Values and text only.

use crate::outcome::{Outcome, Progress};
use crate::report::{self, Percentiles, Short, row};
use crate::scenario::{Machine, Verdict};
use crate::series::{Point, Slope};
use crate::watch::{Cost, Memory};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything about one run of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The scenario's name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// When it ended, ISO 8601 in UTC.
    pub ended: String,
    /// The server under test, for people.
    pub server: String,
    /// Where it listened.
    pub address: String,
    /// The machine that all of it shared.
    pub machine: Machine,
    /// What the machine should have been set to.
    pub warnings: Vec<String>,
    /// Seconds until every crowd that came had audio, or the ramp was given up.
    pub ramp_s: f64,
    /// Seconds held after that.
    pub held_s: f64,
    /// Generated sources.
    pub sources: Sources,
    /// The crowds.
    pub crowds: Vec<CrowdResults>,
    /// What the server used while the load was held; `None` if it was not started here.
    pub server_cost: Option<ServerCost>,
    /// CPU of all workers while the load was held, in cores.
    pub generator_cores: f64,
    /// CPU of the sources while the load was held, in cores.
    pub publisher_cores: f64,
    /// One point a second.
    pub series: Vec<Point>,
    /// Every stated limit, kept or broken.
    pub verdicts: Vec<Verdict>,
    /// The scenario as written.
    pub scenario: String,
}

/// What the generated sources did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sources {
    /// How many there were to be.
    pub count: u64,
    /// Those that failed, by kind.
    pub failures: BTreeMap<String, u64>,
}

/// What one crowd lived through.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdResults {
    /// Its name.
    pub name: String,
    /// Mounts it listened to.
    pub mounts: usize,
    /// Bytes a second and listener that were expected.
    pub expected_rate: u64,
    /// Seconds from its begin until all of it had audio (in a storm, from the storm's moment until
    /// all of it had audio again); `None` if not all of it ever had.
    pub ramp_s: Option<f64>,
    /// Percentiles of the distributions.
    pub percentiles: Percentiles,
    /// Counters and whole distributions.
    pub outcome: Outcome,
}

/// What the server used.
#[derive(Clone, Debug, Serialize)]
pub struct ServerCost {
    /// CPU and memory while the load was held.
    pub cost: Cost,
    /// Memory before the first listener.
    pub memory_before: Memory,
    /// Growth of private memory for each listener at the end, in bytes.
    pub bytes_per_listener: f64,
    /// Growth of private memory while held, in bytes a second.
    pub memory_slope: Option<Slope>,
    /// Descriptors at the start and at the end of holding.
    pub descriptors: Option<(u64, u64)>,
}

impl Results {
    /// Whether all limits were kept.
    pub fn is_kept(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.kept)
    }

    /// Listeners of all crowds that had a connection at the end.
    pub fn at_end(&self) -> u64 {
        self.crowds.iter().map(|crowd| crowd.outcome.at_end).sum()
    }

    /// All crowds as one.
    pub fn whole(&self) -> Outcome {
        let mut whole = Outcome::default();
        self.crowds.iter().for_each(|crowd| whole.merge(&crowd.outcome));
        whole
    }

    /// The short table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        row(&mut text, "scenario", &self.name);
        row(&mut text, "server", &format!("{} at {}", self.server, self.address));
        let ramp = format!("{:.2} s, {:.1} s", self.ramp_s, self.held_s);
        row(&mut text, "ramp, held", &ramp);
        let lost: u64 = self.sources.failures.values().sum();
        row(&mut text, "sources", &format!("{}, {lost} failed", self.sources.count));
        for (kind, count) in &self.sources.failures {
            row(&mut text, &format!("  {kind}"), &count.to_string());
        }
        for crowd in &self.crowds {
            crowd.rows(&mut text);
        }
        self.cost_rows(&mut text);
        for verdict in &self.verdicts {
            let name = if verdict.kept { "kept" } else { "BROKEN" };
            row(&mut text, name, &verdict.line());
        }
        for warning in &self.warnings {
            row(&mut text, "warning", warning);
        }
        text
    }

    fn cost_rows(&self, text: &mut String) {
        if let Some(server) = &self.server_cost {
            let line = format!(
                "{:.3} cores, {} private, {:.0} bytes a listener",
                server.cost.cores,
                report::mebibytes(server.cost.memory.private_dirty),
                server.bytes_per_listener
            );
            row(text, "server cost", &line);
            for thread in &server.cost.threads {
                row(text, &format!("  {}", thread.name), &format!("{:.3} cores", thread.cores));
            }
            if let Some(slope) = server.memory_slope {
                row(text, "  memory", &in_kib_per_h(slope));
            }
            if let Some((from, to)) = server.descriptors {
                row(text, "  descriptors", &format!("{from} to {to}"));
            }
        }
        let line =
            format!("{:.3} cores, sources {:.3}", self.generator_cores, self.publisher_cores);
        row(text, "generator", &line);
    }
}

impl CrowdResults {
    fn rows(&self, text: &mut String) {
        let outcome = &self.outcome;
        let line = format!(
            "{} of {} with audio, {} at the end, {} failed; {} mounts",
            outcome.with_audio,
            outcome.listeners,
            outcome.at_end,
            outcome.failed(),
            self.mounts,
        );
        row(text, &self.name, &line);
        for (kind, count) in &outcome.failures {
            row(text, &format!("  {kind}"), &count.to_string());
        }
        let ramp = self.ramp_s.map_or_else(|| "not all".into(), |ramp| format!("{ramp:.3} s"));
        row(text, "  all with audio", &ramp);
        let figures = &self.percentiles;
        for (name, short) in [
            ("  connect", figures.connect_us),
            ("  first audio", figures.audio_us),
            ("  longest gap", figures.gap_us),
            ("  delay", figures.delay_us),
            ("  served again", Short::from(&outcome.storm.served_us)),
        ] {
            if short.count > 0 {
                row(text, name, &report::in_ms(short));
            }
        }
        if figures.rate.count > 0 {
            let part = |rate: u64| rate as f64 / self.expected_rate.max(1) as f64;
            let [min, p50] = [figures.rate.min, figures.rate.p50].map(part);
            row(text, "  rate", &format!("min {min:.3}  p50 {p50:.3} of the bitrate"));
        }
        for (name, line) in self.sample_lines() {
            row(text, &format!("  {name}"), &line);
        }
    }

    /// What the checked sample saw and what became of those who misbehave, each with its name.
    pub fn sample_lines(&self) -> Vec<(&'static str, String)> {
        let (outcome, marks, icy) = (&self.outcome, &self.outcome.marks, &self.outcome.icy);
        let mut lines = Vec::new();
        if marks.listeners > 0 {
            let line = format!(
                "{} listeners, {} frames: {} lost, {} corrupt, {} torn, {} out of order, {} \
                 strayed",
                marks.listeners,
                marks.frames,
                marks.lost,
                marks.corrupt,
                marks.torn,
                marks.out_of_order,
                marks.strayed
            );
            lines.push(("checked", line));
        }
        if icy.blocks > 0 {
            let line = format!(
                "{} blocks, {} titles, {} malformed, {} backwards",
                icy.blocks, icy.titles, icy.malformed, icy.backwards
            );
            lines.push(("metadata", line));
        }
        for (name, class) in [("slow", &outcome.slow), ("stopped", &outcome.stopped)] {
            if class.listeners > 0 {
                let line = format!("{}, the server closed {}", class.listeners, class.closed);
                lines.push((name, line));
            }
        }
        for (name, open) in [("half open", &outcome.half_open), ("slow head", &outcome.slow_head)] {
            if open.opened > 0 {
                let line = format!("{}, the server closed {}", open.opened, open.closed);
                lines.push((name, line));
            }
        }
        if outcome.churn.left > 0 {
            let line = format!("{} left, {} came back", outcome.churn.left, outcome.churn.rejoined);
            lines.push(("churn", line));
        }
        if outcome.storm.closed > 0 {
            let line =
                format!("{} closed, {} came back", outcome.storm.closed, outcome.storm.reconnected);
            lines.push(("storm", line));
        }
        lines
    }
}

impl Verdict {
    /// The verdict in one line.
    pub fn line(&self) -> String {
        let whose = self.crowd.as_deref().unwrap_or("server");
        format!("{whose}: {} = {}: {}", self.limit, self.allowed, self.seen)
    }
}

/// A slope of memory for people.
pub fn in_kib_per_h(slope: Slope) -> String {
    let kib_per_h = |per_s: f64| per_s * 3_600.0 / 1_024.0;
    let (likely, margin) = (kib_per_h(slope.per_s), kib_per_h(slope.margin));
    format!("{likely:+.0} ± {margin:.0} KiB an hour (95 %)")
}

/// All crowds' progress as one.
pub fn total(crowds: &[Progress]) -> Progress {
    crowds.iter().fold(Progress::default(), |sum, one| Progress {
        begun: sum.begun + one.begun,
        pending: sum.pending + one.pending,
        flowing: sum.flowing + one.flowing,
        ended: sum.ended + one.ended,
        bytes: sum.bytes + one.bytes,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outcome::Spread;

    /// Results of a run that never was, with something in every place.
    pub(crate) fn results() -> Results {
        let spread = |values: &[u64]| {
            let mut spread = Spread::default();
            values.iter().for_each(|&value| spread.record(value));
            spread
        };
        let mut outcome = Outcome {
            listeners: 4,
            with_audio: 3,
            at_end: 3,
            connect_us: spread(&[100, 200, 400]),
            audio_us: spread(&[1_000, 2_000, 9_000]),
            gap_us: spread(&[20_000, 30_000, 90_000]),
            rate: spread(&[15_900, 16_000]),
            ..Outcome::default()
        };
        outcome.failures.insert("reset".into(), 1);
        let at = |at_s: f64| Point {
            at_s,
            crowds: vec![Progress {
                flowing: 3,
                bytes: (at_s * 48e3) as u64,
                ..Progress::default()
            }],
            server: Some(crate::series::ServerPoint {
                cores: 0.5,
                threads: [("floe-core-0".to_owned(), 0.5)].into(),
                ..Default::default()
            }),
            tcp_memory: Some(4_096),
        };
        Results {
            name: "made-up".into(),
            about: "Nothing <real>.".into(),
            ended: "2024-01-01T00:00:00+0000".into(),
            server: "floe".into(),
            address: "127.0.0.1:1".into(),
            machine: Machine { cpu: "A & B".into(), ..Machine::default() },
            warnings: vec!["net.x is 1".into()],
            ramp_s: 0.25,
            held_s: 2.0,
            sources: Sources { count: 1, failures: BTreeMap::new() },
            crowds: vec![CrowdResults {
                name: "everybody".into(),
                mounts: 1,
                expected_rate: 16_000,
                ramp_s: Some(0.25),
                percentiles: Percentiles::from(&outcome),
                outcome,
            }],
            server_cost: None,
            generator_cores: 0.1,
            publisher_cores: 0.01,
            series: vec![at(0.0), at(1.0), at(2.0)],
            verdicts: vec![Verdict {
                crowd: Some("everybody".into()),
                limit: "no_drop",
                allowed: "0".into(),
                seen: "1 failed".into(),
                kept: false,
            }],
            scenario: "name = \"made-up\" # <not real>".into(),
        }
    }

    #[test]
    fn the_table_names_failures_and_broken_limits() {
        let results = results();
        let table = results.table();
        for part in ["  reset          1", "BROKEN           everybody: no_drop = 0: 1 failed"] {
            assert!(table.contains(part), "{part} in\n{table}");
        }
        assert!(!results.is_kept() && results.at_end() == 3);
        assert!(serde_json::to_string(&results).unwrap().contains("\"verdicts\""));
    }
}
