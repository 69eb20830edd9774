//! The way back, in one place: stop scraping, drain the remote queues, close the storage, and stop answering last, so that
//! `/-/ready` tells the truth until the end.

use std::time::Duration;

use narthex_net::server::Server;
use narthex_web::Site;

use crate::parts::Parts;

/// How long requests in flight may go on when everything else has stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// Ends a server that was ready. When `hurry` ends, what remote write has not sent is left for the next start.
pub(crate) async fn run(site: &Site, server: Server, parts: Parts, hurry: impl Future<Output = ()>) {
    site.close();
    tracing::info!("Stopping scrape manager...");
    parts.scrape.stop().await;
    tracing::info!("Scrape manager stopped");
    drain_remote(&parts, hurry).await;
    close_storage(parts).await;
    stop_web(server).await;
    tracing::info!("See you next time!");
}

/// Sends what the log holds until the flush deadline; says so, as it may take that long.
async fn drain_remote(parts: &Parts, hurry: impl Future<Output = ()>) {
    let endpoints = parts.remote.endpoints().len();
    if endpoints > 0 {
        tracing::info!(endpoints = endpoints as u64, "Draining remote write... (a second signal ends it)");
    }
    // Dropping the drain loses nothing: the cursors are saved after each answer.
    tokio::select! {
        () = parts.remote.stop() => {}
        () = hurry => {}
    }
    if endpoints > 0 {
        tracing::info!("Remote write stopped; what is left in the log is sent after the next start");
    }
}

/// Ends a server whose storage is still being opened; its thread is left alone, the process ends under it.
pub(crate) async fn before_ready(site: &Site, server: Server) {
    site.close();
    stop_web(server).await;
    tracing::info!("See you next time!");
}

async fn close_storage(parts: Parts) {
    tracing::info!("Stopping storage...");
    // Syncing the WAL waits for the disk.
    match tokio::task::spawn_blocking(move || parts.db.close()).await {
        Ok(Ok(())) => tracing::info!("TSDB stopped"),
        Ok(Err(error)) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(err = error, "Error stopping storage");
        }
        Err(_) => tracing::error!("closing the storage panicked"),
    }
}

async fn stop_web(server: Server) {
    let cut = server.stop(DRAIN).await;
    if cut > 0 {
        tracing::warn!(
            component = "web",
            connections = cut as u64,
            "Requests were cut off at the end of the drain"
        );
    }
}
