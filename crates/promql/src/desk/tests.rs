//! Turns, lanes, calling off, the list and the counts, without threads where it can be.

use std::task::Wake;

use super::*;
use crate::script::MemoryStorage;

struct Nothing;

impl Wake for Nothing {
    fn wake(self: Arc<Self>) {}
}

fn desk(slots: usize, timeout: Duration) -> (Arc<Desk>, Registry) {
    let registry = Registry::new();
    let options = crate::engine::EngineOptions { timeout, threads: 4, ..Default::default() };
    (Arc::new(Desk::new(Arc::new(Engine::new(options)), slots, None, &registry)), registry)
}

const LONG: Duration = Duration::from_secs(3600);

fn request(text: &str, lane: Lane) -> Request {
    let (origin, options) = (Origin::Internal, QueryOptions::default());
    Request { text: text.to_owned(), times: Times::At(0), lane, origin, options }
}

fn is_turn(ticket: &mut Ticket) -> bool {
    let waker = Waker::from(Arc::new(Nothing));
    match ticket.poll_turn(&mut Context::from_waker(&waker)) {
        Poll::Ready(turned) => turned.map(|()| true).unwrap(),
        Poll::Pending => false,
    }
}

fn value_of(registry: &Registry, name: &str) -> String {
    let family = registry.gather().into_iter().find(|f| f.name == name).unwrap();
    format!("{family:?}")
}

/// How many durations of a slice were observed.
fn observed(registry: &Registry, slice: &str) -> u64 {
    let families = registry.gather();
    let family =
        families.iter().find(|f| f.name == "prometheus_engine_query_duration_histogram_seconds").unwrap();
    match family.metrics.iter().find(|m| m.labels[0].1 == slice).unwrap().value {
        narthex_metrics::Value::Histogram { count, .. } => count,
        _ => panic!("no histogram"),
    }
}

fn number(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    match families.iter().find(|f| f.name == name).unwrap().metrics[0].value {
        narthex_metrics::Value::Number(v) => v,
        _ => panic!("no number"),
    }
}

#[test]
fn higher_lanes_go_first_and_a_lane_keeps_its_order() {
    let (desk, _) = desk(1, LONG);
    let mut running = desk.receive(request("1", Lane::AdHoc));
    // In the slot for rules alone.
    let _busy = desk.receive(request("rule", Lane::Rules));
    assert!(is_turn(&mut running));
    let mut waiting: Vec<Ticket> = [
        ("adhoc", Lane::AdHoc),
        ("board 1", Lane::Dashboards),
        ("rule 1", Lane::Rules),
        ("board 2", Lane::Dashboards),
        ("rule 2", Lane::Rules),
    ]
    .into_iter()
    .map(|(text, lane)| desk.receive(request(text, lane)))
    .collect();
    drop(running);
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let next = waiting.iter_mut().position(is_turn).unwrap();
        assert_eq!(waiting.iter_mut().filter_map(|t| is_turn(t).then_some(())).count(), 1, "one slot");
        order.push(waiting.remove(next).request.text.clone());
    }
    assert_eq!(order, ["rule 1", "rule 2", "board 1", "board 2", "adhoc"]);
}

/// A page of long queries that somebody opened must not delay an alert.
#[test]
fn a_rule_starts_at_once_whatever_others_hold_all_slots() {
    let (desk, _) = desk(8, LONG);
    let mut others: Vec<Ticket> = (0..20)
        .map(|n| desk.receive(request("long", if n % 2 == 0 { Lane::AdHoc } else { Lane::Dashboards })))
        .collect();
    assert_eq!(others.iter_mut().filter_map(|t| is_turn(t).then_some(())).count(), 8);
    let mut rules: Vec<Ticket> = (0..3).map(|_| desk.receive(request("rule", Lane::Rules))).collect();
    let turns = |rules: &mut [Ticket]| rules.iter_mut().map(is_turn).collect::<Vec<_>>();
    assert_eq!(turns(&mut rules), [true, true, false], "two of eight slots are for rules alone");
    assert_eq!(others.iter_mut().filter_map(|t| is_turn(t).then_some(())).count(), 8, "nobody else has them");
    let slots: Vec<_> = rules[..2].iter().map(|t| t.slot.unwrap()).collect();
    assert_eq!(slots, [8, 9]);
    drop(rules.remove(0));
    assert_eq!(turns(&mut rules), [true, true], "and they come back");
    drop(rules);
    // Where there is room, a rule takes a slot for all.
    drop(others);
    let mut rule = desk.receive(request("rule", Lane::Rules));
    assert!(is_turn(&mut rule) && rule.slot.unwrap() < 8);
}

