//! The description of a block, in real words, with words of others, and in wrong ones.

use super::*;

const REAL: &str = "{\n\t\"ulid\": \"01M81TBSJCHX8GZCXYA1BJBB93\",\n\t\"minTime\": 1795327200000,\n\t\"maxTime\": 1795334400000,\n\t\"stats\": {\n\t\t\"numSamples\": 3335,\n\t\t\"numSeries\": 34,\n\t\t\"numChunks\": 50,\n\t\t\"numTombstones\": 1\n\t},\n\t\"compaction\": {\n\t\t\"level\": 2,\n\t\t\"sources\": [\n\t\t\t\"01M81TBS6PP2M6TV04QTMHK9EV\"\n\t\t],\n\t\t\"parents\": [\n\t\t\t{\n\t\t\t\t\"ulid\": \"01M81TBS6PP2M6TV04QTMHK9EV\",\n\t\t\t\t\"minTime\": 1795327200000,\n\t\t\t\t\"maxTime\": 1795334400000\n\t\t\t}\n\t\t]\n\t},\n\t\"version\": 1\n}";

fn read(text: &str) -> Result<BlockMeta, MetaError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join(FILE), text).expect("it can be written");
    BlockMeta::read(dir.path())
}

#[test]
fn a_real_description_is_written_as_it_was() {
    let meta = read(REAL).expect("a real one");
    assert_eq!(String::from_utf8(meta.to_json()).expect("JSON is UTF-8"), REAL);
    assert_eq!(
        (meta.stats.num_samples, meta.compaction.level, meta.desc().min_ms),
        (3335, 2, 1_795_327_200_000)
    );
}

#[test]
fn what_other_programs_wrote_is_kept() {
    let text = r#"{"version":1,"ulid":"01M81TBSJCHX8GZCXYA1BJBB93","thanos":{"labels":{"a":"b"}},
        "stats":{"numBytes":7},"compaction":{"level":1,"why":"because","sources":null,"hints":null}}"#;
    let mut meta = read(text).expect("nothing is wrong with it");
    meta.compaction.set_hint(Hint::FromStaleSeries);
    meta.compaction.set_hint(Hint::FromOutOfOrder);
    meta.compaction.set_hint(Hint::FromStaleSeries);
    let written: Value = serde_json::from_slice(&meta.to_json()).expect("JSON");
    assert_eq!(written["thanos"]["labels"]["a"], "b");
    assert_eq!(
        (&written["stats"]["numBytes"], &written["compaction"]["why"]),
        (&7.into(), &"because".into())
    );
    assert_eq!(meta.compaction.hints, ["from-out-of-order", "from-stale-series"]);
}

#[test]
fn other_versions_and_other_texts_are_refused() {
    for (text, words) in [
        (r#"{"version":9}"#, "unexpected meta file version 9"),
        ("{}", "unexpected meta file version 0"),
        ("", "no block description"),
        ("[]", "no block description"),
        (r#"{"version":1,"ulid":"short"}"#, "no block description"),
        (r#"{"version":1,"minTime":7,"maxTime":6}"#, "minTime 7 lies after maxTime 6"),
        (r#"{"version":1,"minTime":0,"maxTime":9223372036854775808}"#, "no block description"),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
