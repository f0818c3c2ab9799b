//! From values to places on a chart: where ticks stand and how they are written. Arithmetic only.

/// A linear scale from zero to a round number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    /// The end of the axis; above zero.
    pub(super) max: f64,
    /// Distance of two ticks.
    pub(super) step: f64,
}

impl Scale {
    /// A scale that holds `max` with about `ticks` steps of 1, 2 or 5 times a power of ten.
    pub(super) fn up_to(max: f64, ticks: f64) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let raw = max / ticks.max(1.0);
        let power = 10_f64.powf(raw.log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= raw * 0.999);
        let step = factor.unwrap_or(10.0) * power;
        Self { max: (max / step - 1e-9).ceil().max(1.0) * step, step }
    }

    /// A scale of bytes, whose steps are round in their binary unit.
    pub(super) fn of_bytes(max: f64, ticks: f64) -> Self {
        let unit = 1_024_f64.powf(max.max(1.0).log(1_024.0).floor());
        let Self { max, step } = Self::up_to(max / unit, ticks);
        Self { max: max * unit, step: step * unit }
    }

    /// A scale of seconds that ends with the last one.
    pub(super) fn of_time(end: f64, ticks: f64) -> Self {
        const STEPS: [f64; 13] =
            [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0];
        let end = if end.is_finite() && end > 0.0 { end } else { 1.0 };
        let step = STEPS.into_iter().find(|step| end / step <= ticks);
        Self { max: end, step: step.unwrap_or_else(|| Self::up_to(end, ticks).step) }
    }

    /// Where ticks stand.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        let (step, count) = (self.step, (self.max / self.step + 1e-9).floor() as u32);
        (0..=count.min(TICKS_MAX)).map(move |tick| f64::from(tick) * step)
    }

    /// The place of `value`, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        (value / self.max).clamp(0.0, 1.0)
    }
}

/// Where percentile `percent` stands on an axis that gives each further nine the same room, from 0
/// (none) to 1 (`nines` nines): half of all stands at 0.3 of the first.
pub(super) fn percentile_place(percent: f64, nines: f64) -> f64 {
    let above = (1.0 - percent / 100.0).max(10_f64.powf(-nines));
    (-above.log10() / nines).clamp(0.0, 1.0)
}

/// A number of plain units: `12`, `3.4k`, `1.2M`.
pub(super) fn plain(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    trimmed(value) + unit
}

/// Bytes with a binary unit.
pub(super) fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value.abs() >= 1_024.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{} {}", trimmed(value), units[unit])
}

/// Bits a second of a number of bytes a second.
pub(super) fn bits(bytes_per_s: f64) -> String {
    let bits = bytes_per_s * 8.0;
    match bits {
        bits if bits >= 1e9 => format!("{} Gbit/s", trimmed(bits / 1e9)),
        bits if bits >= 1e6 => format!("{} Mbit/s", trimmed(bits / 1e6)),
        bits => format!("{} kbit/s", trimmed(bits / 1e3)),
    }
}

/// Seconds with a unit that fits.
pub(super) fn time(seconds: f64) -> String {
    match seconds.abs() {
        0.0 => "0".into(),
        size if size < 1e-3 => format!("{} µs", trimmed(seconds * 1e6)),
        size if size < 1.0 => format!("{} ms", trimmed(seconds * 1e3)),
        size if size < 120.0 => format!("{} s", trimmed(seconds)),
        size if size < 7_200.0 => format!("{} min", trimmed(seconds / 60.0)),
        _ => format!("{} h", trimmed(seconds / 3_600.0)),
    }
}

/// Three digits that count, without zeros at the end.
fn trimmed(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A chart with more is no chart.
const TICKS_MAX: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_above_the_data() {
        for (max, end, step) in
            [(0.87, 1.0, 0.2), (100_000.0, 100_000.0, 20_000.0), (7.0, 8.0, 2.0), (0.0, 1.0, 0.2)]
        {
            let scale = Scale::up_to(max, 5.0);
            assert!((scale.max - end).abs() < 1e-9 * end, "{max}: {scale:?}");
            assert!((scale.step - step).abs() < 1e-9, "{max}: {scale:?}");
        }
        assert_eq!(Scale::up_to(f64::NAN, 5.0).max, 1.0);
        assert_eq!(Scale::of_bytes(3.5 * 1_048_576.0, 4.0).step, 1_048_576.0);
        assert_eq!(Scale::up_to(10.0, 5.0).ticks().count(), 6);
        assert_eq!(Scale::up_to(10.0, 5.0).place(5.0), 0.5);
    }

    #[test]
    fn time_ends_with_the_data_and_ticks_at_steps_people_count_in() {
        let scale = Scale::of_time(95.0, 6.0);
        assert_eq!((scale.max, scale.step), (95.0, 20.0));
        assert_eq!(Scale::of_time(1_800.0, 6.0).step, 300.0);
        assert!(Scale::of_time(1e9, 6.0).ticks().count() <= 10);
    }

    #[test]
    fn each_nine_has_the_same_room() {
        assert_eq!(percentile_place(0.0, 4.0), 0.0);
        assert!((percentile_place(90.0, 4.0) - 0.25).abs() < 1e-9);
        assert!((percentile_place(99.0, 4.0) - 0.5).abs() < 1e-9);
        assert!((percentile_place(99.99, 4.0) - 1.0).abs() < 1e-6);
        assert_eq!(percentile_place(100.0, 4.0), 1.0);
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([plain(0.0), plain(950.0), plain(12_500.0)], ["0", "950", "12.5k"]);
        assert_eq!([bytes(512.0), bytes(1_572_864.0)], ["512 B", "1.5 MiB"]);
        assert_eq!(bits(1_600_000_000.0), "12.8 Gbit/s");
        assert_eq!([time(0.000_35), time(0.0026), time(1.5)], ["350 µs", "2.6 ms", "1.5 s"]);
        assert_eq!([time(300.0), time(0.0)], ["5 min", "0"]);
    }
}
