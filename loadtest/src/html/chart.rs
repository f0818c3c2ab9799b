//! Charts as inline SVG: lines and stacked areas over time, and percentiles on a logarithmic axis.
//! Colours come from the page's style, so that light and dark are the reader's.

use super::escaped;
use super::scale::{Scale, percentile_place, time};
use crate::outcome::Spread;
use std::fmt::Write as _;

/// A curve over time: its name and (seconds, value).
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart over time.
pub(super) struct OverTime<'a> {
    pub(super) title: &'a str,
    pub(super) about: &'a str,
    pub(super) curves: Vec<Curve>,
    /// Whether curves stand on each other.
    pub(super) stacked: bool,
    /// How values are scaled.
    pub(super) scale: fn(f64, f64) -> Scale,
    /// How a value is written.
    pub(super) unit: fn(f64) -> String,
    /// When holding began.
    pub(super) held_from: f64,
}

/// A chart of percentiles.
pub(super) struct Percentiles<'a> {
    pub(super) title: &'a str,
    pub(super) about: &'a str,
    /// Distributions of microseconds with their names; empty ones are left out.
    pub(super) spreads: Vec<(&'a str, &'a Spread)>,
    /// A line that must not be crossed, in seconds. It is drawn unless it is so far above the data
    /// that they would lie on the ground.
    pub(super) limit: Option<f64>,
}

impl OverTime<'_> {
    /// The figure; nothing if no curve has two points.
    pub(super) fn figure(&self) -> String {
        if !self.curves.iter().any(|curve| curve.points.len() > 1) {
            return String::new();
        }
        let layers = if self.stacked { stacked(&self.curves) } else { self.lines() };
        let top = layers.iter().flatten().map(|point| point.2).fold(0.0, f64::max);
        let end = layers.iter().flatten().map(|point| point.0).fold(0.0, f64::max);
        let high = (self.scale)(top, 4.0);
        let wide = Scale::of_time(end, 7.0);
        let mut svg = Svg::open(self.title);
        svg.value_axis(&high, self.unit);
        for tick in wide.ticks() {
            svg.label_below(wide.place(tick), &time(tick));
        }
        let place = |(x, y): (f64, f64)| (wide.place(x), high.place(y));
        for (number, layer) in layers.iter().enumerate().rev() {
            let upper: Vec<_> = layer.iter().map(|point| place((point.0, point.2))).collect();
            let lower: Vec<_> = layer.iter().map(|point| place((point.0, point.1))).collect();
            if self.stacked {
                svg.area(number, "area", &upper, &lower);
            } else {
                if self.curves.len() == 1 {
                    svg.area(number, "wash", &upper, &lower);
                }
                svg.line(number, &upper);
            }
        }
        if self.held_from > 0.0 {
            svg.upright(wide.place(self.held_from), "all on");
        }
        let names: Vec<_> = self.curves.iter().map(|curve| curve.name.as_str()).collect();
        figure(self.title, self.about, &svg.close(), &names)
    }

    fn lines(&self) -> Vec<Vec<(f64, f64, f64)>> {
        let flat = |curve: &Curve| curve.points.iter().map(|&(x, y)| (x, 0.0, y)).collect();
        self.curves.iter().map(flat).collect()
    }
}

/// Layers on each other: (seconds, from, to). All curves have the same seconds.
fn stacked(curves: &[Curve]) -> Vec<Vec<(f64, f64, f64)>> {
    let mut ground: Vec<f64> = Vec::new();
    let layer = |curve: &Curve| {
        ground.resize(curve.points.len().max(ground.len()), 0.0);
        let on = |(&(x, y), ground): (&(f64, f64), &mut f64)| {
            let from = *ground;
            *ground += y;
            (x, from, *ground)
        };
        curve.points.iter().zip(&mut ground).map(on).collect()
    };
    curves.iter().map(layer).collect()
}

