//! The kinds of tokens, the keywords, and how an error message names a token.

use narthex_model::quote_go;

use crate::ast::{AggregateOp, BinaryOp, Span};

/// A piece of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// What a token is. Keywords keep the writing of the query in their span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Eof,
    Error,
    Number,
    Duration,
    String,
    /// A word without a colon.
    Identifier,
    /// A word with a colon.
    MetricIdentifier,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    LeftParen,
    RightParen,
    Comma,
    Colon,
    /// `=`
    Equal,
    /// `=~`
    EqualRegex,
    /// `!~`
    NotEqualRegex,
    At,
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
}

/// Words with a meaning, other than operators and aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Offset,
    Smoothed,
    Anchored,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

const LONGEST_KEYWORD: usize = 12;

impl TokenKind {
    /// What a word outside of braces is, whatever its case.
    pub(crate) fn of_word(word: &str) -> Self {
        let mut lower = [0u8; LONGEST_KEYWORD];
        let Some(lower) = lower.get_mut(..word.len()) else { return Self::of_name(word) };
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        Self::of_keyword(lower).unwrap_or_else(|| Self::of_name(word))
    }

    fn of_name(word: &str) -> Self {
        if word.contains(':') { Self::MetricIdentifier } else { Self::Identifier }
    }

    fn of_keyword(lower: &[u8]) -> Option<Self> {
        Some(match lower {
            b"and" => Self::Op(BinaryOp::And),
            b"or" => Self::Op(BinaryOp::Or),
            b"unless" => Self::Op(BinaryOp::Unless),
            b"atan2" => Self::Op(BinaryOp::Atan2),
            b"sum" => Self::Aggregate(AggregateOp::Sum),
            b"avg" => Self::Aggregate(AggregateOp::Avg),
            b"count" => Self::Aggregate(AggregateOp::Count),
            b"min" => Self::Aggregate(AggregateOp::Min),
            b"max" => Self::Aggregate(AggregateOp::Max),
            b"group" => Self::Aggregate(AggregateOp::Group),
            b"stddev" => Self::Aggregate(AggregateOp::Stddev),
            b"stdvar" => Self::Aggregate(AggregateOp::Stdvar),
            b"topk" => Self::Aggregate(AggregateOp::Topk),
            b"bottomk" => Self::Aggregate(AggregateOp::Bottomk),
            b"count_values" => Self::Aggregate(AggregateOp::CountValues),
            b"quantile" => Self::Aggregate(AggregateOp::Quantile),
            b"limitk" => Self::Aggregate(AggregateOp::Limitk),
            b"limit_ratio" => Self::Aggregate(AggregateOp::LimitRatio),
            b"offset" => Self::Keyword(Keyword::Offset),
            b"smoothed" => Self::Keyword(Keyword::Smoothed),
            b"anchored" => Self::Keyword(Keyword::Anchored),
            b"by" => Self::Keyword(Keyword::By),
            b"without" => Self::Keyword(Keyword::Without),
            b"on" => Self::Keyword(Keyword::On),
            b"ignoring" => Self::Keyword(Keyword::Ignoring),
            b"group_left" => Self::Keyword(Keyword::GroupLeft),
            b"group_right" => Self::Keyword(Keyword::GroupRight),
            b"fill" => Self::Keyword(Keyword::Fill),
            b"fill_left" => Self::Keyword(Keyword::FillLeft),
            b"fill_right" => Self::Keyword(Keyword::FillRight),
            b"bool" => Self::Keyword(Keyword::Bool),
            b"start" => Self::Keyword(Keyword::Start),
            b"end" => Self::Keyword(Keyword::End),
            b"step" => Self::Keyword(Keyword::Step),
            b"range" => Self::Keyword(Keyword::Range),
            b"max_of" => Self::Keyword(Keyword::MaxOf),
            b"min_of" => Self::Keyword(Keyword::MinOf),
            b"inf" | b"nan" => Self::Number,
            _ => return None,
        })
    }

    /// Whether the word may be the name of a metric in front of braces or alone.
    pub(crate) fn is_metric_name(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Op(op) => op.is_set(),
            Self::Keyword(k) => !matches!(
                k,
                Keyword::Bool | Keyword::GroupLeft | Keyword::GroupRight | Keyword::Ignoring | Keyword::On
            ),
            _ => false,
        }
    }

    /// Whether the word may be a label in the parentheses of `by`, `on` and the like.
    pub(crate) fn is_grouping_label(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Op(op) => op.is_set() || op == BinaryOp::Atan2,
            Self::Keyword(k) => k != Keyword::Without,
            _ => false,
        }
    }
}

/// How an error message names the token: `identifier "foo"`, `<op:+>`, `end of input`.
pub(crate) fn describe(kind: TokenKind, text: &str) -> String {
    match kind {
        TokenKind::Eof => "end of input".to_owned(),
        TokenKind::Error => "error".to_owned(),
        TokenKind::Identifier => format!("identifier {}", quote_go(text)),
        TokenKind::MetricIdentifier => format!("metric identifier {}", quote_go(text)),
        TokenKind::Number => format!("number {}", quote_short(text)),
        TokenKind::Duration => format!("duration {}", quote_short(text)),
        TokenKind::String => format!("string {}", quote_short(text)),
        TokenKind::Op(_) | TokenKind::At | TokenKind::EqualRegex | TokenKind::NotEqualRegex => {
            format!("<op:{text}>")
        }
        TokenKind::Aggregate(_) => format!("<aggr:{text}>"),
        TokenKind::Keyword(
            Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range | Keyword::MaxOf | Keyword::MinOf,
        )
        | TokenKind::LeftBrace
        | TokenKind::RightBrace
        | TokenKind::LeftBracket
        | TokenKind::RightBracket
        | TokenKind::LeftParen
        | TokenKind::RightParen
        | TokenKind::Comma
        | TokenKind::Colon
        | TokenKind::Equal => quote_go(text),
        TokenKind::Keyword(_) => format!("<{text}>"),
    }
}

/// Quoted, cut to ten characters when it has more than ten bytes.
fn quote_short(text: &str) -> String {
    if text.len() <= 10 {
        return quote_go(text);
    }
    let cut: String = text.chars().take(10).collect();
    format!("{}...", quote_go(&cut))
}
