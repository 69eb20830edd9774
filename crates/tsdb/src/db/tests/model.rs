//! Random lives against a map: appends, maintenance, deletes, restarts, in any order.

use super::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn step(db: &Db, twin: &mut Twin, now_ms: &mut i64, random: &mut fastrand::Rng) {
    match random.u8(0..20) {
        0..=13 => {
            for _ in 0..random.u8(1..12) {
                *now_ms += random.i64(1..400);
                let names: Vec<&str> = NAMES.into_iter().filter(|_| random.u8(0..4) > 0).collect();
                put(db, twin, *now_ms, &names);
            }
        }
        14..=17 => db.maintain().unwrap(),
        18 => {
            let from_ms = random.i64(-10..*now_ms + 10);
            let to_ms = from_ms + random.i64(0..2000);
            let name = NAMES[random.usize(0..NAMES.len())];
            db.delete(from_ms, to_ms, &only(name)).unwrap();
            if let Some(samples) = twin.get_mut(name) {
                samples.retain(|t_ms, _| !(from_ms..=to_ms).contains(t_ms));
            }
        }
        _ => db.clean_tombstones().unwrap(),
    }
}

#[test]
fn random_lives_agree_with_a_map() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = crate::scratch::tempdir().unwrap();
        let (mut twin, mut now_ms) = (Twin::new(), 0);
        for _ in 0..5 {
            let db = open(dir.path());
            check(&db, &twin);
            for _ in 0..random.u8(1..25) {
                step(&db, &mut twin, &mut now_ms, &mut random);
                check(&db, &twin);
                let from_ms = random.i64(-10..now_ms + 10);
                let to_ms = from_ms + random.i64(0..3000);
                let part = |(name, samples): (&String, &BTreeMap<i64, f64>)| {
                    let part: BTreeMap<i64, f64> =
                        samples.range(from_ms..=to_ms).map(|(t, v)| (*t, *v)).collect();
                    (!part.is_empty()).then(|| (name.clone(), part))
                };
                let want: Twin = twin.iter().filter_map(part).collect();
                assert_eq!(read(&db, from_ms, to_ms), want, "seed {seed}, [{from_ms}, {to_ms}]");
            }
            if random.bool() {
                db.close().unwrap();
            }
        }
    }
}
