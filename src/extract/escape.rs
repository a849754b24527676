//! Text as Markdown that reads as that text.
//!
//! A backslash stands only where a reader of `CommonMark` or of GitHub's dialect would take a
//! character for markup where it stands:
//!
//! - at the start of a line: the marks of headings, lists, quotations and rules, and a number with
//!   a point or parenthesis if white space follows (`120.000` begins no list);
//! - `*` and `~` unless white space is on both sides, and `~` only if it could have a partner;
//!   `_` also not inside a word, where it is no emphasis;
//! - `<` before what could be a tag, `&` before what reads as a character reference, `!` before a
//!   link, `\` before punctuation, `|` in tables;
//! - brackets and backticks everywhere.
//!
//! An address in the text that would need a backslash is written `<https://…>` instead, so that it
//! can be copied.

/// Where a piece of text stands.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Surroundings {
    /// At the start of a line of a paragraph.
    pub(super) line_start: bool,
    /// A line of the same paragraph is before it.
    pub(super) after_line: bool,
    /// Something follows without white space.
    pub(super) followed: bool,
    /// A link follows without white space.
    pub(super) before_link: bool,
    /// In a link.
    pub(super) in_link: bool,
    /// In a cell of a table.
    pub(super) in_cell: bool,
    /// The block holds more than one tilde.
    pub(super) tildes: bool,
}

/// Appends `text` so that it reads as itself.
pub(super) fn push(out: &mut String, text: &str, around: Surroundings) {
    let mut rest = text;
    if around.line_start {
        rest = line_start(out, text, around.after_line);
    }
    while let Some((before, address, after)) = next_address(rest) {
        let inner = Surroundings { followed: true, before_link: false, ..around };
        plain(out, before, inner);
        // Not every reader of tables takes the backslash before `|` out of an address.
        let piped = around.in_cell && address.contains('|');
        // `<` and `>` are punctuation, beside which emphasis may not begin or end.
        let begins = before.is_empty() && !(out.is_empty() || out.ends_with(char::is_whitespace));
        let ends = after.is_empty() && around.followed;
        let escaped = around.in_link || piped || begins || ends || has_reference(address);
        if !escaped && needs_escape(address, around) {
            out.push('<');
            out.push_str(address);
            out.push('>');
        } else {
            let followed = around.followed || !after.is_empty();
            plain(out, address, Surroundings { followed, ..around });
        }
        rest = after;
    }
    plain(out, rest, around);
}

/// The first address in `text`, and what stands before and after it.
fn next_address(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let colon = from + found;
        let scheme = ["https", "http"].into_iter().find(|scheme| text[..colon].ends_with(scheme));
        if let Some(scheme) = scheme {
            let start = colon - scheme.len();
            let end = text[colon..]
                .find(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"'))
                .map_or(text.len(), |end| colon + end);
            let address = without_punctuation(&text[start..end]);
            if address.len() > scheme.len() + 3 {
                let end = start + address.len();
                return Some((&text[..start], address, &text[end..]));
            }
        }
        from = colon + 3;
    }
    None
}

/// An address without the punctuation of the sentence around it.
fn without_punctuation(address: &str) -> &str {
    let (round, square) = (address.contains('('), address.contains('['));
    let trimmed = address.trim_end_matches(|c| match c {
        ')' => !round,
        ']' => !square,
        _ => matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '~'),
    });
    // The semicolon of what reads as a character reference stays with it.
    let reference = trimmed.rfind('&').is_some_and(|at| is_reference(&address[at..]));
    if reference && address[trimmed.len()..].starts_with(';') {
        &address[..=trimmed.len()]
    } else {
        trimmed
    }
}

fn needs_escape(text: &str, around: Surroundings) -> bool {
    let mut escaped = String::with_capacity(text.len());
    plain(&mut escaped, text, Surroundings { followed: true, in_cell: false, ..around });
    escaped != text
}

fn has_reference(text: &str) -> bool {
    text.match_indices('&').any(|(at, _)| is_reference(&text[at..]))
}

