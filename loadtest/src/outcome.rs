//! What a load found out: counters and histograms that add up over listeners and over workers.
//! Values only. They travel from a worker to its parent as JSON.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A distribution of whole numbers (microseconds, or bytes a second) from 1 to 2^36, to three
/// significant digits. Its JSON is a list of `[value, count]` pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<(u64, u64)>", from = "Vec<(u64, u64)>")]
pub struct Spread(Histogram<u64>);

impl Spread {
    /// Counts one value. Zero counts as one, and values above 2^36 (19 hours) as 2^36.
    pub fn record(&mut self, value: u64) {
        self.0.saturating_record(value);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all spreads have the same bounds");
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The smallest value, zero if there is none.
    pub fn min(&self) -> u64 {
        if self.count() == 0 { 0 } else { self.0.min() }
    }

    /// The largest value, zero if there is none.
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The value below which `percent` of the counted values lie.
    pub fn percentile(&self, percent: f64) -> u64 {
        self.0.value_at_percentile(percent)
    }
}

impl Default for Spread {
    fn default() -> Self {
        let bounds = Histogram::new_with_bounds(1, VALUE_MAX, 3);
        Self(bounds.expect("one to 2^36 to three digits is a possible histogram"))
    }
}

impl From<Spread> for Vec<(u64, u64)> {
    fn from(spread: Spread) -> Self {
        let recorded = spread.0.iter_recorded();
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }
}

impl From<Vec<(u64, u64)>> for Spread {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        let mut spread = Self::default();
        for (value, count) in pairs {
            spread.0.saturating_record_n(value, count);
        }
        spread
    }
}

const VALUE_MAX: u64 = 1 << 36;

/// What checked listeners saw of the marks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MarkTally {
    /// Connections whose frames were checked.
    pub listeners: u64,
    /// Frames of which every byte was as sent.
    pub frames: u64,
    /// Frames missing between two good ones.
    pub lost: u64,
    /// Frames that came again or after a later one.
    pub out_of_order: u64,
    /// Frames in their place with a wrong byte.
    #[serde(default)]
    pub corrupt: u64,
    /// Places where a frame was cut off, or bytes came between two.
    pub torn: u64,
    /// Frames of another stream than the one the listener began with.
    pub strayed: u64,
    /// Connections whose first byte began no frame.
    pub joined_mid_frame: u64,
    /// Source-to-listener delay of each frame, in us.
    pub delay_us: Spread,
}

impl MarkTally {
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.listeners += other.listeners;
        self.frames += other.frames;
        self.lost += other.lost;
        self.out_of_order += other.out_of_order;
        self.corrupt += other.corrupt;
        self.torn += other.torn;
        self.strayed += other.strayed;
        self.joined_mid_frame += other.joined_mid_frame;
        self.delay_us.merge(&other.delay_us);
    }

    /// Frames that did not arrive as they were sent. A join in the middle of a frame is not one.
    pub fn wrong(&self) -> u64 {
        self.lost + self.out_of_order + self.corrupt + self.torn + self.strayed
    }
}

/// What checked listeners saw of ICY metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IcyTally {
    /// Metadata blocks, empty ones included.
    pub blocks: u64,
    /// Blocks with text.
    pub titles: u64,
    /// Blocks with text that is no ICY metadata: the grid was off.
    pub malformed: u64,
    /// Titles of `publish --titles-every`.
    #[serde(default)]
    pub numbered: u64,
    /// Those of them with a lower number than the one before, within one connection.
    #[serde(default)]
    pub backwards: u64,
}

impl IcyTally {
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.titles += other.titles;
        self.malformed += other.malformed;
        self.numbered += other.numbered;
        self.backwards += other.backwards;
    }

    /// Blocks that are not as they should be.
    pub fn wrong(&self) -> u64 {
        self.malformed + self.backwards
    }
}

/// What became of listeners that misbehave on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassTally {
    /// Listeners of the class that got audio.
    pub listeners: u64,
    /// Those of them that the server closed.
    pub closed: u64,
    /// Bytes they took.
    pub bytes: u64,
}

impl ClassTally {
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.listeners += other.listeners;
        self.closed += other.closed;
        self.bytes += other.bytes;
    }
}

/// What became of connections that never send a whole request. None of them is a failure, unless it
/// could not be opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenTally {
    /// Connections that TCP opened.
    pub opened: u64,
    /// Those of them that the server closed.
    pub closed: u64,
    /// Those of them that were open at the end.
    pub still_open: u64,
    /// Time from the start of connecting until the server closed, in us.
    pub closed_us: Spread,
}

impl OpenTally {
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.still_open += other.still_open;
        self.closed_us.merge(&other.closed_us);
    }
}

/// Listeners that left and came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChurnTally {
    /// Times that a listener left.
    pub left: u64,
    /// Times that one had audio again afterwards.
    pub rejoined: u64,
}