/// Many short queries at once are answered in their order, not all beside each other; long ones hold nobody up.
#[test]
fn few_queries_begin_at_a_time_but_rules_and_those_beside_long_ones() {
    let slots_of = |board: &Board, lanes: &[Lane]| -> Vec<bool> {
        let now = UnixTime::from_system(SystemTime::now());
        let ids: Vec<u64> = lanes.iter().map(|lane| board.enter(&request("1", *lane), now)).collect();
        let waker = Waker::from(Arc::new(Nothing));
        ids.iter().map(|id| matches!(board.poll(*id, &waker), Entered::Slot(_))).collect()
    };
    let lanes = [Lane::AdHoc, Lane::Dashboards, Lane::AdHoc, Lane::Rules];
    let board = Board::new(20, Young::new(2, LONG));
    assert_eq!(slots_of(&board, &lanes), [true, true, false, true]);
    let waker = Waker::from(Arc::new(Nothing));
    board.leave(1);
    assert!(matches!(board.poll(3, &waker), Entered::Slot(_)), "who is next when one ends");
    assert_eq!(slots_of(&Board::new(20, Young::new(2, Duration::ZERO)), &lanes), [true; 4], "none is young");
}

#[test]
fn a_low_lane_does_not_starve() {
    let (desk, _) = desk(1, LONG);
    let mut running = desk.receive(request("first", Lane::Rules));
    let _busy = desk.receive(request("second", Lane::Rules));
    let mut low = desk.receive(request("low", Lane::AdHoc));
    let mut turns = 0;
    while !is_turn(&mut low) {
        // There is always a rule waiting.
        let next = desk.receive(request("rule", Lane::Rules));
        drop(std::mem::replace(&mut running, next));
        turns += 1;
        assert!(turns <= board::PATIENCE + 1, "the low lane starves");
    }
    assert!(turns >= board::PATIENCE, "rules come first for a while");
}

#[test]
fn who_gives_up_waiting_leaves_the_lane() {
    let (desk, _) = desk(1, LONG);
    let running = desk.receive(request("1", Lane::AdHoc));
    let gone = desk.receive(request("gone", Lane::Dashboards));
    let mut next = desk.receive(request("next", Lane::AdHoc));
    drop(gone);
    drop(running);
    assert!(is_turn(&mut next));
    drop(next);
    assert!(desk.list().is_empty());
}

#[test]
fn waiting_too_long_has_prometheus_errors() {
    let (desk, registry) = desk(1, Duration::from_millis(5));
    let running = desk.receive(request("1", Lane::AdHoc));
    let mut late = desk.receive(request("late", Lane::AdHoc));
    let error = late.wait().unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.kind()),
        ("context deadline exceeded", ErrorKind::Execution)
    );
    let mut hurried = request("late", Lane::AdHoc);
    hurried.options.timeout = Some(Duration::from_millis(1));
    let error = desk.receive(hurried).wait().unwrap_err();
    assert_eq!((error.to_string().as_str(), error.kind()), ("context deadline exceeded", ErrorKind::BadData));
    assert_eq!(observed(&registry, "queue_time"), 2, "both waited in vain");
    assert!(value_of(&registry, "prometheus_engine_queries").contains('2'));
    drop((running, late));
    assert!(!value_of(&registry, "prometheus_engine_queries").contains('2'));
}

#[test]
fn a_thread_that_waits_is_woken_when_a_slot_is_free_and_when_it_is_called_off() {
    let (desk, _) = desk(1, LONG);
    let running = desk.receive(request("1", Lane::AdHoc));
    let (mut served, mut canceled) =
        (desk.receive(request("2", Lane::AdHoc)), desk.receive(request("3", Lane::AdHoc)));
    let id = canceled.id();
    std::thread::scope(|scope| {
        let canceled = scope.spawn(move || canceled.wait().map_err(|e| e.to_string()));
        assert!(desk.cancel(id));
        let expected = Err("query was canceled in query queue".to_owned());
        assert_eq!(canceled.join().unwrap(), expected);
        let served = scope.spawn(move || served.wait().map_err(|e| e.to_string()));
        drop(running);
        assert_eq!(served.join().unwrap(), Ok(()));
    });
    assert!(!desk.cancel(id), "it is gone");
}