/// Escapes what begins a block at the start of a line, and returns what is left of `text`.
fn line_start<'a>(out: &mut String, text: &'a str, after_line: bool) -> &'a str {
    let ends_or_space = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=9).contains(&digits) {
        let (number, rest) = text.split_at(digits);
        if rest.starts_with(['.', ')']) && ends_or_space(&rest[1..]) {
            out.push_str(number);
            out.push('\\');
            out.push_str(&rest[..1]);
            return &rest[1..];
        }
        return text;
    }
    let Some(first) = text.chars().next() else { return text };
    let rest = &text[first.len_utf8()..];
    let rule = || text.chars().all(|c| c == first || c == ' ');
    // The line under the head of a table.
    let delimiters = || text.chars().all(|c| matches!(c, '-' | ':' | '|' | ' '));
    let markup = match first {
        '#' => ends_or_space(text.trim_start_matches('#')),
        '+' | '*' => ends_or_space(rest),
        '-' => ends_or_space(rest) || rule() || after_line && delimiters(),
        '_' => rule(),
        '>' => true,
        '=' | '|' => after_line,
        ':' => after_line && delimiters(),
        _ => false,
    };
    if markup {
        out.push('\\');
        out.push(first);
        return rest;
    }
    text
}

/// What may need a backslash.
const fn is_special(byte: u8) -> bool {
    matches!(byte, b'\\' | b'`' | b'*' | b'_' | b'[' | b']' | b'<' | b'&' | b'!' | b'~' | b'|')
}

fn plain(out: &mut String, text: &str, around: Surroundings) {
    let bytes = text.as_bytes();
    let mut written = 0;
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| is_special(*byte)) {
        at += found;
        let length = match bytes[at] {
            b'_' => bytes[at..].iter().take_while(|byte| **byte == b'_').count(),
            _ => 1,
        };
        out.push_str(&text[written..at]);
        let after = text[at + length..].chars().next();
        let next = after.or(around.followed.then_some('*'));
        let escaped = match bytes[at] {
            b'`' | b'[' | b']' => true,
            b'\\' => next.is_none_or(|c| c.is_ascii_punctuation()),
            b'<' => {
                next.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?' | '*'))
            }
            b'&' => is_reference(&text[at..]),
            b'!' => after.is_none() && around.before_link,
            b'|' => around.in_cell,
            b'~' => around.tildes && !alone(out, next),
            b'_' => !alone(out, next) && !inside_word(out, next),
            _ => !alone(out, next),
        };
        for byte in &bytes[at..at + length] {
            if escaped {
                out.push('\\');
            }
            out.push(char::from(*byte));
        }
        at += length;
        written = at;
    }
    out.push_str(&text[written..]);
}

/// White space stands on both sides.
fn alone(before: &str, next: Option<char>) -> bool {
    let space = |c: Option<char>| c.is_none_or(char::is_whitespace);
    space(before.chars().next_back()) && space(next)
}

/// Letters or digits stand on both sides.
fn inside_word(before: &str, next: Option<char>) -> bool {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    word(before.chars().next_back()) && word(next)
}

/// Whether `text`, which begins with `&`, begins with what looks like a character reference.
pub(super) fn is_reference(text: &str) -> bool {
    let name = text[1..].strip_prefix('#').unwrap_or(&text[1..]);
    let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
    length > 0 && name[length..].starts_with(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        push(&mut out, text, Surroundings { line_start: true, ..Surroundings::default() });
        out
    }

    #[test]
    fn a_backslash_stands_only_where_it_must() {
        for (text, markdown) in [
            ("120.000 bags", "120.000 bags"),
            ("1. first", "1\\. first"),
            ("1984", "1984"),
            ("2)", "2\\)"),
            ("# f", "\\# f"),
            ("#f", "#f"),
            ("-5 degrees", "-5 degrees"),
            ("- a", "\\- a"),
            ("---", "\\---"),
            ("> a > b", "\\> a > b"),
            ("a * b", "a * b"),
            ("a*b*", "a\\*b\\*"),
            ("snake_case_name", "snake_case_name"),
            ("_a_ b", "\\_a\\_ b"),
            ("a < b <c> <3", "a < b \\<c> <3"),
            ("R&D &amp; &#60; &copy", "R&D \\&amp; \\&#60; &copy"),
            ("a\\b \\*", "a\\b \\\\\\*"),
            ("~5 | 6!", "~5 | 6!"),
        ] {
            assert_eq!(written(text), markdown, "{text}");
        }
    }

    #[test]
    fn addresses_stay_copyable() {
        for (text, markdown) in [
            ("see https://a.example/this_is.pdf now", "see https://a.example/this_is.pdf now"),
            ("(https://a.example/_x_/y*).", "(<https://a.example/_x_/y>\\*)."),
            ("https://a.example/[x]", "<https://a.example/[x]>"),
            ("https://a.example/[x]y", "<https://a.example/[x]y>"),
            ("https://a.example/?a_&copy;b_c*d", "https://a.example/?a\\_\\&copy;b_c\\*d"),
        ] {
            assert_eq!(written(text), markdown, "{text}");
        }
    }
}
