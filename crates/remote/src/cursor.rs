//! The cursor of an endpoint: up to where the log was acknowledged, lane by lane, kept in a file of its own.
//!
//! Everything of lane `l` in records that begin before `lanes[l]` was delivered or dead-lettered. Lanes move independently, so
//! that a kill loses only the acknowledgements of requests that were in flight.
//! The file has two slots of equal size, written in turn, each with a sequence number and a checksum: a torn write leaves the
//! other one. A save is one `pwrite` into the page cache (it survives the process); [`CursorFile::sync`] makes it survive a
//! power cut too, after which at worst an older slot makes samples be sent twice.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use narthex_wal::WalPosition;

use crate::series::LANES;

const MAGIC: &[u8; 8] = b"NXRWCUR1";
/// Magic, sequence number, number of lanes, positions, checksum.
const SLOT_BYTES: usize = 8 + 8 + 4 + LANES * 8 + 4;

/// A position of the log in one word; ordered alike.
#[must_use]
pub(crate) fn pack(position: WalPosition) -> u64 {
    u64::from(position.segment) << 32 | position.offset.min(u64::from(u32::MAX))
}

/// The reverse of [`pack`].
#[must_use]
pub(crate) fn unpack(packed: u64) -> WalPosition {
    WalPosition { segment: (packed >> 32) as u32, offset: packed & u64::from(u32::MAX) }
}

/// Where each lane goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Packed positions, [`LANES`] of them.
    pub(crate) lanes: Box<[u64]>,
}

impl Cursor {
    /// All lanes at one position.
    #[must_use]
    pub(crate) fn at(position: WalPosition) -> Self {
        Self { lanes: vec![pack(position); LANES].into() }
    }

    /// The lane that is furthest behind: reading goes on here.
    #[must_use]
    pub(crate) fn min(&self) -> WalPosition {
        unpack(self.lanes.iter().copied().min().expect("there are lanes"))
    }

    /// The lane that is furthest ahead: from here on no sample needs a look at its lane.
    #[must_use]
    pub(crate) fn max(&self) -> WalPosition {
        unpack(self.lanes.iter().copied().max().expect("there are lanes"))
    }
}

/// The file of a cursor.
#[derive(Debug)]
pub(crate) struct CursorFile {
    file: File,
    sequence: u64,
    slot: Vec<u8>,
}

impl CursorFile {
    /// Opens the file, or makes it. The cursor is `None` when there was none, or no readable one.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Cursor>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut best: Option<(u64, Cursor)> = None;
        let mut slot = vec![0; SLOT_BYTES];
        for at in [0, SLOT_BYTES as u64] {
            if file.read_exact_at(&mut slot, at).is_err() {
                continue;
            }
            if let Some(found) = decode(&slot)
                && best.as_ref().is_none_or(|(sequence, _)| *sequence < found.0)
            {
                best = Some(found);
            }
        }
        let (sequence, cursor) = best.map_or((0, None), |(sequence, cursor)| (sequence, Some(cursor)));
        Ok((Self { file, sequence, slot }, cursor))
    }

    /// Writes the cursor over the older slot. Cost: a checksum and a write of 8 KiB.
    ///
    /// # Errors
    /// The disk's; the newer slot is untouched.
    pub(crate) fn save(&mut self, cursor: &Cursor) -> io::Result<()> {
        let sequence = self.sequence + 1;
        self.slot.clear();
        self.slot.extend_from_slice(MAGIC);
        self.slot.extend_from_slice(&sequence.to_be_bytes());
        self.slot.extend_from_slice(&(LANES as u32).to_be_bytes());
        cursor.lanes.iter().for_each(|lane| self.slot.extend_from_slice(&lane.to_be_bytes()));
        let checksum = crc32c::crc32c(&self.slot);
        self.slot.extend_from_slice(&checksum.to_be_bytes());
        self.file.write_all_at(&self.slot, (sequence % 2) * SLOT_BYTES as u64)?;
        self.sequence = sequence;
        Ok(())
    }

    /// Makes the last save survive a power cut.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn decode(slot: &[u8]) -> Option<(u64, Cursor)> {
    let (body, checksum) = slot.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let body = body.strip_prefix(MAGIC)?;
    let (sequence, body) = body.split_first_chunk::<8>()?;
    let (count, body) = body.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*count) as usize != LANES {
        return None;
    }
    let (words, _) = body.as_chunks::<8>();
    let lanes: Box<[u64]> = words.iter().map(|word| u64::from_be_bytes(*word)).collect();
    Some((u64::from_be_bytes(*sequence), Cursor { lanes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(n: u64) -> Cursor {
        Cursor { lanes: (0..LANES as u64).map(|lane| n * 1000 + lane).collect() }
    }

    #[test]
    fn the_last_save_is_what_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cursor");
        assert_eq!(CursorFile::open(&path).unwrap().1, None);
        for n in 1..6 {
            let (mut file, _) = CursorFile::open(&path).unwrap();
            file.save(&cursor(n)).unwrap();
            file.save(&cursor(n * 10)).unwrap();
            assert_eq!(CursorFile::open(&path).unwrap().1, Some(cursor(n * 10)));
        }
    }

    #[test]
    fn a_torn_save_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cursor");
        for at in [0, 10, 100, SLOT_BYTES - 1] {
            let (mut file, _) = CursorFile::open(&path).unwrap();
            file.save(&cursor(1)).unwrap();
            file.save(&cursor(2)).unwrap();
            let newer = (file.sequence % 2) as usize * SLOT_BYTES;
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[newer + at] ^= 0x40;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(CursorFile::open(&path).unwrap().1, Some(cursor(1)), "torn at {at}");
        }
    }

    #[test]
    fn the_minimum_and_maximum_are_over_lanes() {
        let mut cursor = Cursor::at(WalPosition { segment: 3, offset: 70 });
        cursor.lanes[9] = pack(WalPosition { segment: 2, offset: 4_000_000 });
        cursor.lanes[10] = pack(WalPosition { segment: 4, offset: 0 });
        assert_eq!(cursor.min(), WalPosition { segment: 2, offset: 4_000_000 });
        assert_eq!(cursor.max(), WalPosition { segment: 4, offset: 0 });
    }
}
