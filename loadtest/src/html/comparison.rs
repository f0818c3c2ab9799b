//! The page about two servers under one scenario.

use super::chart::Percentiles;
use super::{badge, escaped, machine_table, page, section, table};
use crate::compare::{Compared, Comparison, short};
use crate::outcome::{Outcome, Spread};

/// The page about `comparison`.
pub fn comparison_page(comparison: &Comparison) -> String {
    let [one, other] = comparison.servers.each_ref().map(|name| escaped(name));
    let (name, about) = (escaped(&comparison.name), escaped(&comparison.about));
    let rounds = match comparison.runs.len() / 2 {
        1 => "One round".into(),
        several => format!("{several} rounds in turn"),
    };
    let mut body = format!(
        "<header><h1>{name}: {one} and {other}</h1>\n<p>{about}</p>\n<p class=\"soft\">{rounds}. \
         Values are medians over the rounds; the ratio is {other} over {one}.</p>\
         </header>\n"
    );
    body += &section("Figures", &figures(comparison));
    body += &section("Distributions of the last round", &distributions(comparison));
    body += &section("Round by round", &rounds_table(comparison));
    body += &section("Limits", &limits(comparison));
    body += &section("Machine", &machine_table(&comparison.machine));
    if let Some(run) = comparison.runs.first() {
        let text = escaped(&run.scenario);
        body += &section("Scenario", &format!("<div class=\"card\"><pre>{text}</pre></div>"));
    }
    page(&format!("{}: {} and {}", comparison.name, one, other), &body)
}

fn figures(comparison: &Comparison) -> String {
    let [one, other] = &comparison.servers;
    let (one, other) = (format!("#{one}"), format!("#{other}"));
    let row = |figure: &Compared| {
        let value = |server: usize| {
            let text =
                figure.medians[server].map(|value| format!("{} {}", short(value), figure.unit));
            text.unwrap_or_else(|| "–".into())
        };
        let ratio = figure.ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
        // Below a tenth apart, rounds of one server differ as much.
        let class = match figure.ratio {
            Some(ratio) if (0.9..=1.1).contains(&ratio) => "",
            Some(ratio) if (ratio > 1.0) == figure.more_is_better => "good",
            Some(_) => "bad",
            None => "",
        };
        let ratio = format!("<span class=\"{class}\">{ratio}</span>");
        vec![escaped(figure.name), value(0), value(1), ratio]
    };
    let rows: Vec<_> = comparison.figures.iter().map(row).collect();
    table(&["figure", &one, &other, "#ratio"], &rows)
}

fn distributions(comparison: &Comparison) -> String {
    let Some([one, other]) = comparison.runs.last_chunk::<2>() else { return String::new() };
    let (one, other) = (one.whole(), other.whole());
    let [one_name, other_name] = &comparison.servers;
    // Two builds of one server have one name and differ by their path.
    let chart = |title, about, spread: fn(&Outcome) -> &Spread| {
        let spreads =
            vec![(one_name.as_str(), spread(&one)), (other_name.as_str(), spread(&other))];
        Percentiles { title, about, spreads, limit: None }.figure()
    };
    let figures = [
        chart("Connect", "until TCP was connected", |of| &of.connect_us),
        chart("First audio", "from the start of connecting", |of| &of.audio_us),
        chart("Longest gap", "each listener's longest time without bytes", |of| &of.gap_us),
        chart("Delay", "each checked frame", |of| &of.marks.delay_us),
    ];
    format!("<div class=\"charts\">\n{}</div>", figures.concat())
}

fn rounds_table(comparison: &Comparison) -> String {
    let [one, other] = &comparison.servers;
    let list = |values: &[f64]| values.iter().copied().map(short).collect::<Vec<_>>().join(" · ");
    let row = |figure: &Compared| {
        let unit = if figure.unit.is_empty() { "" } else { ", " };
        let name = format!("{}{unit}{}", figure.name, figure.unit);
        vec![escaped(&name), list(&figure.values[0]), list(&figure.values[1])]
    };
    let (one, other) = (format!("#{one}"), format!("#{other}"));
    let rows: Vec<_> = comparison.figures.iter().map(row).collect();
    table(&["figure", &one, &other], &rows)
}

fn limits(comparison: &Comparison) -> String {
    let mut rows = Vec::new();
    for (number, run) in comparison.runs.iter().enumerate() {
        for verdict in &run.verdicts {
            rows.push(vec![
                badge(verdict.kept).to_owned(),
                format!("{}, round {}", escaped(&run.server), number / 2 + 1),
                escaped(&verdict.line()),
            ]);
        }
    }
    table(&["", "server", "limit"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::comparison;

    #[test]
    fn the_page_names_both_servers_and_colours_what_is_worse() {
        let page = comparison_page(&comparison());
        assert!(page.contains("made-up: floe and icecast2"));
        assert!(page.contains("<span class=\"bad\">4.00</span>"));
        assert!(page.contains("0.25 · 0.25") && page.contains("icecast2, round 2"));
        assert!(!page.contains("<script") && !page.contains("http://"));
    }
}
