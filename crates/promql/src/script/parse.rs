//! Reading of scripts: lines into commands.

use narthex_model::{Regex, parse_duration_ms, parse_go_float};

use super::{
    Command, Eval, EvalTimes, Expect, ExpectedRow, Load, LoadedSeries, Script, ScriptError, TextRule,
};
use crate::ast::Expr;
use crate::parser::{self, ParseOptions, parse_number};
use crate::series_desc::{Series, parse_series, parse_start_offsets};

/// Reads a script.
pub(super) fn parse(text: &str) -> Result<Script, ScriptError> {
    let lines: Vec<&str> = text.lines().map(clean).collect();
    let mut reader = Reader { lines: &lines, at: 0 };
    let mut commands = Vec::new();
    while let Some(line) = reader.next_line() {
        if line.is_empty() {
            continue;
        }
        let word = line.split_whitespace().next().unwrap_or("").to_lowercase();
        match word.as_str() {
            "clear" => commands.push(Command::Clear),
            w if w.starts_with("load") => commands.push(reader.load(line)?),
            w if w.starts_with("eval") => commands.push(Command::Eval(Box::new(reader.eval(line)?))),
            _ => return Err(reader.error(format!("unknown command \"{word}\""))),
        }
    }
    Ok(Script { commands })
}

/// A line without blanks around it; comments become empty.
fn clean(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') { "" } else { line }
}

struct Reader<'a> {
    lines: &'a [&'a str],
    /// The next line; also, counted from 1, the number of the last one read.
    at: usize,
}

