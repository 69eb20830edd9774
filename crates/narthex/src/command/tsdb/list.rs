//! `tsdb list`: the blocks of a data directory as a table.

use std::path::Path;

use narthex_block::Block;
use narthex_config::format_size;
use narthex_model::{UnixTime, push_rfc3339};
use narthex_tsdb::{ReadOnlyDb, ReadOnlyError};

use super::super::Given;
use super::format_go_duration;

const HEADER: [&str; COLUMNS] =
    ["BLOCK ULID", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"];
const COLUMNS: usize = 8;
/// Least width of a column, and the blanks behind its widest cell.
const MIN_WIDTH: usize = 13;
const PADDING: usize = 2;

/// Prints the table.
pub(super) fn run(given: &Given) -> Result<(), ReadOnlyError> {
    let blocks = ReadOnlyDb::open(Path::new(given.argument("db path")))?.blocks()?;
    print!("{}", table(&blocks, true, given.on("human-readable")));
    Ok(())
}

/// The blocks as lines, with or without the header.
#[must_use]
pub(super) fn table(blocks: &[Block], header: bool, human: bool) -> String {
    let header = header.then(|| HEADER.map(str::to_owned));
    let rows: Vec<[String; COLUMNS]> =
        header.into_iter().chain(blocks.iter().map(|b| row(b, human))).collect();
    columns(&rows)
}

fn row(block: &Block, human: bool) -> [String; COLUMNS] {
    let meta = block.meta();
    let time = |ms| if human { clock(ms) } else { ms.to_string() };
    let size = block.size_bytes();
    [
        meta.ulid.to_string(),
        time(meta.min_ms),
        time(meta.max_ms),
        format_go_duration(meta.max_ms.saturating_sub(meta.min_ms).saturating_mul(1_000_000)),
        meta.stats.num_samples.to_string(),
        meta.stats.num_chunks.to_string(),
        meta.stats.num_series.to_string(),
        if human { format_size(i64::try_from(size).unwrap_or(i64::MAX)) } else { size.to_string() },
    ]
}

/// `2026-11-22 01:25:00 +0000 UTC`
fn clock(ms: i64) -> String {
    let mut text = String::new();
    push_rfc3339(&mut text, UnixTime { secs: ms / 1000, nanos: 0 });
    text.replace('T', " ").replace('Z', " +0000 UTC")
}

/// Cells below each other; the last column is not filled up.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |at: usize| {
        let widest = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        MIN_WIDTH.max(widest + PADDING)
    };
    let widths: Vec<usize> = (0..N.saturating_sub(1)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}"));
        }
        text.push_str(&row[N - 1]);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_a_least_width_and_two_blanks_between() {
        let rows = [["A".to_owned(), "B".to_owned()], ["123456789012".to_owned(), "x".to_owned()]];
        assert_eq!(columns(&rows), "A             B\n123456789012  x\n");
        assert_eq!(columns(&rows[..1]), "A            B\n");
        assert_eq!(clock(1_795_310_700_000), "2026-11-22 01:25:00 +0000 UTC");
    }
}
