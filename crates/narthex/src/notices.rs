//! What users should know now, and who is told when that changes.
//!
//! Always true: telling never waits: a subscriber that does not listen misses news, which is counted. A subscriber counts until its
//! guard is dropped.
//! Facts: names of metrics and order of news as in Prometheus.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use narthex_metrics::{Counter, Gauge, Registry};
use narthex_model::UnixTime;
use narthex_web::{Notification, Subscription};
use tokio::sync::mpsc;

/// News that may wait for a subscriber, beside those that hold when it subscribes.
const WAITING: usize = 10;

/// The list and its subscribers.
pub(crate) struct Notices {
    /// Held only to copy or change it.
    state: Mutex<State>,
    max_subscribers: usize,
    subscribers: Gauge,
    sent: Counter,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    list: Vec<Notification>,
    /// Number and way of each subscriber.
    subscribers: Vec<(u64, mpsc::Sender<Notification>)>,
    next: u64,
    closed: bool,
}

/// Ends a subscription.
struct Guard(Arc<Notices>, u64);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.subscribers.retain(|(number, _)| *number != self.1);
        self.0.subscribers.set(state.subscribers.len() as f64);
    }
}

impl Notices {
    /// An empty list for at most so many subscribers.
    pub(crate) fn new(max_subscribers: usize, registry: &Registry) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            max_subscribers,
            subscribers: registry.gauge(
                "prometheus_api_notification_active_subscribers",
                "The current number of active notification subscribers.",
            ),
            sent: registry.counter(
                "prometheus_api_notification_updates_sent_total",
                "Total number of notification updates sent.",
            ),
            dropped: registry.counter(
                "prometheus_api_notification_updates_dropped_total",
                "Total number of notification updates dropped.",
            ),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells users something until [`Self::remove`]; telling it again renews its time.
    pub(crate) fn add(&self, text: &str) {
        let mut state = self.lock();
        let news = Notification {
            text: text.to_owned(),
            since: UnixTime::from_system(SystemTime::now()),
            active: true,
        };
        match state.list.iter_mut().find(|n| n.text == text) {
            Some(known) => known.since = news.since,
            None => state.list.push(news.clone()),
        }
        self.send(&state, &news);
    }

    /// Stops to tell it.
    pub(crate) fn remove(&self, text: &str) {
        let mut state = self.lock();
        if let Some(at) = state.list.iter().position(|n| n.text == text) {
            let gone = Notification { active: false, ..state.list.remove(at) };
            self.send(&state, &gone);
        }
    }

    /// What holds.
    pub(crate) fn list(&self) -> Vec<Notification> {
        self.lock().list.clone()
    }

    /// News from now on, beginning with what holds; `None` when there are enough subscribers or no more news.
    pub(crate) fn subscribe(self: &Arc<Self>) -> Option<Subscription> {
        let mut state = self.lock();
        if state.closed || state.subscribers.len() >= self.max_subscribers {
            return None;
        }
        let (send, news) = mpsc::channel(WAITING + state.list.len());
        for known in &state.list {
            send.try_send(known.clone()).expect("the channel has room for them");
        }
        let number = state.next;
        state.next += 1;
        state.subscribers.push((number, send));
        self.subscribers.set(state.subscribers.len() as f64);
        Some(Subscription { news, guard: Box::new(Guard(Arc::clone(self), number)) })
    }

    /// Ends all subscriptions: there is no more news.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.subscribers.clear();
    }

    fn send(&self, state: &State, news: &Notification) {
        for (_, subscriber) in &state.subscribers {
            self.sent.inc();
            if subscriber.try_send(news.clone()).is_err() {
                self.dropped.inc();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(subscription: &mut Subscription) -> Option<(String, bool)> {
        subscription.news.try_recv().ok().map(|n| (n.text, n.active))
    }

    #[test]
    fn a_subscriber_hears_what_holds_and_what_changes() {
        let notices = Notices::new(1, &Registry::new());
        notices.add("one");
        let mut subscription = notices.subscribe().unwrap();
        assert!(notices.subscribe().is_none(), "there are enough");
        notices.add("two");
        notices.remove("one");
        notices.remove("never told");
        let told = std::iter::from_fn(|| next(&mut subscription)).collect::<Vec<_>>();
        let of = |text: &str, active| (text.to_owned(), active);
        assert_eq!(told, [of("one", true), of("two", true), of("one", false)]);
        drop(subscription);
        assert_eq!(notices.subscribers.get(), 0.0);
        let mut next_one = notices.subscribe().unwrap();
        assert_eq!(next(&mut next_one), Some(of("two", true)));
        notices.close();
        assert!(next_one.news.is_closed() && notices.subscribe().is_none());
    }

    #[test]
    fn who_does_not_listen_misses_news_and_holds_nobody_up() {
        let notices = Notices::new(5, &Registry::new());
        let _subscription = notices.subscribe().unwrap();
        (0..WAITING + 3).for_each(|i| notices.add(&i.to_string()));
        assert_eq!((notices.sent.get(), notices.dropped.get()), (13.0, 3.0));
        notices.add("0");
        assert_eq!(notices.list().len(), WAITING + 3, "told again, not twice");
    }
}
