//! Which thread makes an answer: the network thread when the question was quick lately, else another.

use std::sync::Mutex;
use std::thread::ThreadId;

use super::*;

/// Answers as [`Storage`] does, and notes which thread asked.
#[derive(Clone, Default)]
struct Noted {
    asked_by: Arc<Mutex<Vec<ThreadId>>>,
    /// What happens before the next answers.
    mood: Arc<Mutex<Mood>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Fine,
    Slow,
    Broken,
}

impl Queryable for Noted {
    fn querier(&self, _mint_ms: i64, _maxt_ms: i64) -> Result<Box<dyn Querier>, QueryError> {
        self.asked_by.lock().unwrap().push(std::thread::current().id());
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Fine => {}
            Mood::Slow => std::thread::park_timeout(Duration::from_millis(20)),
            Mood::Broken => panic!("a storage that breaks, for the test"),
        }
        Ok(Box::new(Storage))
    }
}

struct Bench {
    site: Site,
    storage: Noted,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let storage = Noted::default();
        let site = new_site(options());
        site.answer_from_blocks(Services { storage: Arc::new(storage.clone()), ..services() });
        site.open();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { site, storage, runtime }
    }

    /// The status of an answer, and whether this thread, which is the network thread, made it.
    fn ask(&self, request: &str) -> (String, bool) {
        let status = self.runtime.block_on(ask(&self.site, request))[..3].to_owned();
        let asked_by = self.storage.asked_by.lock().unwrap().pop().expect("the storage was asked");
        (status, asked_by == std::thread::current().id())
    }

    /// Asks until the network thread answers: on a busy machine the first answers may not be quick.
    #[track_caller]
    fn ask_until_quick(&self, request: &str) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !self.ask(request).1 {
            assert!(std::time::Instant::now() < deadline, "{request} is never answered in place");
        }
    }

    fn mood(&self, mood: Mood) {
        *self.storage.mood.lock().unwrap() = mood;
    }
}

const QUESTIONS: [&str; 3] =
    ["GET /api/v1/query?query=m&time=5", "GET /api/v1/labels", "GET /api/v1/series?match[]=m"];

#[test]
fn what_was_quick_is_answered_where_it_was_read_and_what_turns_slow_is_not() {
    for question in QUESTIONS {
        let bench = Bench::new();
        assert_eq!(bench.ask(question), ("200".to_owned(), false), "nothing is known of {question}");
        bench.ask_until_quick(question);
        bench.mood(Mood::Slow);
        // Whoever made it: after this answer the question is known to be slow.
        assert_eq!(bench.ask(question).0, "200");
        assert_eq!(bench.ask(question), ("200".to_owned(), false), "{question}");
    }
}

#[test]
fn a_panic_on_the_network_thread_is_an_answer_and_gives_the_leave_back() {
    for question in QUESTIONS {
        let bench = Bench::new();
        bench.ask_until_quick(question);
        bench.mood(Mood::Broken);
        assert_eq!(bench.ask(question), ("500".to_owned(), true), "{question}");
        bench.mood(Mood::Fine);
        bench.ask_until_quick(question);
    }
}

#[test]
fn what_changes_the_database_is_never_answered_in_place() {
    assert!(!crate::api::may_be_quick(crate::routes::Endpoint::DeleteSeries));
    assert!(!crate::api::may_be_quick(crate::routes::Endpoint::Snapshot));
    assert!(!crate::api::may_be_quick(crate::routes::Endpoint::CleanTombstones));
}
