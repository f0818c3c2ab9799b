//! What the rounds of one variant have given, and the table of all. Medians, because one round in
//! which the machine did something else must not decide.

use std::io::{self, Write};

use crate::duel::{Cost, Outcome};
use crate::variants::Variant;

/// The rounds of one variant.
pub struct Series {
    pub variant: &'static Variant,
    /// Why it cannot run on this machine, if it cannot.
    pub absent: Option<io::Error>,
    ratios: Vec<f64>,
    reader_ratios: Vec<f64>,
    costs: Vec<Cost>,
}

impl Series {
    pub fn new(variant: &'static Variant) -> Self {
        let (ratios, reader_ratios, costs) = (Vec::new(), Vec::new(), Vec::new());
        Self { variant, absent: None, ratios, reader_ratios, costs }
    }

    /// Adds a round: a run on either half of the sockets. The geometric mean of both takes out what
    /// one half has over the other, as where its sockets lie in memory.
    pub fn add(&mut self, halves: &[Outcome; 2]) {
        let mean = |part: fn(&Cost) -> f64| {
            let [one, other] = halves.map(|half| part(&half.tried) / part(&half.base));
            (one * other).sqrt()
        };
        self.ratios.push(mean(|cost| cost.second_us));
        self.reader_ratios.push(mean(|cost| cost.reader_us));
        self.costs.extend(halves.map(|half| half.tried));
    }

    fn row(&self) -> String {
        if let Some(error) = &self.absent {
            return format!("| {} | not on this machine: {error} |", self.variant.name);
        }
        let us: Vec<f64> = self.costs.iter().map(|cost| cost.send_us).collect();
        let sum = |part: fn(&Cost) -> u64| self.costs.iter().map(part).sum::<u64>();
        let copied = match sum(|cost| cost.tally.copied) {
            0 => String::new(),
            copied => format!("{copied} of {} copied", sum(|cost| cost.tally.sends)),
        };
        format!(
            "| {} | {:.2} | {:.2} | {:.2} to {:.2} | {:.2} | {} | {copied} |",
            self.variant.name,
            median(&us),
            median(&self.ratios),
            self.ratios.iter().copied().fold(f64::INFINITY, f64::min),
            self.ratios.iter().copied().fold(0.0, f64::max),
            median(&self.reader_ratios),
            sum(|cost| cost.tally.short),
        )
    }
}

/// Prints the table. `ratio` is the cost of a listener's second of stream, to plain send's at
/// the same time; `reader` is the same for the CPU of who reads.
pub fn print(out: &mut impl Write, all: &[Series]) -> io::Result<()> {
    writeln!(out, "| variant | us per send | ratio | least to most | reader | short | |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    all.iter().try_for_each(|series| writeln!(out, "{}", series.row()))
}

/// The middle value, or the mean of the two in the middle; of nothing it is not a number.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}
