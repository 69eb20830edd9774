//! The points of a matrix as JSON, many at a time.
//!
//! Always true: what is written is `,[<seconds>,"<value>"]` a point, but for the first of a series, which has `[` for its comma
//! and so opens the list.
//! PERF: points go through a page on the stack, by copies of fixed size, so that no byte costs a check of its own; the times of a
//! query's steps are written once and copied for each series; a value that stays the same is copied too. Bench `answer`: whole
//! numbers 16 ns a point (76 before), 17 digits 39 ns (114 before), times of their own 20 ns more.

use narthex_model::{NUMBER_ROOM, write_float_json, write_int};
use narthex_promql::engine::{FloatColumns, Steps};

/// Bytes of the page.
const PAGE: usize = 4096;
/// The most bytes that a point takes, with what is written over behind it.
const POINT_ROOM: usize = STAMP_ROOM + NUMBER_ROOM + 2;
/// The most bytes of `,[-9223372036854775.807,"`, rounded up.
const STAMP_ROOM: usize = 32;
/// The most steps whose times are kept as text: those of a range query are fewer, those of a subquery can be millions.
const MAX_STAMPS: usize = 16_384;

/// Writes points; keeps the texts of the times from series to series.
#[derive(Debug, Default)]
pub(crate) struct PointWriter {
    stamps: Vec<Stamp>,
    of: Option<Steps>,
}

/// A time with what stands around it: `,[1435781451.781,"`.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    text: [u8; STAMP_ROOM],
    len: usize,
}

impl Stamp {
    fn of(t_ms: i64) -> Self {
        let mut text = [0; STAMP_ROOM];
        [text[0], text[1], text[2]] = *b",[-";
        let sign = usize::from(t_ms < 0);
        let ms = t_ms.unsigned_abs();
        let mut room = [0; NUMBER_ROOM];
        let digits = write_int(&mut room, (ms / 1000) as i64);
        let mut len = 2 + sign + digits;
        text[2 + sign..len].copy_from_slice(&room[..digits]);
        let rest = (ms % 1000) as u16;
        if rest > 0 {
            let digit = |n: u16| b'0' + (n % 10) as u8;
            text[len..len + 4].copy_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
            len += 4;
        }
        text[len..len + 2].copy_from_slice(b",\"");
        Self { text, len: len + 2 }
    }
}

impl PointWriter {
    /// Writes points from place `from` of the columns on, until all are written or `out` holds `enough` bytes. Returns the place of
    /// the next point; that is the length of the columns at the end.
    pub(crate) fn write(
        &mut self,
        columns: &FloatColumns<'_>,
        mut from: usize,
        out: &mut String,
        enough: usize,
    ) -> usize {
        if let FloatColumns::Steps { steps, .. } = columns {
            self.prepare(steps);
        }
        let mut page = [0; PAGE];
        while from < columns.len() && out.len() < enough {
            let (next, used) = self.fill(columns, from, &mut page);
            if from == 0 {
                page[0] = b'[';
            }
            out.push_str(std::str::from_utf8(&page[..used]).expect("numbers and brackets are ASCII"));
            from = next;
        }
        from
    }

    /// Makes the stamps of these steps, unless they are there or are too many.
    fn prepare(&mut self, steps: &Steps) {
        if self.of != Some(*steps) {
            self.of = Some(*steps);
            self.stamps.clear();
            if steps.count <= MAX_STAMPS {
                self.stamps.extend(steps.times().map(Stamp::of));
            }
        }
    }

    /// Fills a page; returns the place of the next point and the bytes used.
    fn fill(&self, columns: &FloatColumns<'_>, from: usize, page: &mut [u8; PAGE]) -> (usize, usize) {
        match *columns {
            FloatColumns::Steps { values, present, .. } if self.stamps.len() >= values.len() => {
                let there = |at: usize| present.get(at);
                fill(values, from, page, there, |at| self.stamps[at])
            }
            FloatColumns::Steps { steps, values, present } => {
                fill(values, from, page, |at| present.get(at), |at| Stamp::of(steps.at(at)))
            }
            FloatColumns::Stored { t_ms, values } => {
                fill(values, from, page, |_| true, |at| Stamp::of(t_ms[at]))
            }
        }
    }
}

