//! Go's layouts of times: a text in which the parts of `Mon Jan 2 15:04:05 MST 2006` stand for those of another time.
//!
//! Facts: the documentation of Go's `time`, "Layouts". The zone is always UTC.

use super::time::{Civil, GoTime, MONTHS, WEEKDAYS};

/// The elements of layouts, longest first where one begins another.
const ELEMENTS: [(&str, Element); 38] = [
    ("January", Element::MonthName),
    ("Jan", Element::MonthShort),
    ("Monday", Element::WeekdayName),
    ("Mon", Element::WeekdayShort),
    ("MST", Element::ZoneName),
    ("01", Element::Month2),
    ("02", Element::Day2),
    ("002", Element::YearDay3),
    ("03", Element::Hour12Two),
    ("04", Element::Minute2),
    ("05", Element::Second2),
    ("06", Element::Year2),
    ("15", Element::Hour24),
    ("1", Element::Month),
    ("2006", Element::Year4),
    ("2", Element::Day),
    ("_2006", Element::UnderscoreYear),
    ("__2", Element::YearDayBlank),
    ("_2", Element::DayBlank),
    ("3", Element::Hour12),
    ("4", Element::Minute),
    ("5", Element::Second),
    ("PM", Element::Half("AM", "PM")),
    ("pm", Element::Half("am", "pm")),
    ("-070000", Element::Zone("+000000")),
    ("-07:00:00", Element::Zone("+00:00:00")),
    ("-0700", Element::Zone("+0000")),
    ("-07:00", Element::Zone("+00:00")),
    ("-07", Element::Zone("+00")),
    ("Z070000", Element::Zone("Z")),
    ("Z07:00:00", Element::Zone("Z")),
    ("Z0700", Element::Zone("Z")),
    ("Z07:00", Element::Zone("Z")),
    ("Z07", Element::Zone("Z")),
    (".000", Element::Fraction),
    (",000", Element::Fraction),
    (".999", Element::Fraction),
    (",999", Element::Fraction),
];

#[derive(Clone, Copy)]
enum Element {
    MonthName,
    MonthShort,
    WeekdayName,
    WeekdayShort,
    ZoneName,
    Month,
    Month2,
    Day,
    Day2,
    DayBlank,
    YearDay3,
    YearDayBlank,
    Hour24,
    Hour12,
    Hour12Two,
    Minute,
    Minute2,
    Second,
    Second2,
    Year2,
    Year4,
    UnderscoreYear,
    Half(&'static str, &'static str),
    Zone(&'static str),
    Fraction,
}

/// Writes a time by a layout.
pub(crate) fn format_layout(time: GoTime, layout: &str) -> String {
    let civil = time.civil();
    let mut out = String::new();
    let mut rest = layout;
    while !rest.is_empty() {
        if let Some((element, len)) = element(rest) {
            match element {
                Element::Fraction => push_fraction(&mut out, time.nanos, &rest[..len]),
                other => push(&mut out, other, &civil),
            }
            rest = &rest[len..];
        } else {
            let len = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..len]);
            rest = &rest[len..];
        }
    }
    out
}

/// The element that `rest` begins with, and its length.
fn element(rest: &str) -> Option<(Element, usize)> {
    if let Some(len) = fraction_len(rest) {
        return Some((Element::Fraction, len));
    }
    let fits = |(text, element): &(&str, Element)| {
        let short_name = matches!(element, Element::MonthShort | Element::WeekdayShort);
        let followed = rest.as_bytes().get(text.len()).is_some_and(u8::is_ascii_lowercase);
        let fits = rest.starts_with(text) && !matches!(element, Element::Fraction);
        fits && !(short_name && followed)
    };
    ELEMENTS.iter().filter(|entry| fits(entry)).max_by_key(|(text, _)| text.len()).map(|(t, e)| (*e, t.len()))
}

/// A point or comma and a run of one digit, 0 or 9, that no digit follows.
fn fraction_len(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    if !matches!(bytes.first(), Some(b'.' | b',')) || !matches!(bytes.get(1), Some(b'0' | b'9')) {
        return None;
    }
    let digit = bytes[1];
    let end = bytes[1..].iter().position(|b| *b != digit).map_or(bytes.len(), |at| at + 1);
    (!bytes.get(end).is_some_and(u8::is_ascii_digit)).then_some(end)
}

fn push_fraction(out: &mut String, nanos: u32, layout: &str) {
    let digits = (layout.len() - 1).min(9);
    let text = format!("{nanos:09}");
    let mut fraction = &text[..digits];
    if layout.as_bytes()[1] == b'9' {
        fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() {
            return;
        }
    }
    out.push_str(&layout[..1]);
    out.push_str(fraction);
}

fn push(out: &mut String, element: Element, civil: &Civil) {
    let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
    let month = MONTHS[civil.month - 1];
    let weekday = WEEKDAYS[civil.weekday];
    let text = match element {
        Element::MonthName => month.to_owned(),
        Element::MonthShort => month[..3].to_owned(),
        Element::WeekdayName => weekday.to_owned(),
        Element::WeekdayShort => weekday[..3].to_owned(),
        Element::ZoneName => "UTC".to_owned(),
        Element::Month => civil.month.to_string(),
        Element::Month2 => format!("{:02}", civil.month),
        Element::Day => civil.day.to_string(),
        Element::Day2 => format!("{:02}", civil.day),
        Element::DayBlank => format!("{:2}", civil.day),
        Element::YearDay3 => format!("{:03}", civil.year_day),
        Element::YearDayBlank => format!("{:3}", civil.year_day),
        Element::Hour24 => format!("{:02}", civil.hour),
        Element::Hour12 => hour12.to_string(),
        Element::Hour12Two => format!("{hour12:02}"),
        Element::Minute => civil.minute.to_string(),
        Element::Minute2 => format!("{:02}", civil.minute),
        Element::Second => civil.second.to_string(),
        Element::Second2 => format!("{:02}", civil.second),
        Element::Year2 => format!("{:02}", civil.year.rem_euclid(100)),
        Element::Year4 => format!("{:04}", civil.year),
        Element::UnderscoreYear => format!("_{:04}", civil.year),
        Element::Half(am, pm) => (if civil.hour >= 12 { pm } else { am }).to_owned(),
        Element::Zone(text) => text.to_owned(),
        // Handled by the caller, which has the layout's digits.
        Element::Fraction => String::new(),
    };
    out.push_str(&text);
}
