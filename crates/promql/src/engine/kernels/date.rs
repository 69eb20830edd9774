//! The calendar: days of the Gregorian calendar, in UTC, from seconds since the epoch.
//!
//! Facts: the proleptic Gregorian calendar repeats every 400 years of 146,097 days; counting years from March puts the leap day last.

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
}

const DAY_S: i64 = 86_400;

/// The first second that Go's calendar knows; what lies before wraps around.
const FIRST_S: i64 = -9_223_372_028_715_321_600;

/// The day since the epoch and the second of that day.
fn split(seconds: i64) -> (i64, i64) {
    if seconds >= FIRST_S {
        return (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    }
    // COMPAT: Go counts in 64 bits from its first second; NaN as a time ends up here.
    let wrapped = i128::from(seconds) + (1 << 64);
    let day = i128::from(DAY_S);
    ((wrapped / day) as i64, (wrapped % day) as i64)
}

/// The day of a time.
pub(crate) fn date_of(seconds: i64) -> Date {
    let days = split(seconds).0 + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Date { year, month, day }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// How many days the month of `date` has.
pub(crate) fn days_in_month(date: Date) -> u32 {
    match date.month {
        2 if is_leap(date.year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 1 for the first of January.
pub(crate) fn day_of_year(date: Date) -> u32 {
    (1..date.month).map(|month| days_in_month(Date { month, ..date })).sum::<u32>() + date.day
}

/// 0 for Sunday.
pub(crate) fn day_of_week(seconds: i64) -> i64 {
    (split(seconds).0 + 4).rem_euclid(7)
}

/// The hour of the day.
pub(crate) fn hour(seconds: i64) -> i64 {
    split(seconds).1 / 3600
}

/// The minute of the hour.
pub(crate) fn minute(seconds: i64) -> i64 {
    split(seconds).1 % 3600 / 60
}

/// `2024-01-31T12:00:00Z`
pub(crate) fn format_rfc3339(seconds: i64) -> String {
    let Date { year, month, day } = date_of(seconds);
    let (h, m, s) = (hour(seconds), minute(seconds), seconds.rem_euclid(60));
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_come_out_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(format_rfc3339(seconds), text);
        }
        assert_eq!(day_of_week(0), 4, "the epoch was a Thursday");
        assert_eq!(day_of_year(date_of(1_704_067_199)), 365);
        assert_eq!(days_in_month(date_of(951_782_400)), 29);
    }
}
