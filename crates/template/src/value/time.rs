//! Go's `time.Time` in UTC: an instant, and its date and clock.
//!
//! Facts: the documentation of Go's `time`; the zero time is 0001-01-01. Years lie within what nanoseconds of an `i64`
//! around 1970 reach, except for the zero time and sums, which saturate.

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(crate) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const DAY_S: i64 = 86_400;
const SECOND_NS: i128 = 1_000_000_000;
/// Seconds from year 1 to 1970.
pub(crate) const YEAR_ONE_S: i64 = -62_135_596_800;

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nanos: u32,
}

/// Date and clock of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: usize,
    pub(crate) day: i64,
    /// From 1.
    pub(crate) year_day: i64,
    /// From Sunday, 0.
    pub(crate) weekday: usize,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl GoTime {
    pub(crate) fn from_nanos(nanos: i128) -> Self {
        let seconds = nanos.div_euclid(SECOND_NS);
        let bound = i128::from(i64::MAX / 4);
        Self { seconds: seconds.clamp(-bound, bound) as i64, nanos: nanos.rem_euclid(SECOND_NS) as u32 }
    }

    pub(crate) fn nanos(self) -> i128 {
        i128::from(self.seconds) * SECOND_NS + i128::from(self.nanos)
    }

    pub(crate) fn add(self, nanos: i64) -> Self {
        Self::from_nanos(self.nanos() + i128::from(nanos))
    }

    /// The difference, within what a duration holds.
    pub(crate) fn since(self, other: Self) -> i64 {
        (self.nanos() - other.nanos()).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Down to a multiple of `to` since year 1.
    pub(crate) fn truncate(self, to: i64) -> Self {
        if to <= 0 { self } else { Self::from_nanos(self.nanos() - self.over(to)) }
    }

    /// To the nearest multiple of `to` since year 1, halves up.
    pub(crate) fn round(self, to: i64) -> Self {
        if to <= 0 {
            return self;
        }
        let over = self.over(to);
        let up = over * 2 >= i128::from(to);
        Self::from_nanos(self.nanos() - over + if up { i128::from(to) } else { 0 })
    }

    fn over(self, to: i64) -> i128 {
        (self.nanos() - i128::from(YEAR_ONE_S) * SECOND_NS).rem_euclid(i128::from(to))
    }

    pub(crate) fn civil(self) -> Civil {
        let days = self.seconds.div_euclid(DAY_S);
        let clock = self.seconds.rem_euclid(DAY_S);
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            year_day: days - days_of(year, 1, 1) + 1,
            weekday: (days + 4).rem_euclid(7) as usize,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
        }
    }

    /// Adds to year, month and day; what overflows a month goes on into the next.
    pub(crate) fn add_date(self, years: i64, months: i64, days: i64) -> Self {
        let civil = self.civil();
        let bound = |n: i64| n.clamp(-1_000_000_000, 1_000_000_000);
        let months = civil.month as i64 - 1 + bound(months);
        let year = civil.year + bound(years) + months.div_euclid(12);
        let day = days_of(year, months.rem_euclid(12) as usize + 1, 1) + civil.day - 1 + bound(days);
        Self { seconds: day * DAY_S + self.seconds.rem_euclid(DAY_S), nanos: self.nanos }
    }

    /// Whether this is the first instant of year 1.
    pub(crate) fn is_zero(self) -> bool {
        self.seconds == YEAR_ONE_S && self.nanos == 0
    }
}

/// The proleptic Gregorian date of a day since 1970, counted in eras of 400 years that begin on 1 March.
fn date_of(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as usize, day)
}

/// The day since 1970 of a date.
fn days_of(year: i64, month: usize, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