impl<'a> Reader<'a> {
    fn next_line(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at)?;
        self.at += 1;
        Some(line)
    }

    /// The next line of a block; `None` at its end.
    fn block_line(&mut self) -> Option<&'a str> {
        self.next_line().filter(|line| !line.is_empty())
    }

    fn error(&self, message: String) -> ScriptError {
        ScriptError { line: self.at, message }
    }

    fn duration(&self, text: &str) -> Result<i64, ScriptError> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let ms = parse_duration_ms(digits)
            .or_else(|e| parse_number(digits).map(|seconds| (seconds * 1000.0) as i64).map_err(|_| e));
        ms.map(|ms| sign * ms).map_err(|e| self.error(e.to_string()))
    }

    fn series(&self, line: &str) -> Result<Series, ScriptError> {
        // A bare name may stand right before a histogram; braces of its own keep the two apart.
        let line = match line.find('{') {
            Some(at) if line[at..].starts_with("{{") && !line[..at].trim_end().contains(' ') => {
                std::borrow::Cow::Owned(format!("{}{{}} {}", line[..at].trim_end(), &line[at..]))
            }
            _ => std::borrow::Cow::Borrowed(line),
        };
        parse_series(&line, &super::histograms::combine).map_err(|e| self.error(e.to_string()))
    }

    fn load(&mut self, line: &str) -> Result<Command, ScriptError> {
        let mut words = line.split_whitespace();
        let with_native = words.next().is_some_and(|w| w.eq_ignore_ascii_case("load_with_nhcb"));
        let step_ms = self.duration(words.next().unwrap_or(""))?;
        let mut load = Load { step_ms, with_native, series: Vec::new() };
        let mut broken = None;
        let mut starts = Vec::new();
        while let Some(line) = self.block_line() {
            if let Some((_, offsets)) = line.split_once("}@st ").or_else(|| line.split_once("@st ")) {
                starts = parse_start_offsets(offsets).map_err(|e| self.error(e))?;
                continue;
            }
            match self.series(line) {
                Ok(Series { labels, values }) => {
                    load.series.push(LoadedSeries { labels, values, starts: std::mem::take(&mut starts) });
                }
                Err(e) => broken = Some(e),
            }
        }
        Ok(broken.map_or(Command::Load(load), Command::Broken))
    }

    fn eval(&mut self, line: &str) -> Result<Eval, ScriptError> {
        let number = self.at;
        let (mut expect, times, query) = self.eval_line(line)?;
        let (mut rows, mut broken) = (Vec::new(), None);
        while let Some(line) = self.block_line() {
            if let Some(rule) = line.strip_prefix("expected_fail_message") {
                expect.fail = Some(TextRule::Equal(rule.trim().to_owned()));
                break;
            }
            if let Some(rule) = line.strip_prefix("expected_fail_regexp") {
                expect.fail = Some(self.contains(rule.trim())?);
                break;
            }
            if line.split_whitespace().next() == Some("expect") {
                self.expectation(line["expect".len()..].trim(), &mut expect)?;
                continue;
            }
            if let Some(value) = parse_go_float(line).or_else(|| parse_number(line).ok()) {
                expect.scalar = Some(value);
                break;
            }
            match self.series(line) {
                Ok(Series { labels, values }) => rows.push(ExpectedRow { labels, values }),
                Err(e) => broken = Some(e),
            }
        }
        Ok(Eval { line: number, query, times, expect, rows, broken })
    }

    /// `eval instant at T QUERY`, `eval range from A to B step S QUERY`, with what the old forms say.
    fn eval_line(&self, line: &str) -> Result<(Expect, EvalTimes, String), ScriptError> {
        let mut expect = Expect::default();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word.to_lowercase().as_str() {
            "eval_fail" => expect.fail = Some(TextRule::Any),
            "eval_warn" => expect.warn.push(TextRule::Any),
            "eval_info" => expect.info.push(TextRule::Any),
            "eval_ordered" => expect.ordered = true,
            _ => {}
        }
        let mut rest = rest.trim_start();
        let mut word = || {
            let (word, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            rest = tail.trim_start();
            word
        };
        let times = match (word(), word()) {
            ("instant", "at") => EvalTimes::Instant(self.duration(word())?),
            ("range", "from") => {
                let (start, _, end, _, step) = (word(), word(), word(), word(), word());
                let (start, end, step) = (self.duration(start)?, self.duration(end)?, self.duration(step)?);
                EvalTimes::Range { start, end, step }
            }
            _ => return Err(self.error("an eval is `instant at` or `range from`".to_owned())),
        };
        Ok((expect, times, rest.trim().to_owned()))
    }

    fn expectation(&self, text: &str, expect: &mut Expect) -> Result<(), ScriptError> {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match word {
            "fail" => expect.fail = Some(self.text_rule(rest)?),
            "warn" => expect.warn.push(self.text_rule(rest)?),
            "info" => expect.info.push(self.text_rule(rest)?),
            "no_warn" => expect.no_warn = true,
            "no_info" => expect.no_info = true,
            "ordered" => expect.ordered = true,
            "string" => match parser::parse(rest, &ParseOptions::default()) {
                Ok(Expr::String(s)) => expect.string = Some(s.value),
                _ => return Err(self.error(format!("not a string: {rest}"))),
            },
            "range" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let ["vector", "from", from, "to", to, "step", step] = words[..] else {
                    return Err(self.error(format!("malformed range vector: {rest}")));
                };
                expect.range_vector = Some((self.duration(from)?, self.duration(to)?, self.duration(step)?));
            }
            _ => return Err(self.error(format!("unknown expectation \"{word}\""))),
        }
        Ok(())
    }

    fn text_rule(&self, text: &str) -> Result<TextRule, ScriptError> {
        let text = text.trim();
        if let Some(exact) = text.strip_prefix("msg:") {
            return Ok(TextRule::Equal(exact.trim().to_owned()));
        }
        match text.strip_prefix("regex:") {
            Some(regex) => self.contains(regex.trim()),
            None => Ok(TextRule::Any),
        }
    }

    fn contains(&self, regex: &str) -> Result<TextRule, ScriptError> {
        let anywhere = Regex::new_anchored(&format!(".*(?:{regex}).*"));
        anywhere.map(|r| TextRule::Contains(Box::new(r))).map_err(|e| self.error(e.to_string()))
    }
}
