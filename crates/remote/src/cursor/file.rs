//! The file of a cursor: two slots, written in turn, each with a sequence number and a checksum, so that a torn write leaves the
//! other one.
//!
//! A save is one `pwrite` into the page cache (it survives the process); [`CursorFile::sync`] makes it survive a power cut too,
//! after which at worst an older slot makes samples be sent twice. A slot: magic, sequence number, number of lanes, what it says of
//! each and whether it is settled (1 byte), newest acknowledged time, then 8 bytes a lane (its place in the log) or 24 (time and late offset too), checksum.
//! COMPAT: older files have `NXRWCUR2` slots in the places of ours, or `NXRWCUR1` slots of log positions alone before them, which are
//! read when there is no other and left as they are. Their lanes had other series, so all lanes go on where the last of them was.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{Cursor, LIVE, Mark};
use crate::series::LANES;

const MAGIC: &[u8; 8] = b"NXRWCUR3";
/// Of slots with other series in each lane.
const OTHER_LANES_MAGIC: &[u8; 8] = b"NXRWCUR2";
const HEAD_BYTES: usize = 8 + 8 + 4 + 1 + 8;
/// The largest slot.
const SLOT_BYTES: usize = HEAD_BYTES + LANES * 24 + 8 + 4;
/// Where our slots begin.
const SLOTS_AT: [u64; 2] = [32 * 1024, 64 * 1024];

const OLD_MAGIC: &[u8; 8] = b"NXRWCUR1";
const OLD_SLOT_BYTES: usize = 8 + 8 + 4 + LANES * 8 + 4;

/// All lanes are live and share one late offset, which follows their positions.
const LOG_ONLY: u8 = 1;
/// Position, time, late offset of each lane.
const WHOLE: u8 = 2;
/// Added when the cursor is settled.
const SETTLED: u8 = 0x80;

/// See the module's words.
#[derive(Debug)]
pub(crate) struct CursorFile {
    file: File,
    sequence: u64,
    slot: Vec<u8>,
    is_new: bool,
}

