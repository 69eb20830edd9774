//! Remote read, both ways: a request that anybody sends, and an answer that an endpoint gives.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use narthex_metrics::Registry;
use narthex_remote::read::{Answer, ReadOptions, ReadServer, decode_for_fuzzing};
use narthex_storage::{Querier, QueryError, Queryable};

struct NotReady;

impl Queryable for NotReady {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, QueryError> {
        Err(QueryError::NotReady("nothing is stored".to_owned()))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_for_fuzzing(bytes);
    let Some((compress, body)) = bytes.split_first() else { return };
    let options = ReadOptions { max_samples: 0, max_concurrent: 0, max_frame_bytes: 0 };
    let server = ReadServer::new(Arc::new(NotReady), options, &Registry::new());
    let compressed = snap::raw::Encoder::new().compress_vec(body).expect("inputs are small");
    let request = if compress & 1 == 0 { &compressed } else { body };
    match server.read(request, &mut |_| true) {
        Answer::Samples(_) | Answer::Streamed => {}
        Answer::Refused(_, reason) => assert!(!reason.is_empty()),
    }
});
