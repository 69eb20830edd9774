//! `/proc/self/maps`: which parts of which files lie where, as far as they can be executed. Facts: `proc(5)`.

/// A part of a file in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// First address.
    pub(crate) start: u64,
    /// One after the last address.
    pub(crate) end: u64,
    /// Where in the file it begins, bytes.
    pub(crate) offset: u64,
    /// The file, or `[vdso]`.
    pub(crate) path: String,
}

/// The executable mappings with a name.
pub(crate) fn executable(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(parse).collect()
}

/// `55d0c0a00000-55d0c0b00000 r-xp 0040c000 08:01 1234    /usr/bin/narthex`
fn parse(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let mut words = rest.splitn(5, ' ');
    let (rights, offset) = (words.next()?, words.next()?);
    let path = words.nth(2)?.trim_start();
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let number = |text| u64::from_str_radix(text, 16).ok();
    let mapping =
        Mapping { start: number(start)?, end: number(end)?, offset: number(offset)?, path: path.to_owned() };
    (rights.contains('x') && !path.is_empty()).then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_parts_are_found() {
        let text = "1000-2000 r--p 00000000 08:01 7   /bin/a b\n\
                    2000-3000 r-xp 00001000 08:01 7   /bin/a b\n\
                    4000-5000 r-xp 00000000 08:01 8   /lib/c.so (deleted)\n\
                    6000-7000 rwxp 00000000 00:00 0 \n\
                    7ffe-7fff r-xp 00000000 00:00 0   [vdso]\nodd\n1-z r-xp 0 0 0 x\n";
        let found: Vec<_> =
            executable(text).into_iter().map(|m| (m.start, m.end, m.offset, m.path)).collect();
        let expected = [
            (0x2000, 0x3000, 0x1000, "/bin/a b".to_owned()),
            (0x4000, 0x5000, 0, "/lib/c.so".to_owned()),
            (0x7ffe, 0x7fff, 0, "[vdso]".to_owned()),
        ];
        assert_eq!(found, expected);
    }
}