/// A storm: all listeners closed at once and connected again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StormTally {
    /// Listeners that closed, those aside that never ask for a stream.
    pub closed: u64,
    /// Those of them that had audio again.
    pub reconnected: u64,
    /// Time from the storm's moment until a listener had audio again, in us.
    pub served_us: Spread,
}

impl StormTally {
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.closed += other.closed;
        self.reconnected += other.reconnected;
        self.served_us.merge(&other.served_us);
    }
}

/// How far a worker's listeners have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Listeners that have begun to connect.
    pub begun: u64,
    /// Listeners that have not come as far as they mean to and have not failed: until their first
    /// audio, or until TCP is open for those that never ask. Who comes back is not pending again.
    pub pending: u64,
    /// Listeners that have audio now.
    pub flowing: u64,
    /// Listeners that ended.
    pub ended: u64,
    /// Body bytes so far.
    pub bytes: u64,
}

/// What all listeners of a worker, or of a load, lived through. Times, gaps and rates count for
/// each connection anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Listeners that were to connect.
    pub listeners: u64,
    /// Those that got audio.
    pub with_audio: u64,
    /// Those that still had a connection at the end.
    pub at_end: u64,
    /// Steady listeners that ended early, by kind; other classes count in their own tally.
    pub failures: BTreeMap<String, u64>,
    /// Body bytes of steady listeners.
    pub bytes: u64,
    /// Time until TCP was connected, in us.
    pub connect_us: Spread,
    /// Time from the start of connecting until the response head was whole, in us.
    pub head_us: Spread,
    /// Time from the start of connecting until the first audio, in us.
    pub audio_us: Spread,
    /// Each steady connection's longest time without bytes after its first audio, in us.
    pub gap_us: Spread,
    /// Each steady connection's rate once settled, in bytes a second.
    pub rate: Spread,
    /// Listeners that read too slowly.
    pub slow: ClassTally,
    /// Listeners that stopped reading.
    pub stopped: ClassTally,
    /// Listeners that connected and sent nothing.
    #[serde(default)]
    pub half_open: OpenTally,
    /// Listeners that sent their request one byte a second.
    #[serde(default)]
    pub slow_head: OpenTally,
    /// Listeners that left and came back.
    #[serde(default)]
    pub churn: ChurnTally,
    /// The storm, if there was one.
    #[serde(default)]
    pub storm: StormTally,
    /// What the checked sample saw.
    pub marks: MarkTally,
    /// The same for metadata.
    pub icy: IcyTally,
}

impl Outcome {
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.listeners += other.listeners;
        self.with_audio += other.with_audio;
        self.at_end += other.at_end;
        for (kind, count) in &other.failures {
            *self.failures.entry(kind.clone()).or_default() += count;
        }
        self.bytes += other.bytes;
        self.connect_us.merge(&other.connect_us);
        self.head_us.merge(&other.head_us);
        self.audio_us.merge(&other.audio_us);
        self.gap_us.merge(&other.gap_us);
        self.rate.merge(&other.rate);
        self.slow.merge(&other.slow);
        self.stopped.merge(&other.stopped);
        self.half_open.merge(&other.half_open);
        self.slow_head.merge(&other.slow_head);
        self.churn.left += other.churn.left;
        self.churn.rejoined += other.churn.rejoined;
        self.storm.merge(&other.storm);
        self.marks.merge(&other.marks);
        self.icy.merge(&other.icy);
    }

    /// Steady listeners that ended before the load did.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_survives_json_to_its_precision() {
        let mut spread = Spread::default();
        for value in [0, 1, 999, 40_000, 1_130_000, u64::MAX] {
            spread.record(value);
        }
        let json = serde_json::to_string(&spread).unwrap();
        let back: Spread = serde_json::from_str(&json).unwrap();
        assert_eq!(back.count(), 6);
        for percent in [10.0, 50.0, 99.0, 100.0] {
            let (there, here) = (back.percentile(percent), spread.percentile(percent));
            assert!(there.abs_diff(here) <= here / 500, "{percent}: {there} for {here}");
        }
    }

    #[test]
    fn outcomes_add_up() {
        let mut one = Outcome { listeners: 2, bytes: 10, ..Outcome::default() };
        one.failures.insert("reset".into(), 1);
        one.gap_us.record(5);
        one.churn = ChurnTally { left: 3, rejoined: 2 };
        one.storm.served_us.record(9);
        one.half_open.still_open = 4;
        one.marks.corrupt = 1;
        one.icy.backwards = 1;
        let mut both = one.clone();
        both.merge(&one);
        assert_eq!((both.listeners, both.bytes, both.failed(), both.gap_us.count()), (4, 20, 2, 2));
        assert_eq!((both.churn.left, both.churn.rejoined, both.half_open.still_open), (6, 4, 8));
        assert_eq!((both.storm.served_us.count(), both.marks.wrong(), both.icy.wrong()), (2, 2, 2));
    }

    #[test]
    fn an_empty_spread_is_all_zero() {
        let spread = Spread::default();
        assert_eq!((spread.min(), spread.max(), spread.percentile(50.0)), (0, 0, 0));
    }
}