impl Percentiles<'_> {
    /// The figure; nothing if no distribution has a value.
    pub(super) fn figure(&self) -> String {
        let spreads: Vec<_> =
            self.spreads.iter().filter(|(_, spread)| spread.count() > 0).collect();
        let most = spreads.iter().map(|(_, spread)| spread.count()).max().unwrap_or(0);
        if most == 0 {
            return String::new();
        }
        // As many nines as there are values to tell them apart.
        let nines = (most as f64).log10().ceil().clamp(2.0, 6.0);
        let top = spreads.iter().map(|(_, spread)| spread.max()).max().unwrap_or(0) as f64 / 1e6;
        let near = self.limit.filter(|limit| *limit <= LIMIT_TIMES_MAX * top);
        let high = Scale::up_to(top.max(near.unwrap_or(0.0)), 4.0);
        let mut svg = Svg::open(self.title);
        svg.value_axis(&high, time);
        let mut last = -1.0;
        for (percent, name) in LABELS {
            let place = percentile_place(percent, nines);
            if place - last >= LABEL_ROOM && 1.0 - place >= LABEL_ROOM {
                svg.label_below(place, name);
                last = place;
            }
        }
        svg.label_below(1.0, "max");
        for (number, (_, spread)) in spreads.iter().enumerate().rev() {
            let point = |step: u32| {
                let place = f64::from(step) / f64::from(STEPS);
                let percent = 100.0 * (1.0 - 10_f64.powf(-place * nines));
                let percent = if step == STEPS { 100.0 } else { percent };
                (place, high.place(spread.percentile(percent) as f64 / 1e6))
            };
            svg.line(number, &(0..=STEPS).map(point).collect::<Vec<_>>());
        }
        if let Some(limit) = near {
            svg.limit(high.place(limit));
        }
        let names: Vec<_> = spreads.iter().map(|(name, _)| *name).collect();
        let limit = self.limit.map(|limit| format!("; limit {}", time(limit)));
        let about = format!("{}{}", self.about, limit.unwrap_or_default());
        figure(self.title, &about, &svg.close(), &names)
    }
}

/// An SVG being written. Places are from 0 to 1, from the left and from below.
struct Svg(String);

impl Svg {
    fn open(title: &str) -> Self {
        let mut svg = Self(String::new());
        svg.add(format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{}</title>",
            escaped(title)
        ));
        svg
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a String cannot fail");
    }

    fn value_axis(&mut self, scale: &Scale, unit: fn(f64) -> String) {
        for tick in scale.ticks() {
            let y = y(scale.place(tick));
            let (from, to, at, below) = (LEFT, WIDTH - RIGHT, LEFT - 8.0, y + 4.0);
            self.add(format_args!(
                "<line class=\"grid\" x1=\"{from}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{at}\" y=\"{below:.1}\" text-anchor=\"end\">{}</text>",
                unit(tick)
            ));
        }
    }

    fn label_below(&mut self, place: f64, text: &str) {
        let (x, y) = (x(place), HEIGHT - 6.0);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
            escaped(text)
        ));
    }

    fn line(&mut self, number: usize, points: &[(f64, f64)]) {
        let path = path(points.iter().copied());
        let colour = colour(number);
        self.add(format_args!("<path class=\"line\" style=\"stroke:{colour}\" d=\"M{path}\"/>"));
    }

    fn area(&mut self, number: usize, class: &str, upper: &[(f64, f64)], lower: &[(f64, f64)]) {
        let path = path(upper.iter().chain(lower.iter().rev()).copied());
        let colour = colour(number);
        self.add(format_args!("<path class=\"{class}\" style=\"fill:{colour}\" d=\"M{path}Z\"/>"));
    }

    fn limit(&mut self, place: f64) {
        let (y, from, to) = (y(place), LEFT, WIDTH - RIGHT);
        self.add(format_args!(
            "<line class=\"limit\" x1=\"{from}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{y:.1}\">\
             <title>limit</title></line>"
        ));
    }

    fn upright(&mut self, place: f64, text: &str) {
        let (x, top, bottom) = (x(place), y(1.0), y(0.0));
        let beside = x + 5.0;
        self.add(format_args!(
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
             <text x=\"{beside:.1}\" y=\"10\">{text}</text>"
        ));
    }

    fn close(mut self) -> String {
        self.0 += "</svg>";
        self.0
    }
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let points: Vec<_> =
        points.map(|(across, up)| format!("{:.1} {:.1}", x(across), y(up))).collect();
    points.join("L")
}