impl CursorFile {
    /// Opens the file, or makes it. The cursor is `None` when there was none, or no readable one: [`CursorFile::is_new`] tells.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Cursor>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let (file, is_new) = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (options.create_new(true).open(path)?, true)
            }
            file => (file?, false),
        };
        let ours = SLOTS_AT.map(|at| decode(&read_slot(&file, at, SLOT_BYTES)?));
        let olds = [0, OLD_SLOT_BYTES as u64].map(|at| decode_old(&read_slot(&file, at, OLD_SLOT_BYTES)?));
        let newest = |slots: [Option<(u64, Cursor)>; 2]| {
            slots.into_iter().flatten().max_by_key(|(sequence, _)| *sequence)
        };
        let best = newest(ours).or_else(|| newest(olds));
        let (sequence, cursor) = best.map_or((0, None), |(sequence, cursor)| (sequence, Some(cursor)));
        Ok((Self { file, sequence, slot: Vec::new(), is_new }, cursor))
    }

    /// Whether there was no file.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Writes the cursor over the older slot. Cost: a checksum and a write of 8 KiB, 24 while the database serves lanes.
    ///
    /// # Errors
    /// The disk's; the newer slot is untouched.
    pub(crate) fn save(&mut self, cursor: &Cursor) -> io::Result<()> {
        let sequence = self.sequence + 1;
        encode(cursor, sequence, &mut self.slot);
        self.file.write_all_at(&self.slot, SLOTS_AT[(sequence % 2) as usize])?;
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

/// What is there of a slot; `None` for nothing.
fn read_slot(file: &File, at: u64, most: usize) -> Option<Vec<u8>> {
    let mut slot = vec![0; most];
    let mut len = 0;
    while len < most {
        match file.read_at(&mut slot[len..], at + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    slot.truncate(len);
    (len > 0).then_some(slot)
}

fn encode(cursor: &Cursor, sequence: u64, slot: &mut Vec<u8>) {
    slot.clear();
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&sequence.to_be_bytes());
    slot.extend_from_slice(&(LANES as u32).to_be_bytes());
    let is_live = cursor.is_live();
    slot.push(if is_live { LOG_ONLY } else { WHOLE } | if cursor.is_settled { SETTLED } else { 0 });
    slot.extend_from_slice(&cursor.sent_ms.to_be_bytes());
    cursor.lanes.iter().for_each(|lane| slot.extend_from_slice(&lane.log.to_be_bytes()));
    if is_live {
        slot.extend_from_slice(&cursor.lanes[0].late.to_be_bytes());
    } else {
        cursor.lanes.iter().for_each(|lane| slot.extend_from_slice(&lane.time_ms.to_be_bytes()));
        cursor.lanes.iter().for_each(|lane| slot.extend_from_slice(&lane.late.to_be_bytes()));
    }
    let checksum = crc32c::crc32c(slot);
    slot.extend_from_slice(&checksum.to_be_bytes());
}

fn decode(slot: &[u8]) -> Option<(u64, Cursor)> {
    let kind = *slot.get(HEAD_BYTES - 9)?;
    let (kind, is_settled) = (kind & !SETTLED, kind & SETTLED != 0);
    let body = match kind {
        LOG_ONLY => LANES * 8 + 8,
        WHOLE => LANES * 24,
        _ => return None,
    };
    let whole = slot.get(..HEAD_BYTES + body + 4)?;
    let ours = checked(whole, MAGIC);
    let is_ours = ours.is_some();
    let (sequence, slot) = ours.or_else(|| checked(whole, OTHER_LANES_MAGIC))?;
    let (sent_ms, body) = slot[1..].split_first_chunk::<8>()?;
    let (words, _) = body.as_chunks::<8>();
    let word = |at: usize| u64::from_be_bytes(words[at]);
    let lane = |at: usize| match kind {
        LOG_ONLY => Mark { log: word(at), time_ms: LIVE, late: word(LANES) },
        _ => Mark { log: word(at), time_ms: word(LANES + at) as i64, late: word(2 * LANES + at) },
    };
    let (lanes, sent_ms) = ((0..LANES).map(lane).collect(), i64::from_be_bytes(*sent_ms));
    let cursor = Cursor { lanes, sent_ms, is_settled };
    Some((sequence, if is_ours { cursor } else { cursor.levelled() }))
}

fn decode_old(slot: &[u8]) -> Option<(u64, Cursor)> {
    let (sequence, body) = checked(slot, OLD_MAGIC)?;
    let (words, _) = body.as_chunks::<8>();
    let lane = |word: &[u8; 8]| Mark { log: u64::from_be_bytes(*word), time_ms: LIVE, late: 0 };
    let lanes: Box<[Mark]> = words.iter().map(lane).collect();
    (lanes.len() == LANES)
        .then(|| (sequence, Cursor { lanes, sent_ms: i64::MIN, is_settled: false }.levelled()))
}

/// The sequence number of a slot whose checksum, magic and number of lanes are right, and what follows.
fn checked<'a>(slot: &'a [u8], magic: &[u8; 8]) -> Option<(u64, &'a [u8])> {
    let (body, checksum) = slot.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let body = body.strip_prefix(magic)?;
    let (sequence, body) = body.split_first_chunk::<8>()?;
    let (count, body) = body.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*count) as usize == LANES).then_some((u64::from_be_bytes(*sequence), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cursors with an odd number are live.
    fn cursor(n: u64) -> Cursor {
        let mark = |lane: u64| match n % 2 {
            1 => Mark { log: n * 1000 + lane, time_ms: LIVE, late: n },
            _ => Mark { log: n * 1000 + lane, time_ms: -(lane as i64), late: n + lane },
        };
        Cursor {
            lanes: (0..LANES as u64).map(mark).collect(),
            sent_ms: n as i64,
            is_settled: n.is_multiple_of(3),
        }
    }

    #[test]
    fn the_last_save_is_what_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cursor");
        assert_eq!(CursorFile::open(&path).unwrap().1, None);
        for n in 1..6 {
            let (mut file, _) = CursorFile::open(&path).unwrap();
            file.save(&cursor(n)).unwrap();
            assert_eq!(CursorFile::open(&path).unwrap().1, Some(cursor(n)));
            file.save(&cursor(n * 10)).unwrap();
            assert_eq!(CursorFile::open(&path).unwrap().1, Some(cursor(n * 10)));
        }
    }

    #[test]
    fn a_torn_save_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cursor");
        for at in [0, 10, 20, 100, HEAD_BYTES + LANES * 8] {
            for newer in [2, 3] {
                let (mut file, _) = CursorFile::open(&path).unwrap();
                file.save(&cursor(1)).unwrap();
                file.save(&cursor(newer)).unwrap();
                let place = SLOTS_AT[(file.sequence % 2) as usize] as usize;
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[place + at] ^= 0x40;
                std::fs::write(&path, bytes).unwrap();
                assert_eq!(CursorFile::open(&path).unwrap().1, Some(cursor(1)), "torn at {at}");
            }
        }
    }

    #[test]
    fn a_file_that_ends_anywhere_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        file.save(&cursor(1)).unwrap();
        file.save(&cursor(2)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(509) {
            std::fs::write(&path, &whole[..len]).unwrap();
            let found = CursorFile::open(&path).unwrap().1;
            assert!(found.is_none() || found == Some(cursor(1)) || found == Some(cursor(2)), "{len}");
        }
    }

    #[test]
    fn of_a_file_with_other_lanes_the_last_lane_counts() {
        let dir = tempfile::tempdir().unwrap();
        for n in [2, 3] {
            let path = dir.path().join(format!("{n}.cursor"));
            let (mut file, _) = CursorFile::open(&path).unwrap();
            file.save(&cursor(n)).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let slot = &mut bytes[SLOTS_AT[1] as usize..];
            slot[..8].copy_from_slice(OTHER_LANES_MAGIC);
            let (body, checksum) = slot.split_last_chunk_mut::<4>().unwrap();
            *checksum = crc32c::crc32c(body).to_be_bytes();
            std::fs::write(&path, bytes).unwrap();
            let found = CursorFile::open(&path).unwrap().1.unwrap();
            assert_eq!(found, cursor(n).levelled());
            assert!(found.lanes.iter().all(|lane| lane.log == n * 1000));
        }
    }

    /// A file of the first format: two slots, the second one newer.
    fn old_file(path: &Path) -> Vec<u64> {
        let mut bytes = Vec::new();
        let mut words = Vec::new();
        for sequence in [6u64, 7] {
            let mut slot = OLD_MAGIC.to_vec();
            slot.extend_from_slice(&sequence.to_be_bytes());
            slot.extend_from_slice(&(LANES as u32).to_be_bytes());
            words = (0..LANES as u64).map(|lane| sequence << 32 | lane).collect();
            words.iter().for_each(|word| slot.extend_from_slice(&word.to_be_bytes()));
            let checksum = crc32c::crc32c(&slot);
            slot.extend_from_slice(&checksum.to_be_bytes());
            bytes.extend_from_slice(&slot);
        }
        std::fs::write(path, bytes).unwrap();
        words
    }

    #[test]
    fn an_old_file_is_read_until_the_first_save_and_after_a_torn_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cursor");
        let words = old_file(&path);
        let (mut file, old) = CursorFile::open(&path).unwrap();
        let old = old.unwrap();
        assert!(old.is_live());
        assert!(old.lanes.iter().all(|lane| lane.log == words[0]));
        file.save(&cursor(2)).unwrap();
        assert_eq!(CursorFile::open(&path).unwrap().1, Some(cursor(2)));
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(CursorFile::open(&path).unwrap().1, Some(old));
    }
}
