//! Live notifications: events as they come, and an end when nobody listens.

use std::sync::Mutex;

use narthex_net::server::Response;
use tokio::sync::mpsc;

use super::*;

/// The only subscriber that there may be.
pub(super) type Subscribers = Arc<Mutex<Option<mpsc::Sender<Notification>>>>;

struct Guard(Subscribers);

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = None;
    }
}

pub(super) fn subscribe(subscribers: &Subscribers) -> Option<Subscription> {
    let mut one = subscribers.lock().unwrap();
    if one.is_some() {
        return None;
    }
    let (send, news) = mpsc::channel(4);
    *one = Some(send);
    Some(Subscription { news, guard: Box::new(Guard(Arc::clone(subscribers))) })
}

async fn listen(site: &Site) -> Response {
    let request =
        http::Request::builder().uri("/api/v1/notifications/live").header("origin", "http://a.example");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let peer = "127.0.0.1:1".parse().unwrap();
    site.handle(Request { head, body: RequestBody::Ready(Bytes::new()), peer }).await
}

#[tokio::test]
async fn news_come_as_events_until_there_is_no_more() {
    let process = Arc::new(Process::default());
    let subscribers = Arc::clone(&process.subscribers);
    let site = Site::new(options(), Registry::new(), process);
    let response = listen(&site).await;
    assert_eq!(response.status(), 200, "also before the server is ready");
    let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("access-control-allow-origin"), "http://a.example");
    assert_eq!(listen(&site).await.status(), 204, "there are enough subscribers");
    let send = subscribers.lock().unwrap().clone().unwrap();
    for active in [true, false] {
        let since = UnixTime { secs: 1, nanos: 0 };
        send.send(Notification { text: "<x>".to_owned(), since, active }).await.unwrap();
    }
    drop(send);
    *subscribers.lock().unwrap() = None;
    let body = String::from_utf8(response.into_body().read_to_end().await.unwrap()).unwrap();
    let event = |active: bool| {
        format!(
            "data: {{\"text\":\"\\u003cx\\u003e\",\"date\":\"1970-01-01T00:00:01Z\",\"active\":{active}}}\n\n"
        )
    };
    assert_eq!(body, event(true) + &event(false));
}

#[tokio::test]
async fn who_hangs_up_is_not_subscribed_any_more() {
    let process = Arc::new(Process::default());
    let subscribers = Arc::clone(&process.subscribers);
    let site = Site::new(options(), Registry::new(), process);
    drop(listen(&site).await);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while subscribers.lock().unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(std::time::Instant::now() < deadline, "the subscription ends");
    }
}
