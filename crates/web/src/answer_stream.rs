//! The answer of a query, written while it is sent.
//!
//! Always true: of the text of an answer exist at most [`AT_ONCE`] bytes, or later three pieces and what the socket buffers;
//! the value and that text are charged to the query until the answer is sent or its client is gone. An answer that fits in
//! [`AT_ONCE`] bytes has a length; the value is freed before it is sent.
//! Must not know: how a query is evaluated.

use std::collections::VecDeque;

use bytes::Bytes;
use http::StatusCode;
use narthex_net::server::{Body, Made, PieceSource, Response};
use narthex_promql::engine::{QueryError, ResultMemory, Value};

use crate::answer::json_response;
use crate::encoding::Encoding;
use crate::json::{JsonOut, PIECE};
use crate::result_json::ValueWriter;

/// Text that is written before the first byte is sent: most answers are smaller, and need no second thread.
const AT_ONCE: usize = 1 << 20;
/// Later there is a piece in the socket's hands, one that is ready and one that is being written.
const AHEAD: usize = 3 * PIECE;
/// Compressed pieces are at least so large, so that a long answer is not sent in scraps.
const LEAST: usize = 16 * 1024;

/// What is left to write of an answer.
struct AnswerStream {
    out: JsonOut,
    value: Value,
    writer: ValueWriter,
    /// What follows the value.
    tail: String,
    ended: bool,
    /// What is charged for `value` and the pieces.
    memory: ResultMemory,
}

/// Answers with a value in the envelope; `tail` is the text behind it.
///
/// # Errors
/// The text has no room beside what the query holds.
pub(crate) fn respond(
    encoding: Encoding,
    value: Value,
    tail: String,
    memory: ResultMemory,
) -> Result<Response, QueryError> {
    let mut out = JsonOut::new(encoding);
    out.raw("{\"status\":\"success\",\"data\":");
    let mut stream = AnswerStream { out, value, writer: ValueWriter::default(), tail, ended: false, memory };
    let (mut pieces, mut bytes) = (VecDeque::new(), 0);
    while bytes < AT_ONCE {
        let Some(piece) = stream.next() else { break };
        bytes += piece.len();
        pieces.push_back(piece);
    }
    if stream.ended {
        pieces.extend(stream.out.take_piece(1));
        return Ok(json_response(StatusCode::OK, encoding, Body::Pieces(pieces)));
    }
    stream.memory.charge(bytes + AHEAD)?;
    let body = Body::Made(Box::new(Made::new(pieces, Box::new(stream))));
    Ok(json_response(StatusCode::OK, encoding, body))
}

impl PieceSource for AnswerStream {
    fn next(&mut self) -> Option<Bytes> {
        loop {
            let least = if self.ended { 1 } else { LEAST };
            let piece = self.out.take_piece(least);
            if piece.is_some() || self.ended {
                return piece;
            }
            self.write_on();
        }
    }
}

impl AnswerStream {
    /// Fills a buffer and hands it on.
    fn write_on(&mut self) {
        self.ended = self.writer.write(&self.value, &mut self.out);
        if self.ended {
            self.out.raw(&self.tail);
            self.out.end();
        } else {
            self.out.hand_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use narthex_model::{FloatHistogram, Labels};
    use narthex_promql::engine::{
        Engine, EngineOptions, Mask, Matrix, MatrixSeries, Point, QueryOptions, Steps, Vector, VectorSample,
    };

    use super::*;

    /// An engine, and what a query of it is charged.
    fn charged(max_query_bytes: u64) -> (Engine, ResultMemory) {
        let engine = Engine::new(EngineOptions { max_query_bytes, ..EngineOptions::default() });
        let memory = engine.instant(&crate::tests::Storage, "1", 0, &QueryOptions::default()).unwrap().memory;
        (engine, memory)
    }

    /// Some 4 MB of text.
    fn matrix() -> Value {
        let steps = Steps { start_ms: 0, step_ms: 15_000, count: 1_000 };
        let series = |i: usize| {
            let labels = Labels::from_pairs([("i", i.to_string())]);
            let values = (0..1_000).map(|step| step as f64 / (i + 3) as f64).collect();
            MatrixSeries::on_steps(labels, steps, values, Mask::all(1_000))
        };
        Value::Matrix(Matrix { series: (0..120).map(series).collect() })
    }

    /// Some 4 MB of text.
    fn vector() -> Value {
        let histogram = FloatHistogram { count: 2.0, sum: 3.0, ..Default::default() };
        let sample = |i: usize| VectorSample {
            labels: Labels::from_pairs([("i", i.to_string())]),
            point: if i.is_multiple_of(2) {
                Point::Float(i as f64)
            } else {
                Point::Histogram(Arc::new(histogram.clone()))
            },
        };
        Value::Vector(Vector { t_ms: 1, samples: (0..60_000).map(sample).collect() })
    }

    fn decoded(encoding: Encoding, body: &[u8]) -> String {
        let mut text = String::new();
        let read = match encoding {
            Encoding::Identity => {
                text.push_str(std::str::from_utf8(body).unwrap());
                Ok(0)
            }
            Encoding::Gzip => flate2::read::GzDecoder::new(body).read_to_string(&mut text),
            Encoding::Deflate => flate2::read::ZlibDecoder::new(body).read_to_string(&mut text),
        };
        read.unwrap();
        text
    }

    #[tokio::test]
    async fn a_long_answer_is_the_same_in_pieces_and_charged_until_it_is_sent() {
        for value in [matrix(), vector()] {
            let mut data = Vec::new();
            crate::value_json(&value, |piece| data.extend_from_slice(piece));
            let whole = format!("{{\"status\":\"success\",\"data\":{}}}", String::from_utf8(data).unwrap());
            assert!(whole.len() > 2 * AT_ONCE);
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate] {
                let (engine, memory) = charged(u64::MAX);
                let response = respond(encoding, value.clone(), "}}".to_owned(), memory).unwrap();
                // What is compressed well may fit at once.
                let comes_later = response.body().len().is_none();
                assert!(comes_later || encoding != Encoding::Identity);
                assert!(!comes_later || engine.held_bytes() >= AHEAD as u64, "{encoding:?}");
                let body = response.into_body().read_to_end().await.unwrap();
                assert_eq!(decoded(encoding, &body), whole);
                assert_eq!(engine.held_bytes(), 0, "{encoding:?}");
            }
        }
    }

    #[test]
    fn a_short_answer_has_a_length_and_a_body_that_is_not_read_is_freed() {
        let (engine, memory) = charged(u64::MAX);
        let value = Value::Scalar { t_ms: 1_000, value: 2.5 };
        let response = respond(Encoding::Identity, value, "}}".to_owned(), memory).unwrap();
        let expected = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2.5"]}}"#;
        assert_eq!(response.body().bytes().unwrap(), expected.as_bytes());
        assert_eq!(engine.held_bytes(), 0);

        let (engine, memory) = charged(u64::MAX);
        drop(respond(Encoding::Identity, matrix(), String::new(), memory).unwrap());
        assert_eq!(engine.held_bytes(), 0);
    }

    #[test]
    fn a_text_without_room_beside_its_query_is_an_error() {
        let (engine, memory) = charged(1 << 20);
        let error = respond(Encoding::Identity, matrix(), String::new(), memory).unwrap_err();
        assert!(matches!(error, QueryError::TooMuchMemory { .. }), "{error}");
        assert_eq!(engine.held_bytes(), 0);
    }
}
