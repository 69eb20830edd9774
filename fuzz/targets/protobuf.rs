//! What a target answers as protobuf, and text whose classic histograms are converted: entries or an error; keys decode or are
//! refused; the second reading, with the keys of the first as hints, sees the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_exposition::{
    CustomEntry, CustomHistograms, Dialect, HistogramOptions, Parser, ProtoEntry, ProtoParser, decode_key,
    empty_labels_of_key,
};
use narthex_model::LabelsBuilder;

/// The keys of all series, and whether the body was good.
fn read(body: &[u8], options: HistogramOptions, hints: &[Vec<u8>]) -> (Vec<Vec<u8>>, bool) {
    let mut parser = ProtoParser::new(body, options);
    let mut keys = Vec::<Vec<u8>>::new();
    loop {
        let entry = match parser.next_like(hints.get(keys.len()).map_or(&[], Vec::as_slice)) {
            Ok(Some(entry)) => entry,
            Ok(None) => return (keys, true),
            Err(_) => return (keys, false),
        };
        if entry == ProtoEntry::Family {
            continue;
        }
        let (mut key, mut labels) = (Vec::new(), LabelsBuilder::new());
        parser.push_key(&mut key);
        assert_eq!(parser.as_hinted(), hints.get(keys.len()) == Some(&key));
        let _ = decode_key(&key, true, &mut labels);
        let _ = empty_labels_of_key(&key);
        parser.exemplars(&mut labels, |_, _| {});
        if entry == ProtoEntry::Histogram {
            let _ = parser.histogram_mut().limit_schema(0);
            let _ = parser.histogram_mut().limit_buckets(3);
        }
        keys.push(key);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let options = HistogramOptions { native: first & 1 != 0, classic: first & 2 != 0, to_custom: first & 4 != 0 };
    if first & 8 != 0 {
        let dialect = if first & 16 != 0 { Dialect::OpenMetrics } else { Dialect::Text };
        let mut histograms = CustomHistograms::new(Parser::new(body, dialect), options.classic, true);
        while let Ok(Some(entry)) = histograms.next_like(b"") {
            if entry == CustomEntry::Histogram {
                let _ = decode_key(histograms.key(), true, &mut LabelsBuilder::new());
                let _ = histograms.histogram_mut().limit_buckets(3);
            }
        }
        return;
    }
    let once = read(body, options, &[]);
    assert_eq!(read(body, options, &once.0), once);
});
