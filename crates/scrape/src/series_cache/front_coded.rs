//! Lines one behind the other, each as what differs from the line before it.
//!
//! Layout of a line: length of the prefix shared with the line before, length of the rest (both as base-128 numbers, low
//! groups first), the rest. Neighbours in a body share the metric name and most labels.
//! PERF: [`Walk`] keeps the current line whole and overwrites only its tail, so a step copies the rest alone.

/// The coded lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrontCoded {
    bytes: Vec<u8>,
}

/// A reader that stands on a line, or past the end with an empty one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    next: usize,
    line: Vec<u8>,
}

impl FrontCoded {
    /// Adds a line; `before` is the line that was added last (empty for the first).
    pub(crate) fn push(&mut self, before: &[u8], line: &[u8]) {
        let shared = before.iter().zip(line).take_while(|(a, b)| a == b).count();
        push_number(&mut self.bytes, shared);
        push_number(&mut self.bytes, line.len() - shared);
        self.bytes.extend_from_slice(&line[shared..]);
    }

    /// Gives back spare memory.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Keeps the first `count` lines.
    pub(crate) fn truncate_lines(&mut self, count: usize) {
        let mut walk = Walk::default();
        for _ in 0..count {
            walk.advance(self);
        }
        self.bytes.truncate(walk.next);
        self.bytes.shrink_to_fit();
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Walk {
    /// Goes before the first line.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        self.line.clear();
    }

    /// The line it stands on.
    #[inline]
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Stands on a line that is not from any list.
    pub(crate) fn set(&mut self, line: &[u8]) {
        self.line.clear();
        self.line.extend_from_slice(line);
    }

    /// Goes to the next line. Returns whether there is one; past the end the line is empty.
    #[inline]
    pub(crate) fn advance(&mut self, lines: &FrontCoded) -> bool {
        let bytes = &lines.bytes;
        if self.next >= bytes.len() {
            self.line.clear();
            return false;
        }
        let shared = take_number(bytes, &mut self.next);
        let rest = take_number(bytes, &mut self.next);
        self.line.truncate(shared);
        self.line.extend_from_slice(&bytes[self.next..self.next + rest]);
        self.next += rest;
        true
    }
}

fn push_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[inline]
fn take_number(bytes: &[u8], at: &mut usize) -> usize {
    let first = bytes[*at];
    *at += 1;
    if first < 0x80 {
        return usize::from(first);
    }
    let mut number = usize::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(lines: &[Vec<u8>]) -> FrontCoded {
        let mut coded = FrontCoded::default();
        let mut before: &[u8] = &[];
        for line in lines {
            coded.push(before, line);
            before = line;
        }
        coded
    }

    fn read(coded: &FrontCoded) -> Vec<Vec<u8>> {
        let mut walk = Walk::default();
        let mut out = Vec::new();
        while walk.advance(coded) {
            out.push(walk.line().to_vec());
        }
        out
    }

    proptest! {
        #[test]
        fn any_lines_come_back_and_can_be_cut(
            lines in prop::collection::vec("[ab]{0,6}(x{0,300})?[cd]{0,3}", 0..30),
            keep in any::<prop::sample::Index>(),
        ) {
            let lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
            let mut coded = code(&lines);
            prop_assert_eq!(read(&coded), lines.clone());
            let keep = keep.index(lines.len() + 1);
            coded.truncate_lines(keep);
            prop_assert_eq!(read(&coded), lines[..keep].to_vec());
        }
    }
}