/// The inner loop.
#[inline]
fn fill(
    values: &[f64],
    from: usize,
    page: &mut [u8; PAGE],
    is_there: impl Fn(usize) -> bool,
    stamp: impl Fn(usize) -> Stamp,
) -> (usize, usize) {
    let (mut used, mut last) = (0, Written { bits: 0, text: [0; NUMBER_ROOM], len: 0 });
    for (at, value) in values.iter().enumerate().skip(from) {
        if !is_there(at) {
            continue;
        }
        let Some(room) = page[used..].first_chunk_mut::<POINT_ROOM>() else { return (at, used) };
        used += put_point(room, &stamp(at), *value, &mut last);
    }
    (values.len(), used)
}

/// The value written last.
struct Written {
    bits: u64,
    text: [u8; NUMBER_ROOM],
    /// 0 when there is none.
    len: usize,
}

/// Writes one point; returns its length.
#[inline]
fn put_point(room: &mut [u8; POINT_ROOM], stamp: &Stamp, value: f64, last: &mut Written) -> usize {
    room[..STAMP_ROOM].copy_from_slice(&stamp.text);
    let at = stamp.len.min(STAMP_ROOM);
    if last.bits != value.to_bits() || last.len == 0 {
        last.bits = value.to_bits();
        last.len = write_float_json(&mut last.text, value).min(NUMBER_ROOM);
    }
    room[at..at + NUMBER_ROOM].copy_from_slice(&last.text);
    let end = at + last.len;
    room[end..end + 2].copy_from_slice(b"\"]");
    end + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_promql::engine::Mask;

    /// The points one by one, by std and the plain number writers.
    fn plainly(points: impl Iterator<Item = (i64, f64)>) -> String {
        let one = |(t_ms, value): (i64, f64)| {
            let seconds = t_ms as f64 / 1000.0;
            let time = if t_ms % 1000 == 0 { format!("{seconds:.0}") } else { format!("{seconds:.3}") };
            format!("[{time},\"{}\"]", narthex_model::format_float_json(value))
        };
        format!("[{}", points.map(one).collect::<Vec<_>>().join(","))
    }

    fn value(i: usize) -> f64 {
        match i % 7 {
            0 => i as f64,
            1 | 2 => 0.5,
            3 => f64::NAN,
            4 => -1e-300 * i as f64,
            5 => 1e20 + i as f64,
            _ => 1.0 / (i as f64 + 1.0),
        }
    }

    #[track_caller]
    fn check(writer: &mut PointWriter, columns: &FloatColumns<'_>, points: Vec<(i64, f64)>) {
        // Stopped at each 5,000 bytes, as if the buffer was full.
        let (mut out, mut from, mut enough) = (String::new(), 0, 0);
        while from < columns.len() {
            enough += 5_000;
            from = writer.write(columns, from, &mut out, enough);
            assert!(out.len() < enough + PAGE);
        }
        assert_eq!(out, plainly(points.into_iter()));
    }

    #[test]
    fn points_on_steps_are_those_that_are_there() {
        let mut writer = PointWriter::default();
        for (start_ms, step_ms, count) in
            [(-1_500, 500, 900), (1_700_000_000_123, 15_000, 2_000), (0, 1, 20_000)]
        {
            let steps = Steps { start_ms, step_ms, count };
            let values: Vec<f64> = (0..count).map(value).collect();
            let mut present = Mask::none(count);
            (0..count).filter(|i| i % 11 > 2).for_each(|i| present.set(i));
            let columns = FloatColumns::Steps { steps, values: &values, present: &present };
            check(&mut writer, &columns, present.iter().map(|i| (steps.at(i), values[i])).collect());
        }
    }

    #[test]
    fn stored_points_have_times_of_their_own() {
        let t_ms: Vec<i64> = (0..3_000).map(|i| i * 997 - 1_000_001).collect();
        let values: Vec<f64> = (0..3_000).map(value).collect();
        let columns = FloatColumns::Stored { t_ms: &t_ms, values: &values };
        check(
            &mut PointWriter::default(),
            &columns,
            t_ms.iter().copied().zip(values.iter().copied()).collect(),
        );
    }

    #[test]
    fn the_longest_texts_fit() {
        let (t_ms, values) =
            ([i64::MIN, i64::MAX], [-f64::MIN_POSITIVE.next_up(), -1.234_567_890_123_456_7e-6]);
        let columns = FloatColumns::Stored { t_ms: &t_ms, values: &values };
        let mut out = String::new();
        assert_eq!(PointWriter::default().write(&columns, 0, &mut out, PAGE), 2);
        let times = ["-9223372036854775.808", "9223372036854775.807"];
        let texts = values.map(narthex_model::format_float_json);
        assert_eq!(out, format!("[[{},\"{}\"],[{},\"{}\"]", times[0], texts[0], times[1], texts[1]));
    }
}
