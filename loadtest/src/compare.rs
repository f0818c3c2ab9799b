//! Comparing two servers: the same scenario against each in turn, A B A B, so that whatever else
//! the machine does meets both; then medians and their ratio.

use crate::report::Short;
use crate::results::Results;
use crate::run;
use crate::scenario::{Machine, Scenario};
use crate::server::Choice;
use serde::Serialize;
use std::fmt::Write as _;
use std::io;

/// Two servers under one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The scenario's name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The servers, for people.
    pub servers: [String; 2],
    /// The machine that both shared.
    pub machine: Machine,
    /// Each figure, with its values round by round.
    pub figures: Vec<Compared>,
    /// The runs behind them in the order they ran: A B A B.
    pub runs: Vec<Results>,
}

/// One figure of both servers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    /// Values of each server, round by round; rounds without one are left out.
    pub values: [Vec<f64>; 2],
    /// The servers' medians.
    pub medians: [Option<f64>; 2],
    /// The second server's median over the first's.
    pub ratio: Option<f64>,
}

/// Runs `scenario` `rounds` times against both servers in turn.
///
/// # Errors
/// If a run cannot be made at all.
pub fn run(
    scenario: &Scenario,
    text: &str,
    servers: &[Choice; 2],
    rounds: u32,
) -> io::Result<Comparison> {
    let mut runs: Vec<Results> = Vec::new();
    for _ in 0..rounds {
        for server in servers {
            runs.push(run::run(scenario, text, Some(server))?);
        }
    }
    let name = |choice: &Choice| match &choice.program {
        Some(path) => format!("{} ({})", choice.kind.name(), path.display()),
        None => choice.kind.name().to_owned(),
    };
    Ok(Comparison {
        name: scenario.name.clone(),
        about: scenario.about.clone(),
        servers: [name(&servers[0]), name(&servers[1])],
        machine: Machine::look(),
        figures: figures(&runs),
        runs,
    })
}

impl Comparison {
    /// Whether every run kept all limits.
    pub fn is_kept(&self) -> bool {
        self.runs.iter().all(Results::is_kept)
    }

    /// The table of ratios.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let [one, other] = &self.servers;
        line(&mut text, ["", one, other, "ratio"]);
        for figure in &self.figures {
            let [one, other] = figure.medians.map(|median| {
                median
                    .map_or_else(|| "-".into(), |value| format!("{} {}", short(value), figure.unit))
            });
            let ratio = figure.ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
            line(&mut text, [figure.name, &one, &other, &ratio]);
        }
        for (number, run) in self.runs.iter().enumerate() {
            for verdict in run.verdicts.iter().filter(|verdict| !verdict.kept) {
                let (round, server) = (number / 2 + 1, &run.server);
                writeln!(text, "BROKEN by {server} in round {round}: {}", verdict.line())
                    .expect("writing to a String cannot fail");
            }
        }
        text
    }
}

fn line(text: &mut String, [name, one, other, ratio]: [&str; 4]) {
    writeln!(text, "{name:<28} {one:>18} {other:>18} {ratio:>8}")
        .expect("writing to a String cannot fail");
}

/// A number with three digits that count, or a whole one.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// One figure of a run; `None` if it was not measured.
type Figure = fn(&Results) -> Option<f64>;

/// What is compared: name, unit, whether more is better, and where it stands.
const FIGURES: &[(&str, &str, bool, Figure)] = &[
    ("listeners at the end", "", true, |run| Some(run.at_end() as f64)),
    ("failed", "", false, |run| Some(run.whole().failed() as f64)),
    ("let in a second", "/s", true, |run| {
        let all: u64 = run.crowds.iter().map(|crowd| crowd.outcome.with_audio).sum();
        (run.ramp_s > 0.0).then(|| all as f64 / run.ramp_s)
    }),
    ("all with audio", "s", false, |run| Some(run.ramp_s)),
    ("server CPU", "cores", false, |run| Some(run.server_cost.as_ref()?.cost.cores)),
    ("CPU a listener and second", "us", false, |run| {
        let cores = run.server_cost.as_ref()?.cost.cores;
        (run.at_end() > 0).then(|| cores * 1e6 / run.at_end() as f64)
    }),
    ("memory a listener", "B", false, |run| Some(run.server_cost.as_ref()?.bytes_per_listener)),
    ("private memory", "MiB", false, |run| {
        Some(run.server_cost.as_ref()?.cost.memory.private_dirty as f64 / MIB)
    }),
    ("longest gap, median", "ms", false, |run| of(Short::from(&run.whole().gap_us), |gap| gap.p50)),
    ("longest gap, worst", "ms", false, |run| of(Short::from(&run.whole().gap_us), |gap| gap.max)),
    ("delay, median", "ms", false, |run| {
        of(Short::from(&run.whole().marks.delay_us), |delay| delay.p50)
    }),
    ("delay, 99 %", "ms", false, |run| {
        of(Short::from(&run.whole().marks.delay_us), |delay| delay.p99)
    }),
    ("first audio, 99 %", "ms", false, |run| {
        of(Short::from(&run.whole().audio_us), |audio| audio.p99)
    }),
];

const MIB: f64 = 1_048_576.0;

/// Milliseconds of a distribution of microseconds; `None` if it is empty.
fn of(short: Short, value: fn(&Short) -> u64) -> Option<f64> {
    (short.count > 0).then(|| value(&short) as f64 / 1_000.0)
}

/// All figures of runs that took turns.
fn figures(runs: &[Results]) -> Vec<Compared> {
    let compared = |&(name, unit, more_is_better, figure): &(_, _, _, Figure)| {
        let of_server =
            |first: usize| runs.iter().skip(first).step_by(2).filter_map(figure).collect();
        let values: [Vec<f64>; 2] = [of_server(0), of_server(1)];
        let medians = [median(&values[0]), median(&values[1])];
        let ratio = match medians {
            [Some(one), Some(other)] if one > 0.0 => Some(other / one),
            _ => None,
        };
        Compared { name, unit, more_is_better, values, medians, ratio }
    };
    FIGURES.iter().map(compared).collect()
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::tests::results;

    pub(crate) fn comparison() -> Comparison {
        let slow = Results { ramp_s: 1.0, server: "icecast2".into(), ..results() };
        let runs = vec![results(), slow.clone(), results(), slow];
        Comparison {
            name: "made-up".into(),
            about: String::new(),
            servers: ["floe".into(), "icecast2".into()],
            machine: Machine::default(),
            figures: figures(&runs),
            runs,
        }
    }

    #[test]
    fn medians_are_the_middle_and_ratios_the_second_over_the_first() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        let comparison = comparison();
        let ramp = comparison.figures.iter().find(|one| one.name == "all with audio").unwrap();
        assert_eq!(ramp.medians, [Some(0.25), Some(1.0)]);
        assert_eq!((ramp.values[0].len(), ramp.ratio), (2, Some(4.0)));
        let cpu = comparison.figures.iter().find(|one| one.name == "server CPU").unwrap();
        assert_eq!((cpu.medians, cpu.ratio), ([None, None], None));
    }

    #[test]
    fn the_table_has_both_servers_and_what_was_broken() {
        let table = comparison().table();
        assert!(table.contains("all with audio") && table.contains("4.00"), "{table}");
        assert!(table.contains("BROKEN by icecast2 in round 2: everybody: no_drop"), "{table}");
    }
}
