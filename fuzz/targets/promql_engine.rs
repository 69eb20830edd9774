//! Any query over a small storage, at times from the input: a value or an error, within the limits of samples, bytes and time.
//!
//! The first four bytes are start, step, number of steps and switches; the rest is the query.
#![no_main]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use narthex_promql::engine::{Engine, EngineOptions, Features, QueryOptions, Severity};
use narthex_promql::parser::{ParseOptions, parse_metric_selector};
use narthex_promql::script::MemoryStorage;
use narthex_promql::series_desc::parse_series;

const SERIES: [&str; 12] = [
    r#"f{g="a",i="1"} 1 2 -3 stale 5 NaN Inf 8 _ _ 11 0.5x10"#,
    r#"f{g="a",i="2"} 0 1e300x3 -1e300 2 7x20"#,
    r#"f{g="b",i="1"} 5-1x15 -Inf 4"#,
    r#"c_total{g="a"} 0+10x8 3+7x12"#,
    r#"c_total{g="b"} 100+1x20"#,
    r#"one{g="a",unit="s"} 3x20"#,
    r#"b_bucket{le="1"} 0+1x20"#,
    r#"b_bucket{le="+Inf"} 0+2x20"#,
    r#"h{g="a"} {{schema:1 count:3 sum:4 z_bucket:1 z_bucket_w:0.5 buckets:[1 1] n_buckets:[1]}}+{{schema:1 count:2 sum:1 buckets:[1 1]}}x20"#,
    r#"h{g="b"} {{schema:-4 count:1 sum:1e9 buckets:[1]}}x9 {{schema:8 count:2 sum:1 buckets:[1 1] offset:300}}x9"#,
    r#"n{g="a"} {{schema:-53 count:3 sum:4 custom_values:[1 2] buckets:[1 1 1]}}x9 {{schema:-53 count:3 sum:4 custom_values:[2 9] buckets:[1 1 1]}}x9"#,
    r#"target_info{g="a",version="2"} 1x20"#,
];

fn storage() -> &'static MemoryStorage {
    static STORAGE: OnceLock<MemoryStorage> = OnceLock::new();
    STORAGE.get_or_init(|| {
        let mut storage = MemoryStorage::new();
        for line in SERIES {
            let series = parse_series(line, &|_, _, step| Ok(step.clone())).expect("the series above are good");
            for (at, value) in series.values.iter().enumerate() {
                storage.add(&series.labels, at as i64 * 15_000, value, at as i64 * 14_000);
            }
        }
        storage
    })
}

fn engine(switches: u8) -> Engine {
    let features = Features {
        parse: if switches & 1 == 0 { ParseOptions::all() } else { ParseOptions::default() },
        delayed_name_removal: switches & 2 != 0,
        type_and_unit_labels: switches & 4 != 0,
        use_start_timestamps: switches & 8 != 0,
        per_step_stats: switches & 16 != 0,
    };
    let timeout = Duration::from_secs(1);
    Engine::new(EngineOptions { max_samples: 50_000, timeout, threads: 1, features, ..EngineOptions::default() })
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([start, step, steps, switches], query)) = bytes.split_first_chunk() else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    // A regular expression may be slow to build; that is not the engine's.
    if query.len() > 2_000 || parse_metric_selector(query).is_ok_and(|m| m.len() > 20) {
        return;
    }
    let engine = engine(*switches);
    let start = i64::from(*start) * 2_000 - 20_000;
    let (step, began) = (i64::from(*step) * 1_000, Instant::now());
    let options = QueryOptions { per_step_stats: true, analyze: switches & 32 != 0, ..QueryOptions::default() };
    let answer = if step == 0 {
        engine.instant(storage(), query, start, &options)
    } else {
        let end = start + step * i64::from(*steps);
        engine.range(storage(), query, start, end, step, &options)
    };
    match answer {
        Ok(output) => drop(output.annotations.texts(Severity::Warning, query, 10)),
        Err(error) => drop(error.to_string()),
    }
    assert!(began.elapsed() < Duration::from_secs(5), "a query with a timeout of 1 s took {:?}", began.elapsed());
});
