//! A request that was sent, as text for the log of whoever wants to see what an endpoint refused (`failed_request_logging`).
//!
//! Shows each series with its samples; exemplars and histograms as their number. Of a request without an end only the beginning.

use std::fmt::Write as _;

use narthex_config::WriteMessage;

use crate::receive::label_set::read_label;
use crate::receive::wire::{DecodeError, Reader};

/// Bytes of text after which nothing more is shown.
const MOST_BYTES: usize = 1 << 20;

/// The text of a compressed request of ours.
pub(crate) fn shown(message: WriteMessage, body: &[u8]) -> String {
    let mut out = String::new();
    let failed = match snap::raw::Decoder::new().decompress_vec(body) {
        Ok(plain) => write_request(&mut out, message, &plain).err().map(|e| e.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(failed) = failed {
        let _ = write!(out, "… ({failed})");
    }
    out
}

fn write_request(out: &mut String, message: WriteMessage, plain: &[u8]) -> Result<(), DecodeError> {
    let is_v2 = message == WriteMessage::V2;
    let fields = if is_v2 { Fields::V2 } else { Fields::V1 };
    let symbols = if is_v2 { symbols(plain)? } else { Vec::new() };
    let mut reader = Reader::new(plain, 0..plain.len());
    while let Some(key) = reader.key("Request")? {
        if key.field != fields.series {
            reader.skip(key)?;
            continue;
        }
        if out.len() > MOST_BYTES {
            out.push('…');
            return Ok(());
        }
        let place = reader.block(key, "Timeseries")?;
        write_series(out, &fields, &symbols, reader.nested(place))?;
    }
    Ok(())
}

/// The numbers of fields that differ between the messages. Labels are field 1 and samples field 2 in both.
struct Fields {
    series: i32,
    exemplars: i32,
    histograms: i32,
    is_v2: bool,
}

impl Fields {
    const V1: Self = Self { series: 1, exemplars: 3, histograms: 4, is_v2: false };
    const V2: Self = Self { series: 5, exemplars: 4, histograms: 3, is_v2: true };
}

fn symbols(plain: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    let mut found = Vec::new();
    let mut reader = Reader::new(plain, 0..plain.len());
    while let Some(key) = reader.key("Request")? {
        if key.field == 4 {
            found.push(reader.text(key, "Symbols")?);
        } else {
            reader.skip(key)?;
        }
    }
    Ok(found)
}

fn write_series(
    out: &mut String,
    fields: &Fields,
    symbols: &[&[u8]],
    mut reader: Reader<'_>,
) -> Result<(), DecodeError> {
    let (mut pairs, mut refs, mut samples) = (Vec::new(), Vec::new(), String::new());
    let (mut exemplars, mut histograms) = (0, 0);
    while let Some(key) = reader.key("TimeSeries")? {
        match key.field {
            1 if fields.is_v2 => reader.numbers(key, (0, "LabelsRefs"), |packed| {
                refs.push(packed.varint()?);
                Ok(())
            })?,
            1 => {
                let place = reader.block(key, "Labels")?;
                pairs.push(read_label(reader.nested(place))?);
            }
            2 => {
                let place = reader.block(key, "Samples")?;
                write_sample(&mut samples, reader.nested(place))?;
            }
            other => {
                exemplars += usize::from(other == fields.exemplars);
                histograms += usize::from(other == fields.histograms);
                reader.skip(key)?;
            }
        }
    }
    let symbol = |number: &u64| symbols.get(*number as usize).copied().unwrap_or(b"?");
    pairs.extend(refs.chunks(2).map(|pair| (symbol(&pair[0]), pair.get(1).map_or(&b"?"[..], symbol))));
    write_labels(out, &pairs);
    out.push_str(&samples);
    for (count, what) in [(exemplars, "exemplars"), (histograms, "histograms")] {
        if count > 0 {
            let _ = write!(out, " +{count} {what}");
        }
    }
    Ok(())
}

fn write_labels(out: &mut String, pairs: &[(&[u8], &[u8])]) {
    out.push_str(if out.is_empty() { "{" } else { "; {" });
    for (index, (name, value)) in pairs.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        let _ = write!(out, "{comma}{name}={value:?}");
    }
    out.push('}');
}

fn write_sample(out: &mut String, mut reader: Reader<'_>) -> Result<(), DecodeError> {
    let (mut value, mut t_ms) = (0.0, 0);
    while let Some(key) = reader.key("Sample")? {
        match key.field {
            1 => value = reader.float(key, "Value")?,
            2 => t_ms = reader.number(key, "Timestamp")? as i64,
            _ => reader.skip(key)?,
        }
    }
    let _ = write!(out, " {value}@{t_ms}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_bytes, put_label, v2};

    fn pressed(plain: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(plain).unwrap()
    }

    fn labels() -> Vec<u8> {
        let mut labels = Vec::new();
        put_label(&mut labels, "__name__", "up");
        put_label(&mut labels, "job", "a\"b");
        labels
    }

    #[test]
    fn a_request_of_2_0_is_shown_with_its_texts() {
        let mut request = v2::Request::default();
        request.clear();
        for value in [1.5, 2.0] {
            request.begin(&labels());
            request.sample(1000, value, 0);
            request.sample(2000, f64::NAN, 0);
            request.end();
        }
        let mut plain = Vec::new();
        request.put(&mut plain);
        let series = r#"{__name__="up", job="a\"b"}"#;
        let expected = format!("{series} 1.5@1000 NaN@2000; {series} 2@1000 NaN@2000");
        assert_eq!(shown(WriteMessage::V2, &pressed(&plain)), expected);
    }

    #[test]
    fn a_request_of_1_0_is_shown_and_one_that_is_broken_up_to_there() {
        let mut sample = vec![0x09];
        sample.extend(3.0f64.to_le_bytes());
        sample.extend([0x10, 7]);
        let (mut series, mut plain) = (labels(), Vec::new());
        put_bytes(&mut series, 2, &sample);
        put_bytes(&mut series, 3, b"");
        put_bytes(&mut plain, 1, &series);
        let whole = r#"{__name__="up", job="a\"b"} 3@7 +1 exemplars"#;
        assert_eq!(shown(WriteMessage::V1, &pressed(&plain)), whole);
        plain.extend([0x0a, 9]);
        assert!(shown(WriteMessage::V1, &pressed(&plain)).starts_with(&format!("{whole}… (")));
        assert!(shown(WriteMessage::V1, b"\xff").starts_with("… ("));
    }
}
