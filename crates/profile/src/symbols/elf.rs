//! The functions of a program or library file: symbol table, segments, build id.
//!
//! Always true: a file that is cut, odd or hostile gives fewer names or none, never a panic, and no more memory than the file is long.
//! Facts: `elf(5)`; 64-bit little-endian files only.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// What a file says about its functions.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// In hexadecimal digits, `""` for none.
    pub(crate) build_id: String,
    /// Offset in the file, length, address as linked: of each loaded segment.
    segments: Vec<(u64, u64, u64)>,
    /// By address.
    functions: Vec<Function>,
    /// Names, each with a zero behind it.
    names: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    address: u64,
    size: u64,
    /// Where in `names`.
    name: u32,
}

impl Image {
    /// Whether it has names at all: a stripped file has none of its own functions.
    pub(crate) fn has_names(&self) -> bool {
        !self.functions.is_empty()
    }

    /// The name of the function at an offset in the file.
    pub(crate) fn symbol_at(&self, in_file: u64) -> Option<&str> {
        let (offset, _, linked) = self
            .segments
            .iter()
            .find(|(offset, len, _)| in_file.checked_sub(*offset).is_some_and(|at| at < *len))?;
        let address = (in_file - offset).checked_add(*linked)?;
        let after = self.functions.partition_point(|f| f.address <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        // Some symbols of assembler have no size: they end where the next one begins.
        let is_inside = function.size == 0 || address - function.address < function.size;
        let name = self.names.get(function.name as usize..)?;
        let name = &name[..name.iter().position(|byte| *byte == 0)?];
        is_inside.then(|| std::str::from_utf8(name).ok()).flatten()
    }
}

const LOADED: u32 = 1;
const SYMBOLS: u32 = 2;
const NOTES: u32 = 7;
const DYNAMIC_SYMBOLS: u32 = 11;
const FUNCTION: u8 = 2;

/// A section of the file.
struct Section {
    kind: u32,
    offset: u64,
    len: u64,
    /// The section that belongs to it.
    link: u32,
}

/// Reads a file; `None` when it is none of this kind.
pub(crate) fn read(file: &File) -> Option<Image> {
    let header = bytes(file, 0, 64)?;
    if header.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let sections = sections(file, &header)?;
    let mut image = Image { segments: segments(file, &header)?, ..Image::default() };
    for notes in sections.iter().filter(|s| s.kind == NOTES) {
        let found = bytes(file, notes.offset, notes.len).and_then(|notes| build_id(&notes));
        image.build_id = found.unwrap_or(image.build_id);
    }
    let table = |kind| sections.iter().find(|s| s.kind == kind);
    if let Some(table) = table(SYMBOLS).or_else(|| table(DYNAMIC_SYMBOLS)) {
        let names = sections.get(table.link as usize)?;
        image.names = bytes(file, names.offset, names.len)?;
        image.functions = functions(&bytes(file, table.offset, table.len)?);
    }
    Some(image)
}

fn bytes(file: &File, offset: u64, len: u64) -> Option<Vec<u8>> {
    let there = file.metadata().ok()?.len();
    offset.checked_add(len).filter(|end| *end <= there)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// The entries of one of the two tables that the header names.
fn table(
    file: &File,
    header: &[u8],
    [offset, size, count]: [usize; 3],
    least: usize,
) -> Option<Vec<Vec<u8>>> {
    let (offset, size, count) = (u64_at(header, offset)?, u16_at(header, size)?, u16_at(header, count)?);
    if count == 0 || usize::from(size) < least {
        return Some(Vec::new());
    }
    let all = bytes(file, offset, u64::from(size) * u64::from(count))?;
    Some(all.chunks_exact(usize::from(size)).map(<[u8]>::to_vec).collect())
}

fn segments(file: &File, header: &[u8]) -> Option<Vec<(u64, u64, u64)>> {
    let entries = table(file, header, [32, 54, 56], 56)?;
    let loaded = entries.iter().filter(|e| u32_at(e, 0) == Some(LOADED));
    loaded.map(|e| Some((u64_at(e, 8)?, u64_at(e, 32)?, u64_at(e, 16)?))).collect()
}

fn sections(file: &File, header: &[u8]) -> Option<Vec<Section>> {
    let entries = table(file, header, [40, 58, 60], 64)?;
    let section = |e: &Vec<u8>| {
        Some(Section {
            kind: u32_at(e, 4)?,
            offset: u64_at(e, 24)?,
            len: u64_at(e, 32)?,
            link: u32_at(e, 40)?,
        })
    };
    entries.iter().map(section).collect()
}

/// The description of the note of type 3 that `GNU` wrote.
fn build_id(notes: &[u8]) -> Option<String> {
    let mut at = 0_usize;
    loop {
        let (name_len, len, kind) = (u32_at(notes, at)?, u32_at(notes, at + 4)?, u32_at(notes, at + 8)?);
        let name = at + 12;
        let text = name.checked_add(usize::try_from(name_len).ok()?.next_multiple_of(4))?;
        let end = text.checked_add(usize::try_from(len).ok()?)?;
        if kind == 3 && notes.get(name..name + 4)? == b"GNU\0" {
            return Some(notes.get(text..end)?.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        at = end.next_multiple_of(4);
    }
}

fn functions(symbols: &[u8]) -> Vec<Function> {
    let function = |entry: &[u8]| {
        let (address, size) = (u64_at(entry, 8)?, u64_at(entry, 16)?);
        let is_function = entry[4] & 0xf == FUNCTION && address != 0;
        is_function.then_some(Function { address, size, name: u32_at(entry, 0)? })
    };
    let mut functions: Vec<Function> = symbols.chunks_exact(24).filter_map(function).collect();
    // Of several names for one address the longest function's counts.
    functions.sort_by_key(|f| (f.address, f.size));
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("narthex-elf-{}-{n}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }

    #[test]
    fn this_program_has_functions_and_cut_or_changed_files_never_panic() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let image = read(&file_of(&own)).unwrap();
        assert!(image.functions.len() > 100 && !image.segments.is_empty());
        assert!(image.functions.windows(2).all(|w| w[0].address <= w[1].address));
        for len in [0, 5, 6, 63, 64, 100, 4096, own.len() / 2, own.len() - 1] {
            drop(read(&file_of(&own[..len])));
        }
        // Each byte of the header at its extremes, with a small file behind it.
        let head = &own[..64];
        for at in 6..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut odd = head.to_vec();
                odd[at] = value;
                odd.extend([0xff; 512]);
                drop(read(&file_of(&odd)));
            }
        }
    }

    #[test]
    fn odd_notes_end() {
        for notes in [&b""[..], &[0; 12], &[0; 40], &[0xff; 40], b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0\xab"] {
            assert_eq!(build_id(notes), None);
        }
        assert_eq!(build_id(b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0\xab\x01").as_deref(), Some("ab01"));
    }
}
