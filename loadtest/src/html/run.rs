//! The page about one run of a scenario.

use super::chart::{Curve, OverTime, Percentiles};
use super::scale::Scale;
use super::{badge, escaped, key, machine_table, page, scale, section, table};
use crate::outcome::{Outcome, Spread};
use crate::report::Short;
use crate::results::{Results, in_kib_per_h};
use crate::series::{Point, ServerPoint};
use std::collections::BTreeMap;

/// The page about `results`.
pub fn run_page(results: &Results) -> String {
    let kept = if results.verdicts.is_empty() { "" } else { badge(results.is_kept()) };
    let (name, about) = (escaped(&results.name), escaped(&results.about));
    let facts = format!(
        "{} at {} · ended {} · joined in {} · held for {}",
        escaped(&results.server),
        escaped(&results.address),
        escaped(&results.ended),
        scale::time(results.ramp_s),
        scale::time(results.held_s)
    );
    let mut body = format!(
        "<header><h1>{name} {kept}</h1>\n<p>{about}</p>\n<p class=\"soft\">{facts}</p></header>\n"
    );
    body += &keys(results);
    body += &section("Limits", &limits(results));
    body += &section("Over time", &charts(&over_time(results)));
    body += &section("Distributions", &charts(&distributions(results)));
    body += &section("Crowds", &crowds(results));
    body += &section("Errors", &errors(results));
    body += &section("Machine", &machine(results));
    let text = escaped(&results.scenario);
    body += &section("Scenario", &format!("<div class=\"card\"><pre>{text}</pre></div>"));
    page(&format!("{}: {}", results.name, results.server), &body)
}

fn keys(results: &Results) -> String {
    let whole = results.whole();
    let ms = |short: Short, value: u64| (short.count > 0).then(|| scale::time(value as f64 / 1e6));
    let (gap, delay) = (Short::from(&whole.gap_us), Short::from(&whole.marks.delay_us));
    let mut keys = String::from("<div class=\"keys\">\n");
    let of = format!("of {}", whole.listeners);
    keys += &key("listeners at the end", &results.at_end().to_string(), &of);
    keys += &key("all with audio after", &scale::time(results.ramp_s), "");
    if let Some(gap) = ms(gap, gap.max) {
        keys += &key("longest gap", &gap, "");
    }
    if let Some(delay) = ms(delay, delay.p99) {
        keys += &key("delay, 99 %", &delay, "");
    }
    if whole.marks.frames > 0 {
        let wrong = whole.marks.wrong();
        let frames = format!("of {}", scale::plain(whole.marks.frames as f64));
        keys += &key("frames wrong", &wrong.to_string(), &frames);
    }
    if let Some(cost) = &results.server_cost {
        keys += &key("server CPU", &format!("{:.2}", cost.cost.cores), "cores");
        keys += &key("memory a listener", &scale::bytes(cost.bytes_per_listener), "");
    }
    keys + "</div>\n"
}

fn limits(results: &Results) -> String {
    let row = |verdict: &crate::scenario::Verdict| {
        vec![
            badge(verdict.kept).to_owned(),
            escaped(verdict.crowd.as_deref().unwrap_or("server")),
            escaped(verdict.limit),
            escaped(&verdict.allowed),
            escaped(&verdict.seen),
        ]
    };
    let rows: Vec<_> = results.verdicts.iter().map(row).collect();
    table(&["", "whose", "limit", "#allowed", "#measured"], &rows)
}

fn charts(figures: &str) -> String {
    if figures.is_empty() {
        String::new()
    } else {
        format!("<div class=\"charts\">\n{figures}</div>")
    }
}

fn over_time(results: &Results) -> String {
    let chart = |title, about, curves, unit| OverTime {
        title,
        about,
        curves,
        stacked: false,
        scale: Scale::up_to,
        unit,
        held_from: results.ramp_s,
    };
    let in_bytes = |title, about, curves| OverTime {
        scale: Scale::of_bytes,
        ..chart(title, about, curves, scale::bytes)
    };
    let flowing = |point: &Point, crowd: usize| point.crowds.get(crowd).map(|of| of.flowing as f64);
    let listeners = by_crowd(results, flowing);
    let memory = vec![
        of_server("resident", results, |server| Some(server.memory.rss as f64)),
        of_server("private", results, |server| Some(server.memory.private_dirty as f64)),
    ];
    let tcp = results.series.iter().filter_map(|at| Some((at.at_s, at.tcp_memory? as f64)));
    let tcp = vec![Curve { name: "TCP".into(), points: tcp.collect() }];
    let open = vec![of_server("open", results, |server| Some(server.descriptors? as f64))];
    let cores =
        chart("Server CPU", "by thread, in cores", cpu(results), |cores| format!("{cores:.2}"));
    [
        chart("Listeners", "with audio, by crowd", listeners, scale::plain),
        chart("Throughput", "audio that arrived", throughput(results), scale::bits),
        OverTime { stacked: true, ..cores },
        in_bytes("Server memory", "resident, and of that private: what its end would free", memory),
        in_bytes("TCP buffers", "both ends of every connection", tcp),
        chart("Server descriptors", "open, in all its tables", open, scale::plain),
    ]
    .iter()
    .map(OverTime::figure)
    .collect()
}

