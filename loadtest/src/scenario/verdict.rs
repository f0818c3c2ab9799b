//! Limits against figures: one verdict for each stated limit, kept or broken, with both numbers.

use super::{CrowdLimits, Limits};
use crate::outcome::{Outcome, Spread};
use crate::series::Slope;
use serde::Serialize;
use std::time::Duration;

/// What became of one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The crowd it was stated for; `None` for the server.
    pub crowd: Option<String>,
    /// The limit's key.
    pub limit: &'static str,
    /// What it allows, for people.
    pub allowed: String,
    /// What was measured, for people.
    pub seen: String,
    /// Whether it was kept.
    pub kept: bool,
}

/// What the server's limits are held against; `None` is not measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// CPU while held, in cores.
    pub cores: Option<f64>,
    /// Private memory that a listener added, in bytes.
    pub bytes_per_listener: Option<f64>,
    /// Growth of private memory while held, in bytes a second.
    pub memory_slope: Option<Slope>,
    /// Descriptors at the start and at the end of holding.
    pub descriptors: Option<(u64, u64)>,
}

/// Judges the server's limits. A limit that nothing was measured for is broken: a load that
/// measured nothing has shown nothing.
pub fn judge(limits: &Limits, measured: &Measured) -> Vec<Verdict> {
    let mut bench = Bench { crowd: None, verdicts: Vec::new() };
    if let Some(most) = limits.max_server_cores {
        bench.most("max_server_cores", most, measured.cores, |cores| format!("{cores:.3} cores"));
    }
    if let Some(most) = limits.max_server_bytes_per_listener {
        let seen = measured.bytes_per_listener;
        bench.most("max_server_bytes_per_listener", most, seen, |bytes| format!("{bytes:.0} B"));
    }
    if let Some(most) = limits.max_memory_slope_kib_per_h {
        // The lower end of the interval: growth that may be chance is no proof of a leak.
        let seen = measured.memory_slope.map(|slope| {
            let kib_per_h = |per_s: f64| per_s * 3_600.0 / 1_024.0;
            (kib_per_h(slope.per_s - slope.margin), kib_per_h(slope.per_s), slope)
        });
        let text = seen.map(|(surely, likely, _)| {
            format!("{likely:.0} KiB/h, at least {surely:.0} with 95 % confidence")
        });
        let kept = seen.is_some_and(|(surely, ..)| surely <= most);
        bench.rule("max_memory_slope_kib_per_h", format!("{most:.0} KiB/h"), text, kept);
    }
    if let Some(most) = limits.max_descriptor_growth {
        let text = measured.descriptors.map(|(from, to)| format!("{from} to {to}"));
        let kept = measured.descriptors.is_some_and(|(from, to)| to.saturating_sub(from) <= most);
        bench.rule("max_descriptor_growth", format!("{most} more"), text, kept);
    }
    bench.verdicts
}

impl CrowdLimits {
    /// Judges what crowd `name` lived through. `expected_rate` is bytes a second and listener;
    /// `ramp` how long it took until all of it had audio, `None` if not all of it ever had.
    pub fn judge(
        &self,
        name: &str,
        outcome: &Outcome,
        expected_rate: u64,
        ramp: Option<Duration>,
    ) -> Vec<Verdict> {
        let mut bench = Bench { crowd: Some(name.to_owned()), verdicts: Vec::new() };
        bench.longest("max_gap", self.max_gap, &outcome.gap_us, 100.0);
        bench.longest("max_connect", self.max_connect, &outcome.audio_us, 100.0);
        if let Some(most) = self.max_ramp {
            let text = ramp.map(seconds).unwrap_or_else(|| "not all had audio".into());
            let kept = ramp.is_some_and(|ramp| ramp <= most);
            bench.rule("max_ramp", seconds(most), Some(text), kept);
        }
        bench.longest("max_delay_p99", self.max_delay_p99, &outcome.marks.delay_us, 99.0);
        if let Some(least) = self.min_rate {
            let part = outcome.rate.min() as f64 / expected_rate.max(1) as f64;
            let seen = (outcome.rate.count() > 0).then(|| format!("{part:.4} of the bitrate"));
            bench.rule("min_rate", format!("{least} of the bitrate"), seen, part >= least);
        }
        if self.no_drop == Some(true) {
            let failed = outcome.failed();
            bench.rule("no_drop", "0".into(), Some(format!("{failed} failed")), failed == 0);
        }
        if self.no_loss == Some(true) {
            let (marks, icy) = (&outcome.marks, &outcome.icy);
            let wrong = marks.wrong() + icy.wrong();
            let text = format!("{wrong} wrong of {} frames", marks.frames);
            bench.rule("no_loss", "0".into(), (marks.frames > 0).then_some(text), wrong == 0);
        }
        bench.verdicts
    }
}