#[test]
fn the_list_shows_who_waits_and_runs_and_a_running_query_can_be_called_off() {
    let (desk, _) = desk(1, LONG);
    let mut running = desk.receive(request("vector(1)", Lane::Rules));
    let waiting = desk.receive(request("vector(2)", Lane::Dashboards));
    let shown: Vec<String> = desk
        .list()
        .iter()
        .map(|q| format!("{} {} {} {}", q.id, q.text, q.lane.as_str(), q.stand.as_str()))
        .collect();
    assert_eq!(shown, ["1 vector(1) rules running", "2 vector(2) dashboards waiting"]);
    assert!(desk.cancel(1) && !desk.cancel(77));
    assert!(is_turn(&mut running));
    let error = running.run(&MemoryStorage::new()).unwrap_err();
    assert_eq!(error.to_string(), "query was canceled in expression evaluation");
    drop((running, waiting));
    assert!(desk.list().is_empty());
}

#[test]
fn finished_queries_are_logged_unless_they_do_not_parse() {
    let (desk, registry) = desk(1, LONG);
    let file = std::env::temp_dir().join(format!("narthex-query-log-{}", std::process::id()));
    desk.set_query_log(Some(&file)).unwrap();
    for text in ["vector(1)", "vector(", "label_replace(vector(1), \"a\", \"b\", \"c\", \"(\")"] {
        let mut ticket = desk.receive(request(text, Lane::AdHoc));
        assert!(is_turn(&mut ticket));
        let _ = ticket.run(&MemoryStorage::new());
    }
    let log = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.lines().nth(1).unwrap().contains("\"error\":\""), "{log}");
    assert!(desk.set_query_log(Some(Path::new("/nosuch/file"))).is_err());
    assert!(value_of(&registry, "prometheus_engine_query_log_enabled").contains('1'));
    desk.set_query_log(None).unwrap();
}

fn ten_samples() -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    let labels = narthex_model::Labels::from_pairs([("__name__", "x")]);
    (0..10).for_each(|t| storage.add_float(&labels, t * 1000 - 20_000, t as f64));
    storage
}

/// Prometheus counts the samples and the time of a query that fails; a rule that fails each minute is not for free.
#[test]
fn a_query_that_fails_counts_what_it_cost_until_then() {
    let (desk, registry) = desk(1, LONG);
    let run = |text: &str, times: Times| {
        let mut ticket = desk.receive(Request { times, ..request(text, Lane::AdHoc) });
        assert!(is_turn(&mut ticket));
        ticket.run(&ten_samples()).map(|_| ()).map_err(|e| e.kind())
    };
    let counted = || {
        let of = |name: &str| number(&registry, &format!("prometheus_engine_query_{name}_total"));
        let slices = ["prepare_time", "inner_eval", "result_sort"].map(|slice| observed(&registry, slice));
        ([of("samples"), of("samples_read")], slices)
    };
    // What is no query is not counted.
    assert_eq!(run("x +", Times::At(0)), Err(ErrorKind::BadData));
    assert_eq!(counted(), ([0.0, 0.0], [0, 0, 0]));
    let failing =
        "sum_over_time(x[1m]) + on () group_left () (x or label_replace(x, \"a\", \"b\", \"\", \"\"))";
    assert_eq!(run(failing, Times::At(0)), Err(ErrorKind::Execution));
    assert_eq!(counted(), ([12.0, 12.0], [1, 1, 0]));
    // An instant vector is not sorted, a range query's result is.
    assert_eq!(run("x", Times::At(0)), Ok(()));
    assert_eq!(counted(), ([13.0, 13.0], [2, 2, 0]));
    assert_eq!(run("x", Times::Range { start: 0, end: 0, step: 1 }), Ok(()));
    assert_eq!(counted(), ([14.0, 14.0], [3, 3, 1]));
}
