//! Reading ahead: a thread of its own reads, checks and unpacks records while those before them are taken apart.
//!
//! Always true: records come in the order of the log, all of them before what ends it; at most some megabytes wait.
//! Must not know: what is in a record, the head.
//! PERF: half of what a restart does before its samples reach a chunk. Records go over in groups, so that neither side wakes the
//! other for each.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use narthex_wal::{ReadError, Reader, WalPosition};

/// A group is handed over when it holds this many bytes.
const FULL: usize = 256 << 10;
/// Groups that may wait.
const AHEAD: usize = 4;

/// Records behind each other.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    /// Where each record lies in the log, and where it ends in `bytes`.
    records: Vec<(WalPosition, usize)>,
}

impl Group {
    /// Fills an emptied one; whether there may be more to read.
    fn fill(&mut self, reader: &mut Reader) -> Result<bool, ReadError> {
        while self.bytes.len() < FULL {
            let Some(record) = reader.next()? else { return Ok(false) };
            self.bytes.extend_from_slice(record.bytes);
            self.records.push((record.start, self.bytes.len()));
        }
        Ok(true)
    }

    /// Empties it and keeps its memory, unless a giant record made that much more than a group needs.
    fn reuse(mut self) -> Self {
        if self.bytes.capacity() > 4 * FULL {
            return Self::default();
        }
        self.bytes.clear();
        self.records.clear();
        self
    }

    fn iter(&self) -> impl Iterator<Item = (WalPosition, &[u8])> {
        let mut from = 0;
        self.records.iter().map(move |(start, end)| {
            let record = from..*end;
            from = *end;
            (*start, &self.bytes[record])
        })
    }
}

/// Gives `take` the records with their places, until there is none, or it says `false`, or one of both fails.
pub(super) fn read(
    reader: Reader,
    mut take: impl FnMut(WalPosition, &[u8]) -> Result<bool, ReadError>,
) -> Result<(), ReadError> {
    std::thread::scope(|scope| {
        let (hand_over, groups) = sync_channel(AHEAD);
        let (give_back, emptied) = sync_channel(AHEAD);
        scope.spawn(move || fill_all(reader, &hand_over, &emptied));
        // Whoever leaves this loop drops `groups`, and the thread ends.
        for group in groups {
            let group: Group = group?;
            for (start, record) in group.iter() {
                if !take(start, record)? {
                    return Ok(());
                }
            }
            let _ = give_back.try_send(group);
        }
        Ok(())
    })
}

fn fill_all(mut reader: Reader, hand_over: &SyncSender<Result<Group, ReadError>>, emptied: &Receiver<Group>) {
    loop {
        let mut group = emptied.try_recv().map(Group::reuse).unwrap_or_default();
        let filled = group.fill(&mut reader);
        // What stands before damage is whole.
        let taken = hand_over.send(Ok(group));
        match filled {
            Ok(true) if taken.is_ok() => {}
            Ok(_) => return,
            Err(error) => {
                let _ = hand_over.send(Err(error));
                return;
            }
        }
    }
}