/// Where verdicts are gathered.
struct Bench {
    crowd: Option<String>,
    verdicts: Vec<Verdict>,
}

impl Bench {
    fn rule(&mut self, limit: &'static str, allowed: String, seen: Option<String>, kept: bool) {
        let kept = kept && seen.is_some();
        let seen = seen.unwrap_or_else(|| "nothing measured".into());
        let crowd = self.crowd.clone();
        self.verdicts.push(Verdict { crowd, limit, allowed, seen, kept });
    }

    fn most(
        &mut self,
        limit: &'static str,
        most: f64,
        seen: Option<f64>,
        text: impl Fn(f64) -> String,
    ) {
        self.rule(limit, text(most), seen.map(&text), seen.is_some_and(|seen| seen <= most));
    }

    fn longest(
        &mut self,
        limit: &'static str,
        most: Option<Duration>,
        spread: &Spread,
        percent: f64,
    ) {
        let Some(most) = most else { return };
        let seen = Duration::from_micros(spread.percentile(percent));
        let text = (spread.count() > 0).then(|| seconds(seen));
        self.rule(limit, seconds(most), text, seen <= most);
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.3} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: CrowdLimits = CrowdLimits {
        max_gap: Some(Duration::from_millis(1_500)),
        max_connect: Some(Duration::from_millis(1)),
        max_ramp: Some(Duration::from_secs(5)),
        min_rate: Some(0.98),
        max_delay_p99: Some(Duration::from_secs(1)),
        no_drop: Some(true),
        no_loss: Some(true),
    };

    fn names(verdicts: &[Verdict], kept: bool) -> Vec<&'static str> {
        verdicts.iter().filter(|one| one.kept == kept).map(|one| one.limit).collect()
    }

    #[test]
    fn each_broken_limit_is_named_with_both_values() {
        let mut outcome = Outcome { listeners: 2, with_audio: 2, ..Outcome::default() };
        outcome.failures.insert("reset".into(), 1);
        outcome.gap_us.record(1_600_000);
        outcome.audio_us.record(2_000);
        outcome.rate.record(15_000);
        outcome.marks.frames = 10;
        outcome.marks.lost = 1;
        outcome.marks.delay_us.record(3_000);
        let verdicts = STRICT.judge("a", &outcome, 16_000, None);
        assert_eq!(names(&verdicts, true), ["max_delay_p99"]);
        assert_eq!(names(&verdicts, false).len(), 6);
        let gap = &verdicts[0];
        assert_eq!((gap.allowed.as_str(), gap.seen.starts_with("1.6")), ("1.500 s", true));
    }

    #[test]
    fn what_was_not_measured_is_broken_and_what_is_not_stated_is_not_judged() {
        let nothing = STRICT.judge("a", &Outcome::default(), 16_000, None);
        assert_eq!(names(&nothing, true), ["no_drop"]);
        let unstated = CrowdLimits::default().judge("a", &Outcome::default(), 0, None);
        assert_eq!(unstated, []);
        let limits = Limits { max_server_cores: Some(1.0), ..Limits::default() };
        assert_eq!(names(&judge(&limits, &Measured::default()), false), ["max_server_cores"]);
        let seen = Measured { cores: Some(0.5), ..Measured::default() };
        assert_eq!(names(&judge(&limits, &seen), true), ["max_server_cores"]);
    }

    #[test]
    fn memory_leaks_only_if_growth_is_more_than_chance() {
        let limits = Limits { max_memory_slope_kib_per_h: Some(100.0), ..Limits::default() };
        let grows = |per_s, margin| Measured {
            memory_slope: Some(Slope { per_s, margin }),
            ..Measured::default()
        };
        assert!(judge(&limits, &grows(50.0, 49.0))[0].kept);
        assert!(!judge(&limits, &grows(50.0, 5.0))[0].kept);
        let limits = Limits { max_descriptor_growth: Some(3), ..Limits::default() };
        let of = |from, to| Measured { descriptors: Some((from, to)), ..Measured::default() };
        assert!(judge(&limits, &of(9, 12))[0].kept && judge(&limits, &of(12, 9))[0].kept);
        assert!(!judge(&limits, &of(9, 13))[0].kept);
    }
}
