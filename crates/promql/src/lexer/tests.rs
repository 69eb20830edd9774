//! Tokens, their places, and the errors of text that is no token.

use super::{Lexer, TokenKind};

/// The texts of the tokens, or the error and where it stands.
fn lex(text: &str) -> String {
    let mut lexer = Lexer::new(text);
    let mut out = Vec::new();
    loop {
        let token = lexer.next_token();
        match token.kind {
            TokenKind::Eof => return out.join(" "),
            TokenKind::Error => return format!("{}: {}", token.span.start, lexer.error()),
            _ => out.push(&text[token.span.start as usize..token.span.end as usize]),
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(lex(text), expected, "{text}");
}

#[test]
fn blanks_and_comments_separate_tokens() {
    check("a # b \" (\r\n+\tc#", "a + c");
    check("a{#x}\n b=~'c' , d !~ `e`}", "a { b =~ 'c' , d !~ `e` }");
    check("", "");
}

#[test]
fn numbers_and_durations_end_where_they_end() {
    check("1.5e-3 0x1f 1_000 .5 5. 1h30m 5ms", "1.5e-3 0x1f 1_000 .5 5. 1h30m 5ms");
    check("1..2", "0: bad number or duration syntax: \"1..\"");
    check("5m3x", "0: bad number or duration syntax: \"5m3\"");
    check("1 5mm", "2: bad number or duration syntax: \"5mm\"");
    check("1e+", "0: bad number or duration syntax: \"1e+\"");
    check("1foo", "0: bad number or duration syntax: \"1\"");
}

#[test]
fn brackets_hold_durations_only() {
    check("a[5m:1m]", "a [ 5m : 1m ]");
    check("a[ step ( ) * 2 ]", "a [ step ( ) * 2 ]");
    check("a[MAX_OF(5s,range())]", "a [ MAX_OF ( 5s , range ( ) ) ]");
    check("a[b]", "2: unexpected character in duration expression: 'b'");
    check("a[5m:1m:]", "7: unexpected colon ':'");
    check("a[:5m]", "3: unexpected colon before duration in duration expression");
    check("a[5m", "4: unclosed left bracket");
    check("a[5m[", "4: unexpected left bracket '['");
    check("a]", "1: unexpected right bracket ']'");
}

#[test]
fn strings_are_checked_to_their_end() {
    check(r#""a\"b" 'c\'d' `e\`"#, r#""a\"b" 'c\'d' `e\`"#);
    check("\"a\nb\"", "0: unterminated quoted string");
    check("`a\nb", "0: unterminated raw string");
    check(r"'\'", "0: unterminated quoted string");
    check(r"'\xg1'", "0: illegal character U+0067 'g' in escape sequence");
    check(r"'\400'", "0: escape sequence is an invalid Unicode code point");
    check(r"'\ud800'", "0: escape sequence is an invalid Unicode code point");
    check("'\\\n'", "0: unknown escape sequence U+000A");
    check("'\u{fffd}'", "0: invalid UTF-8 rune");
}

#[test]
fn characters_that_begin_no_token_are_shown_as_go_shows_them() {
    check("a $", "2: unexpected character: '$'");
    check("a \u{a0}", r"2: unexpected character: '\u00a0'");
    check("é", "0: unexpected character: 'é'");
    check("a !", "2: unexpected character after '!': '\u{fffd}'");
    check("a =~ b", "2: unexpected character after '=': '~'");
    check("a{'", "2: unterminated quoted string");
    check("a{b \\", r"4: unexpected character inside braces: '\\'");
    check("a)", "2: unexpected right parenthesis ')'");
}

#[test]
fn fill_is_a_word_unless_a_parenthesis_follows() {
    let kinds = |text| {
        let mut lexer = Lexer::new(text);
        [lexer.next_token().kind, lexer.next_token().kind]
    };
    assert_eq!(kinds("fill fill_left"), [TokenKind::Identifier; 2]);
    assert!(matches!(kinds("fill \n(")[0], TokenKind::Keyword(_)));
    assert!(matches!(kinds("Fill_Right(")[0], TokenKind::Keyword(_)));
}
