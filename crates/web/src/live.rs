//! `/api/v1/notifications/live`: news of notifications as server-sent events, as long as the client listens.
//!
//! Always true: a client costs a task that sleeps and a few small buffers, never a thread; the number of clients is bounded
//! by `--web.max-notifications-subscribers`, above which the answer is 204, so that browsers do not come again.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use narthex_net::server::{Body, Response};
use tokio::sync::mpsc;

use crate::answer::no_content;
use crate::api::status::push_notification;
use crate::encoding::Encoding;
use crate::json::JsonOut;
use crate::services::{Notification, Subscription};
use crate::site::Shared;

/// Subscribes the client.
pub(crate) fn answer(shared: &Shared) -> Response {
    let subscription = shared.process.subscribe();
    let mut response = match subscription {
        Some(subscription) => Response::new(stream(subscription)),
        None => no_content(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn stream(subscription: Subscription) -> Body {
    let (to_client, events) = mpsc::channel(1);
    tokio::spawn(async move {
        let Subscription { mut news, guard: _guard } = subscription;
        loop {
            let next = tokio::select! {
                next = news.recv() => next,
                () = to_client.closed() => None,
            };
            let Some(next) = next else { return };
            if to_client.send(Ok(event(&next))).await.is_err() {
                return;
            }
        }
    });
    Body::Stream(events)
}

fn event(notification: &Notification) -> Bytes {
    let mut out = JsonOut::new(Encoding::Identity);
    out.raw("data: ");
    push_notification(&mut out, notification);
    out.raw("\n\n");
    Bytes::from(std::mem::take(out.buffer()))
}
