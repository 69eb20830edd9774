//! The known name nearest to a misspelt one.

/// The candidate with the fewest edits, when it is near enough to be what was meant: at most a third of the letters.
pub(crate) fn nearest<'n>(name: &str, candidates: &[&'n str]) -> Option<&'n str> {
    /// Longer names are not worth comparing: no field is half as long.
    const LONGEST: usize = 80;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let with_edits = candidates.iter().map(|c| (edits(&name, c), *c));
    let (fewest, best) = with_edits.min_by_key(|(n, _)| *n)?;
    (fewest <= (best.len().max(name.len()) / 3).max(1)).then_some(best)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(nearest(name, &["scrape_interval", "scrape_timeout", "url", "global"]), expected);
    }

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_finds_none() {
        check("scrape_intervall", Some("scrape_interval"));
        check("scrape-timeout", Some("scrape_timeout"));
        check("rul", Some("url"));
        check("Global", Some("global"));
        check("not-prometheus", None);
        check("", None);
    }
}
