//! What keeps a small request from becoming large memory.
//!
//! A few bytes on the wire can stand for a series, and in protocol 2.0 two bytes can stand for a text of megabytes. The numbers
//! lie above what a request of [`MAX_BODY`] can hold when each of its parts is of use, so that they stop nothing but attacks and
//! broken senders.

use parking_lot::{Condvar, Mutex};

/// Largest body, compressed and decompressed, bytes. COMPAT: Prometheus' limit.
pub(super) const MAX_BODY: usize = 32 << 20;
/// Most series of a request: with a name and a sample each takes 16 bytes at least.
pub(super) const MAX_SERIES: usize = MAX_BODY / 16;
/// Most samples, and most symbols, of a request.
pub(super) const MAX_MEMBERS: usize = MAX_BODY / 8;
/// Most labels of a series that is spelled by symbols.
pub(super) const MAX_LABELS: usize = 16 << 10;
/// Longest label set that is spelled by symbols, and longest help and unit together, bytes.
pub(super) const MAX_SPELLED: usize = 1 << 20;
/// All label sets of new series and all metadata that a request spells by symbols, bytes.
pub(super) const MAX_SPELLED_TOTAL: usize = 8 * MAX_BODY;
/// Decompressed bytes of all requests that are worked on at a time. What they become is a small multiple of it.
const MAX_IN_WORK: usize = 4 * MAX_BODY;

/// Lets in as many requests as there is memory for; the others wait. Locks: a leaf, held for two additions.
#[derive(Default)]
pub(super) struct Room {
    in_work: Mutex<usize>,
    left: Condvar,
}

/// The memory of one request; given back when dropped.
pub(super) struct Place<'a> {
    room: &'a Room,
    bytes: usize,
}

impl Room {
    /// Waits until `bytes` (at most [`MAX_BODY`]) more may be taken.
    pub(super) fn enter(&self, bytes: usize) -> Place<'_> {
        let mut in_work = self.in_work.lock();
        while *in_work + bytes > MAX_IN_WORK {
            self.left.wait(&mut in_work);
        }
        *in_work += bytes;
        Place { room: self, bytes }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.room.in_work.lock() -= self.bytes;
        self.room.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_waits_while_the_room_is_full() {
        let room = Arc::new(Room::default());
        let mut inside: Vec<_> = (0..4).map(|_| room.enter(MAX_BODY)).collect();
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = Arc::clone(&room);
        let thread = std::thread::spawn(move || {
            let _place = waiting.enter(1);
            tell.send(()).expect("the test listens");
        });
        assert!(told.recv_timeout(Duration::from_millis(20)).is_err(), "there is no room");
        inside.pop();
        told.recv_timeout(Duration::from_secs(10)).expect("now there is");
        thread.join().expect("it ends");
        drop(inside);
        assert_eq!(*room.in_work.lock(), 0);
    }
}