fn figure(title: &str, about: &str, svg: &str, names: &[&str]) -> String {
    let mut legend = String::new();
    if names.len() > 1 {
        legend += "<div class=\"legend\">";
        for (number, name) in names.iter().enumerate() {
            let (colour, name) = (colour(number), escaped(name));
            write!(legend, "<span style=\"--colour:{colour}\">{name}</span>")
                .expect("writing to a String cannot fail");
        }
        legend += "</div>";
    }
    let (title, about) = (escaped(title), escaped(about));
    format!(
        "<figure class=\"card\"><figcaption><h3>{title}</h3><p class=\"soft\">{about}</p>\
         </figcaption>{svg}{legend}</figure>\n"
    )
}

/// The style's colour of curve `number`; they begin again after the last.
fn colour(number: usize) -> String {
    format!("var(--s{})", number % COLOURS)
}

fn x(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

fn y(place: f64) -> f64 {
    TOP + (1.0 - place) * (HEIGHT - TOP - BOTTOM)
}

/// Percentiles that are named on the axis.
const LABELS: [(f64, &str); 7] = [
    (0.0, "min"),
    (50.0, "50 %"),
    (90.0, "90 %"),
    (99.0, "99 %"),
    (99.9, "99.9 %"),
    (99.99, "99.99 %"),
    (99.999, "99.999 %"),
];
/// Two labels nearer than this, as a part of the axis, would touch.
const LABEL_ROOM: f64 = 0.095;
/// A limit farther above the largest value than so many times is only told in words.
const LIMIT_TIMES_MAX: f64 = 4.0;
const COLOURS: usize = 8;
/// Points of a percentile curve: one for every four units of the picture.
const STEPS: u32 = 120;
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 220.0;
/// Room for the longest label, such as `12.8 Gbit/s`.
const LEFT: f64 = 76.0;
/// Half of the last label below.
const RIGHT: f64 = 18.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 26.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Curve {
        let points = values.iter().enumerate().map(|(at, &value)| (at as f64, value)).collect();
        Curve { name: "a<b".into(), points }
    }

    fn chart(curves: Vec<Curve>, stacked: bool) -> OverTime<'static> {
        let (scale, unit) = (Scale::up_to as fn(f64, f64) -> Scale, super::super::scale::plain);
        OverTime { title: "T", about: "", curves, stacked, scale, unit, held_from: 1.0 }
    }

    #[test]
    fn layers_stand_on_each_other() {
        let layers = stacked(&[curve(&[1.0, 2.0]), curve(&[3.0, 3.0])]);
        assert_eq!(layers[0], [(0.0, 0.0, 1.0), (1.0, 0.0, 2.0)]);
        assert_eq!(layers[1], [(0.0, 1.0, 4.0), (1.0, 2.0, 5.0)]);
    }

    #[test]
    fn a_chart_has_a_title_and_escaped_names_and_too_little_gives_none() {
        let figure = chart(vec![curve(&[1.0, 2.0]), curve(&[3.0, 3.0])], true).figure();
        for part in ["<title>T</title>", "a&lt;b", "var(--s1)", "role=\"img\""] {
            assert!(figure.contains(part), "{part} in {figure}");
        }
        assert!(!figure.contains("NaN"));
        assert_eq!(chart(vec![curve(&[1.0])], false).figure(), "");
    }

    #[test]
    fn percentiles_end_at_the_largest_value() {
        let mut spread = Spread::default();
        (1..=1_000).for_each(|ms| spread.record(ms * 1_000));
        let spreads = vec![("all", &spread)];
        let chart = Percentiles { title: "T", about: "", spreads, limit: Some(0.5) };
        let figure = chart.figure();
        assert!(figure.contains("class=\"limit\"") && figure.contains("; limit 500 ms"));
        let high = Scale::up_to(spread.max() as f64 / 1e6, 4.0);
        let last = (x(1.0), y(high.place(spread.max() as f64 / 1e6)));
        assert!(figure.contains(&format!("L{:.1} {:.1}\"", last.0, last.1)), "{figure}");
        let far = Percentiles { limit: Some(5.0), ..chart };
        assert!(!far.figure().contains("class=\"limit\"") && far.figure().contains("limit 5 s"));
        let empty = Spread::default();
        let none = Percentiles { spreads: vec![("all", &empty)], ..far };
        assert_eq!(none.figure(), "");
    }
}
