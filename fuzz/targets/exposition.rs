//! What a target answers, as text and as OpenMetrics: entries or an error, and every label set decodes or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_exposition::{Dialect, Entry, Parser, decode_exemplar, decode_labels};
use narthex_model::LabelsBuilder;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let dialect = if first % 2 == 0 { Dialect::Text } else { Dialect::OpenMetrics };
    let mut parser = Parser::new(body, dialect);
    let mut labels = LabelsBuilder::default();
    while let Ok(Some(entry)) = parser.next() {
        if let Entry::Series(series) = entry {
            let _ = decode_labels(series.raw, dialect, parser.kind(), &mut labels);
            let _ = parser.start_ms(&series);
            if let Some(exemplar) = series.exemplar {
                let _ = decode_exemplar(exemplar.raw, &mut labels);
            }
        }
    }
});
