//! What a person sees while a scenario runs: bars on a terminal, a plain line now and then anywhere
//! else. It owns the crate that draws the bars.

use crate::outcome::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A live display on standard error.
#[derive(Debug)]
pub struct Display {
    terminal: Option<Bars>,
    told_at: Option<Instant>,
}

#[derive(Debug)]
struct Bars {
    phase: ProgressBar,
    crowds: Vec<ProgressBar>,
    all: MultiProgress,
}

impl Display {
    /// A display with a bar for each crowd: its name and how many listeners it has.
    pub fn new<'a>(crowds: impl Iterator<Item = (&'a str, u64)>) -> Self {
        let terminal = io::stderr().is_terminal().then(|| Bars::new(crowds));
        Self { terminal, told_at: None }
    }

    /// Says what is being done now.
    pub fn phase(&mut self, what: &str) {
        match &self.terminal {
            Some(bars) => bars.phase.set_message(what.to_owned()),
            None => say(what),
        }
    }

    /// Shows how far the crowds are, `at` after the start.
    pub fn show(&mut self, at: Duration, crowds: &[Progress]) {
        if let Some(bars) = &self.terminal {
            bars.phase.tick();
            for (bar, progress) in bars.crowds.iter().zip(crowds) {
                bar.set_position(progress.flowing);
                let ended = progress.ended;
                bar.set_message(if ended > 0 { format!("{ended} ended") } else { String::new() });
            }
        } else if self.told_at.is_none_or(|told| told.elapsed() >= PLAIN_EVERY) {
            self.told_at = Some(Instant::now());
            let sum = crate::results::total(crowds);
            let seconds = at.as_secs_f64();
            say(&format!("{seconds:6.1} s  {} with audio, {} ended", sum.flowing, sum.ended));
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bars) = &self.terminal {
            // Bars that stay behind are no loss.
            let _ = bars.all.clear();
        }
    }
}

impl Bars {
    fn new<'a>(crowds: impl Iterator<Item = (&'a str, u64)>) -> Self {
        let all = MultiProgress::new();
        let style = |template| {
            ProgressStyle::with_template(template).expect("the templates below are valid")
        };
        let phase = all.add(ProgressBar::new_spinner());
        phase.set_style(style("{spinner} {msg} {elapsed}"));
        let bar = |(name, listeners): (&str, u64)| {
            let bar = all.add(ProgressBar::new(listeners));
            bar.set_style(style("  {prefix:>16} {bar:30} {pos}/{len} {msg}"));
            bar.set_prefix(name.to_owned());
            bar
        };
        Self { phase, crowds: crowds.map(bar).collect(), all }
    }
}

fn say(line: &str) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A log of a long run stays short enough to read.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_templates_are_valid() {
        let bars = Bars::new([("all", 5)].into_iter());
        assert_eq!(bars.crowds[0].length(), Some(5));
    }
}
