//! The fan-out over stores in memory.

use std::sync::Mutex;

use super::*;

/// Series with one sample each at time 1, named by their labels; or an error. Notes what it is asked.
#[derive(Clone)]
struct Plain {
    series: Result<Vec<&'static str>, &'static str>,
    warning: Option<&'static str>,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Plain {
    fn of(series: &[&'static str]) -> Self {
        Self { series: Ok(series.to_vec()), warning: None, asked: Arc::default() }
    }

    fn note(&self, what: &'static str) -> Result<Vec<&'static str>, QueryError> {
        self.asked.lock().unwrap().push(what);
        self.series.clone().map_err(|reason| QueryError::Corrupt(reason.to_owned()))
    }
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("a", name)])
}

impl Queryable for Plain {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, QueryError> {
        Ok(Box::new(self.clone()))
    }
}

impl Distant for Plain {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Option<QuerierInTime> {
        let (min_ms, max_ms) = (mint_ms, maxt_ms);
        (mint_ms < 100).then(|| QuerierInTime { min_ms, max_ms, querier: Box::new(self.clone()) })
    }
}

impl Querier for Plain {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.note("select")?;
        Ok(Box::new(self.clone()))
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(self.note("values")?.into_iter().map(str::to_owned).collect())
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, QueryError> {
        Ok(vec!["a".to_owned()])
    }

    fn warnings(&self) -> Vec<String> {
        self.warning.map(str::to_owned).into_iter().collect()
    }
}

impl SeriesSet for Plain {
    fn len(&self) -> usize {
        self.note("len").map_or(0, |series| series.len())
    }

    fn labels(&self, at: usize) -> Labels {
        labels(self.series.as_ref().unwrap()[at])
    }

    fn read(&self, _: usize, _: i64, _: i64, out: &mut SampleBatch) -> Result<(), QueryError> {
        out.push(1, 2.0);
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        self.warning.map(str::to_owned).into_iter().collect()
    }
}

fn shown(set: &dyn SeriesSet) -> String {
    let series = (0..set.len()).map(|at| {
        let mut batch = SampleBatch::default();
        set.read(at, 0, 10, &mut batch).unwrap();
        format!("{}{}", set.labels(at).value("a"), batch.len())
    });
    format!("{} ! {}", series.collect::<Vec<_>>().join(" "), set.warnings().join(" "))
}

fn check(local: &Plain, distant: &[&Plain], expected: &str) {
    let fan_out = FanOut::new(Arc::new(local.clone()));
    fan_out.set_distant(distant.iter().map(|store| Arc::new((*store).clone()) as _).collect());
    let querier = fan_out.querier(0, 10).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    assert_eq!(shown(&*set), expected);
    let values = querier.label_values("a", &[], 0).unwrap();
    let names = expected.split(" !").next().unwrap().replace('1', "");
    assert_eq!(values.join(" "), names);
}

#[test]
fn series_are_merged_and_failures_are_warnings() {
    let (local, far) = (Plain::of(&["b", "d"]), Plain::of(&["a", "b"]));
    let failed = Plain { series: Err("gone"), ..Plain::of(&[]) };
    let late = Plain { warning: Some("late"), ..Plain::of(&[]) };
    check(&local, &[], "b1 d1 ! ");
    check(&local, &[&far], "a1 b1 d1 ! ");
    check(&local, &[&failed, &far, &late], "a1 b1 d1 ! corrupt data: gone late");
    check(&Plain::of(&[]), &[&far], "a1 b1 ! ");
}

#[test]
fn the_local_store_fails_alone_and_nobody_waits_before_somebody_looks() {
    let (local, far) = (Plain::of(&["b"]), Plain::of(&["a"]));
    let fan_out = FanOut::new(Arc::new(Plain { series: Err("gone"), ..Plain::of(&[]) }));
    fan_out.set_distant(vec![Arc::new(far.clone())]);
    let querier = fan_out.querier(0, 10).unwrap();
    assert!(querier.select(&SelectHints::default(), &[]).is_err());
    assert!(querier.label_values("a", &[], 0).is_err());

    let fan_out = FanOut::new(Arc::new(local));
    fan_out.set_distant(vec![Arc::new(far.clone())]);
    far.asked.lock().unwrap().clear();
    let querier = fan_out.querier(0, 10).unwrap();
    let set = querier.select(&SelectHints::default(), &[]).unwrap();
    assert_eq!(*far.asked.lock().unwrap(), ["select"]);
    assert_eq!(set.len(), 2);
    assert!(far.asked.lock().unwrap().contains(&"len"));
    far.asked.lock().unwrap().clear();
    let querier = fan_out.querier(100, 110).unwrap();
    assert_eq!(querier.select(&SelectHints::default(), &[]).unwrap().len(), 1, "it had nothing to be asked");
    assert!(far.asked.lock().unwrap().is_empty());
}
