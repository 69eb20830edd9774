//! The records inside the log, each decoder on any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_wal::record::{self, RecordType};

fuzz_target!(|bytes: &[u8]| {
    let _ = match RecordType::of(bytes) {
        RecordType::Series => record::decode_series(bytes, |_, labels| {
            let _ = labels.is_canonical();
            let _ = labels.to_labels();
        }),
        RecordType::Samples { .. } => record::decode_samples(bytes, &mut Vec::new()),
        RecordType::Tombstones => record::decode_tombstones(bytes, |_| {}),
        RecordType::Exemplars => record::decode_exemplars(bytes, |e| drop(e.to_exemplar())),
        RecordType::MmapMarkers => record::decode_mmap_markers(bytes, |_| {}),
        RecordType::Metadata => record::decode_metadata(bytes, |_| {}),
        RecordType::Histograms(_) | RecordType::FloatHistograms(_) => {
            record::decode_histograms(bytes, |_| {}).map(drop)
        }
        RecordType::Unknown => Ok(()),
    };
});