fn by_crowd(results: &Results, value: impl Fn(&Point, usize) -> Option<f64>) -> Vec<Curve> {
    let curve = |(number, crowd): (usize, &crate::results::CrowdResults)| Curve {
        name: crowd.name.clone(),
        points: results
            .series
            .iter()
            .filter_map(|at| Some((at.at_s, value(at, number)?)))
            .collect(),
    };
    results.crowds.iter().enumerate().map(curve).collect()
}

fn of_server(name: &str, results: &Results, value: fn(&ServerPoint) -> Option<f64>) -> Curve {
    let point = |at: &Point| Some((at.at_s, value(at.server.as_ref()?)?));
    Curve { name: name.into(), points: results.series.iter().filter_map(point).collect() }
}

fn throughput(results: &Results) -> Vec<Curve> {
    let curve = |(number, crowd): (usize, &crate::results::CrowdResults)| {
        let bytes = |at: &Point| at.crowds.get(number).map_or(0, |of| of.bytes);
        let rate = |pair: &[Point]| {
            let span = (pair[1].at_s - pair[0].at_s).max(1e-3);
            (pair[1].at_s, bytes(&pair[1]).saturating_sub(bytes(&pair[0])) as f64 / span)
        };
        Curve { name: crowd.name.clone(), points: results.series.windows(2).map(rate).collect() }
    };
    results.crowds.iter().enumerate().map(curve).collect()
}

/// The busiest threads with a curve each, and all others as one.
fn cpu(results: &Results) -> Vec<Curve> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    let points = || results.series.iter().filter_map(|at| Some((at.at_s, at.server.as_ref()?)));
    for (_, server) in points() {
        for (name, cores) in &server.threads {
            *sums.entry(name).or_default() += cores;
        }
    }
    let mut names: Vec<_> = sums.into_iter().collect();
    names.sort_by(|one, other| other.1.total_cmp(&one.1));
    names.truncate(THREADS_SHOWN);
    let named = |(name, _): &(&str, f64)| Curve {
        name: (*name).to_owned(),
        points: points()
            .map(|(at, server)| (at, server.threads.get(*name).copied().unwrap_or(0.0)))
            .collect(),
    };
    let mut curves: Vec<_> = names.iter().map(named).collect();
    let rest = |(at, server): (f64, &ServerPoint)| {
        let shown: f64 = names.iter().filter_map(|(name, _)| server.threads.get(*name)).sum();
        (at, (server.cores - shown).max(0.0))
    };
    let others: Vec<_> = points().map(rest).collect();
    if others.iter().any(|(_, cores)| *cores > 0.01) {
        curves.push(Curve { name: "others".into(), points: others });
    }
    curves
}

fn distributions(results: &Results) -> String {
    let chart = |title, about, spread: fn(&Outcome) -> &Spread, limit: Option<&str>| {
        let spreads =
            results.crowds.iter().map(|crowd| (crowd.name.as_str(), spread(&crowd.outcome)));
        let limit = limit.and_then(|name| the_limit(results, name));
        Percentiles { title, about, spreads: spreads.collect(), limit }.figure()
    };
    [
        chart("Connect", "until TCP was connected", |of| &of.connect_us, None),
        chart(
            "First audio",
            "from the start of connecting",
            |of| &of.audio_us,
            Some("max_connect"),
        ),
        chart(
            "Longest gap",
            "each listener's longest time without bytes",
            |of| &of.gap_us,
            Some("max_gap"),
        ),
        chart(
            "Delay",
            "from the source's send to the listener, each checked frame",
            |of| &of.marks.delay_us,
            None,
        ),
        chart("Storm", "until served again", |of| &of.storm.served_us, None),
    ]
    .concat()
}

