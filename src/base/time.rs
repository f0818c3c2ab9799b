//! Time as an argument. [`Moment`] counts from the start of the process and never goes back;
//! [`WallTime`] is the calendar. Both are handed in: nothing on floors 0 to 2 asks a clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Microseconds of monotonic time since the process started. 2^64 of them are 584,000 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// The start of the process.
    pub const ZERO: Self = Self(0);

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the process started, as rows keep them (136 years in 32 bits).
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Seconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WallTime(pub i64);

/// A calendar date and time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, e.g. 2026.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, 1 to 31.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
    /// Minute, 0 to 59.
    pub minute: u32,
    /// Second, 0 to 59.
    pub second: u32,
    /// Day of the week, 0 = Sunday.
    pub weekday: u32,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl WallTime {
    /// The proleptic Gregorian date in UTC, by counting 400-year eras of 146,097 days from
    /// 0000-03-01 (so that the leap day ends a year).
    pub fn civil(self) -> Civil {
        let days = self.0.div_euclid(86_400);
        let second_of_day = self.0.rem_euclid(86_400);
        let from_era_origin = days + 719_468;
        let era = from_era_origin.div_euclid(146_097);
        let day_of_era = from_era_origin.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let small = |value: i64| u32::try_from(value).unwrap_or(0);
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * march_month + 2) / 5 + 1),
            hour: small(second_of_day / 3_600),
            minute: small(second_of_day / 60 % 60),
            second: small(second_of_day % 60),
            weekday: small((days + 4).rem_euclid(7)),
        }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the `Date` header's form (RFC 9110, 5.6.7).
    pub fn http_date(self) -> String {
        format!("{} GMT", self.rfc822_stem())
    }

    /// `Sun, 06 Nov 1994 08:49:37 +0000`, as Icecast writes `stream_start` and `server_start`.
    pub fn icecast_date(self) -> String {
        format!("{} +0000", self.rfc822_stem())
    }

    /// `1994-11-06T08:49:37+0000`: Icecast's ISO 8601 form has no colon in the offset, and the
    /// Prometheus exporters parse exactly that.
    pub fn icecast_iso8601(self) -> String {
        let Civil { year, month, day, hour, minute, second, .. } = self.civil();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
    }

    /// `06/Nov/1994:08:49:37 +0000`, as the combined access log writes it.
    pub fn log_date(self) -> String {
        let Civil { year, month, day, hour, minute, second, .. } = self.civil();
        let month = month_name(month);
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }

    fn rfc822_stem(self) -> String {
        let Civil { year, month, day, hour, minute, second, weekday } = self.civil();
        let weekday = DAYS[weekday as usize % DAYS.len()];
        let month = month_name(month);
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02}")
    }
}

fn month_name(month: u32) -> &'static str {
    MONTHS[(month as usize + MONTHS.len() - 1) % MONTHS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_examples_of_the_standards() {
        // RFC 9110's own example, and leap days on both sides of a century rule.
        assert_eq!(WallTime(784_111_777).http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(WallTime(951_782_400).icecast_iso8601(), "2000-02-29T00:00:00+0000");
        assert_eq!(WallTime(0).log_date(), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(WallTime(-1).icecast_date(), "Wed, 31 Dec 1969 23:59:59 +0000");
        assert_eq!(WallTime(4_107_542_400).icecast_iso8601(), "2100-03-01T00:00:00+0000");
    }

    #[test]
    fn a_moment_never_goes_below_zero() {
        assert_eq!(Moment(5) - Duration::from_secs(1), Moment::ZERO);
        assert_eq!(Moment(5).since(Moment(9)), Duration::ZERO);
        assert_eq!((Moment(1) + Duration::from_millis(2)).since(Moment(1)).as_micros(), 2_000);
    }
}
