//! How well a name fits what somebody types: 1 for the best, 0 for not at all.
//!
//! Facts: Prometheus 3.14. A text that stands at the start is 1; later in the name from 1 down to 0.1. As a subsequence: the runs of
//! letters that follow each other, squared, less the gaps in proportion to the name's length (half for what follows), over the
//! best possible sum, and below 1 unless all is equal. Else Jaro and Winkler's likeness with a boost of 0.1 for each of the
//! first four letters in common.
//! Cost: a subsequence takes at most the product of both lengths, a likeness that of the longer one and half the shorter.

/// Everything below an equal name.
const NOT_EQUAL: f64 = 0.999;

/// How names are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Subsequence,
    JaroWinkler,
}

impl Method {
    pub(super) const ALL: [(&'static str, Self); 2] =
        [("subsequence", Self::Subsequence), ("jarowinkler", Self::JaroWinkler)];
}

/// What is looked for.
#[derive(Clone, Debug)]
pub(super) struct Sought {
    /// Some texts, of which one must fit; in lower case unless case counts.
    texts: Vec<Vec<char>>,
    method: Method,
    /// The least score, 0 to 1; 0 with [`Method::JaroWinkler`] for containing the text only.
    threshold: f64,
    is_case_sensitive: bool,
}

impl Sought {
    /// Looks for `texts`; empty ones do not count.
    pub(super) fn new(texts: &[&str], method: Method, threshold: f64, is_case_sensitive: bool) -> Self {
        let folded = |text: &&str| -> Vec<char> {
            if is_case_sensitive { text.chars().collect() } else { text.to_lowercase().chars().collect() }
        };
        let texts = texts.iter().filter(|text| !text.is_empty()).map(folded).collect();
        Self { texts, method, threshold, is_case_sensitive }
    }

    /// Whether every name fits.
    pub(super) fn is_anything(&self) -> bool {
        self.texts.is_empty()
    }

    /// The best score of a name; `None` when it does not fit. `letters` is scratch.
    pub(super) fn score(&self, name: &str, letters: &mut Vec<char>) -> Option<f64> {
        if self.is_anything() {
            return Some(1.0);
        }
        letters.clear();
        if self.is_case_sensitive {
            letters.extend(name.chars());
        } else {
            letters.extend(name.chars().flat_map(char::to_lowercase));
        }
        self.texts.iter().filter_map(|text| self.score_of(text, letters)).max_by(f64::total_cmp)
    }

    fn score_of(&self, text: &[char], name: &[char]) -> Option<f64> {
        match self.method {
            Method::Subsequence if name.starts_with(text) => Some(1.0),
            Method::Subsequence => {
                Some(subsequence(text, name)).filter(|score| *score > 0.0 && *score >= self.threshold)
            }
            Method::JaroWinkler => within(text, name).or_else(|| {
                let likeness = (self.threshold > 0.0).then(|| jaro_winkler(text, name));
                likeness.filter(|score| *score >= self.threshold)
            }),
        }
    }
}

/// The score of a name that contains the text.
fn within(text: &[char], name: &[char]) -> Option<f64> {
    let last = name.len().checked_sub(text.len())?;
    let at = (0..=last).find(|at| name[*at..].starts_with(text))?;
    Some(if at == 0 { 1.0 } else { 1.0 - 0.9 * at as f64 / last as f64 })
}

/// The score of a name that has all letters of the text in order; 0 when it does not.
fn subsequence(text: &[char], name: &[char]) -> f64 {
    if text == name {
        return 1.0;
    }
    let Some(last) = name.len().checked_sub(text.len()) else { return 0.0 };
    let starts = (0..=last).filter(|at| name[*at] == text[0]);
    // Once the rest of the text is not found it is not found later either.
    let best = starts.map_while(|at| runs(text, name, at)).fold(-1.0, f64::max);
    if best < 0.0 { 0.0 } else { best / (text.len() * text.len()) as f64 * NOT_EQUAL }
}

/// What the letters earn when the first is taken at `start` and each further one as early as possible.
fn runs(text: &[char], name: &[char], start: usize) -> Option<f64> {
    let of_length = 1.0 / name.len() as f64;
    let (mut earned, mut run_from, mut end) = (0.0, start, start);
    earned -= start as f64 * of_length;
    for letter in text {
        let at = end + name[end..].iter().position(|l| l == letter)?;
        if at > end {
            earned += ((end - run_from) * (end - run_from)) as f64;
            earned -= (at - end) as f64 * of_length;
            run_from = at;
        }
        end = at + 1;
    }
    earned += ((end - run_from) * (end - run_from)) as f64;
    Some(earned - (name.len() - end) as f64 * of_length * 0.5)
}

fn jaro_winkler(one: &[char], other: &[char]) -> f64 {
    if one == other {
        return 1.0;
    }
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    // Letters count as the same when they are not further apart.
    let reach = (long.len() / 2).saturating_sub(1);
    let mut taken = vec![false; long.len()];
    let mut matched = Vec::with_capacity(short.len());
    for (at, letter) in short.iter().enumerate() {
        let near = at.saturating_sub(reach)..long.len().min(at + reach + 1);
        if let Some(found) = near.into_iter().find(|i| !taken[*i] && long[*i] == *letter) {
            taken[found] = true;
            matched.push(*letter);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let in_long = long.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(letter, _)| letter);
    let swapped = matched.iter().zip(in_long).filter(|(a, b)| a != b).count() as f64;
    let count = matched.len() as f64;
    let jaro =
        (count / short.len() as f64 + count / long.len() as f64 + (count - swapped * 0.5) / count) / 3.0;
    let prefix = short.iter().zip(long).take(4).take_while(|(a, b)| a == b).count();
    jaro + prefix as f64 * 0.1 * (1.0 - jaro)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[track_caller]
    fn check(score: fn(&[char], &[char]) -> f64, text: &str, name: &str, from: f64, to: f64) {
        let got = score(&letters(text), &letters(name));
        assert!((from..=to).contains(&got), "{text} in {name}: {got}");
    }

    /// Bounds that textbooks and Prometheus' documentation give.
    #[test]
    fn likeness_is_that_of_jaro_and_winkler() {
        for (a, b, from, to) in [
            ("prometheus", "prometheus", 1.0, 1.0),
            ("abc", "xyz", 0.0, 0.0),
            ("mimir", "mimer", 0.90, 0.92),
            ("martha", "marhta", 0.96, 0.97),
            ("dwayne", "duane", 0.83, 0.85),
            ("dixon", "dicksonx", 0.81, 0.83),
            ("prefix_abc", "prefix_xyz", 0.80, 0.90),
            ("café", "cafe", 0.88, 0.89),
            ("", "abc", 0.0, 0.0),
        ] {
            check(jaro_winkler, a, b, from, to);
            check(jaro_winkler, b, a, from, to);
        }
    }

    /// By hand: the squares of runs, less gaps over the length, less half of what follows over it, over the text's square.
    #[test]
    fn a_subsequence_earns_its_runs_and_pays_its_gaps() {
        let exactly = |text: &str, name: &str, raw: f64| {
            let expected = raw / (text.len() * text.len()) as f64 * NOT_EQUAL;
            check(subsequence, text, name, expected - 1e-12, expected + 1e-12);
        };
        exactly("ab", "xaby", 4.0 - 1.0 / 4.0 - 0.5 / 4.0);
        exactly("abc", "ab_c", 5.0 - 1.0 / 4.0);
        exactly("ab", "a_ab", 4.0 - 2.0 / 4.0);
        exactly("ab", "a_b", 2.0 - 1.0 / 3.0);
        for (text, name) in [("ba", "ab"), ("abc", "ab"), ("z", "abc")] {
            check(subsequence, text, name, 0.0, 0.0);
        }
        check(subsequence, "ab", "ab", 1.0, 1.0);
    }

    #[track_caller]
    fn check_sought(sought: &Sought, name: &str, expected: Option<f64>) {
        let got = sought.score(name, &mut Vec::new());
        let near = |(a, b): (f64, f64)| (a - b).abs() < 1e-9;
        assert!(got.is_some() == expected.is_some() && got.zip(expected).is_none_or(near), "{name}: {got:?}");
    }

    #[test]
    fn the_best_of_several_texts_counts_above_the_threshold() {
        let sought = Sought::new(&["Cpu", "", "seconds"], Method::JaroWinkler, 0.0, false);
        check_sought(&sought, "CPU_total", Some(1.0));
        check_sought(&sought, "process_cpu", Some(0.1));
        check_sought(&sought, "a_seconds_b", Some(1.0 - 0.9 * 2.0 / 4.0));
        check_sought(&sought, "memory", None);
        let exact = Sought::new(&["Cpu"], Method::JaroWinkler, 0.0, true);
        check_sought(&exact, "cpu", None);
        let alike = Sought::new(&["mimir"], Method::JaroWinkler, 0.9, true);
        check_sought(&alike, "dwayne", None);
        assert!(alike.score("mimer", &mut Vec::new()).is_some());
        let sub = Sought::new(&["ab"], Method::Subsequence, 0.5, true);
        check_sought(&sub, "ab_and_more", Some(1.0));
        check_sought(&sub, "a______________b", None);
        check_sought(&Sought::new(&[""], Method::Subsequence, 1.0, true), "any", Some(1.0));
    }
}