/// What limit `name` allows, in seconds, if it is the same for all crowds.
fn the_limit(results: &Results, name: &str) -> Option<f64> {
    let mut stated = results.verdicts.iter().filter(|verdict| verdict.limit == name);
    let first = &stated.next()?.allowed;
    stated.all(|verdict| verdict.allowed == *first).then_some(())?;
    first.split(' ').next()?.parse().ok()
}

fn crowds(results: &Results) -> String {
    let span = |us: u64| scale::time(us as f64 / 1e6);
    let row = |crowd: &crate::results::CrowdResults| {
        let figures = &crowd.percentiles;
        let rate = figures.rate.min as f64 / crowd.expected_rate.max(1) as f64;
        let measured =
            |short: Short, text: String| if short.count > 0 { text } else { "–".into() };
        let mut name = escaped(&crowd.name);
        for (what, line) in crowd.sample_lines() {
            name += &format!("<br><small class=\"soft\">{what}: {}</small>", escaped(&line));
        }
        vec![
            name,
            format!("{} of {}", crowd.outcome.with_audio, crowd.outcome.listeners),
            crowd.ramp_s.map_or_else(|| "not all".into(), scale::time),
            measured(figures.audio_us, span(figures.audio_us.p99)),
            measured(figures.gap_us, span(figures.gap_us.max)),
            measured(figures.delay_us, span(figures.delay_us.p99)),
            measured(figures.rate, format!("{rate:.3}")),
        ]
    };
    let head = [
        "crowd",
        "#with audio",
        "#all after",
        "#first audio, 99 %",
        "#longest gap",
        "#delay, 99 %",
        "#least rate",
    ];
    table(&head, &results.crowds.iter().map(row).collect::<Vec<_>>())
}

fn errors(results: &Results) -> String {
    let mut rows = Vec::new();
    for (kind, count) in &results.sources.failures {
        rows.push(vec!["sources".into(), escaped(kind), count.to_string()]);
    }
    for crowd in &results.crowds {
        for (kind, count) in &crowd.outcome.failures {
            rows.push(vec![escaped(&crowd.name), escaped(kind), count.to_string()]);
        }
    }
    if rows.is_empty() {
        return "<div class=\"card good\">None.</div>".into();
    }
    table(&["whose", "kind", "#count"], &rows)
}

fn machine(results: &Results) -> String {
    let mut rows = vec![
        vec!["Generator".into(), format!("{:.2} cores", results.generator_cores)],
        vec!["Sources".into(), format!("{:.2} cores", results.publisher_cores)],
    ];
    if let Some(cost) = &results.server_cost {
        if let Some(slope) = cost.memory_slope {
            rows.push(vec!["Server memory while held".into(), escaped(&in_kib_per_h(slope))]);
        }
        if let Some((from, to)) = cost.descriptors {
            rows.push(vec!["Server descriptors while held".into(), format!("{from} to {to}")]);
        }
    }
    for warning in &results.warnings {
        rows.push(vec!["<span class=\"bad\">Warning</span>".into(), escaped(warning)]);
    }
    let costs = table(&["", ""], &rows);
    format!("<div class=\"charts\">{}\n{costs}</div>", machine_table(&results.machine))
}

/// As many as have colours of their own, the others aside.
const THREADS_SHOWN: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;

    #[test]
    fn the_page_stands_alone_and_escapes_what_others_wrote() {
        let page = run_page(&results());
        for part in
            ["Nothing &lt;real&gt;.", "# &lt;not real&gt;", "A &amp; B", "✗ broken", "reset"]
        {
            assert!(page.contains(part), "{part}");
        }
        for outside in ["<script", "http://", "https://", "@import", "url(", "NaN"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_chart_that_has_figures_is_there() {
        let page = run_page(&results());
        for title in
            ["Listeners", "Throughput", "Server CPU", "Connect", "First audio", "Longest gap"]
        {
            assert!(page.contains(&format!("<title>{title}</title>")), "{title}");
        }
        // Nothing was checked in these results, so there is no delay to draw.
        assert!(!page.contains("<title>Delay</title>"));
    }

    #[test]
    fn threads_beyond_the_colours_are_drawn_as_one() {
        let mut results = results();
        for point in &mut results.series {
            let server = point.server.as_mut().unwrap();
            server.threads = (0..20).map(|n| (format!("t{n}"), 0.1)).collect();
            server.cores = 2.0;
        }
        let curves = cpu(&results);
        assert_eq!(curves.len(), THREADS_SHOWN + 1);
        let total: f64 = curves.iter().map(|curve| curve.points[0].1).sum();
        assert!((total - 2.0).abs() < 1e-9);
    }
}
