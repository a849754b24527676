//! Characters of text: collapsing white space, dropping invisible characters.

/// Longest value of metadata, in bytes.
const MAX_LINE_BYTES: usize = 2 * 1024;

/// Appends `text` to `out` with every run of white space as one space, none at the start of `out`,
/// and without the characters that [`is_invisible`] names. A space at the end of `text` is kept,
/// so that the next piece stands apart from it.
pub(super) fn push_collapsed(out: &mut String, text: &str) {
    let mut plain_from = 0;
    let mut previous_is_space = out.is_empty() || out.ends_with(' ');
    let mut before = out.chars().next_back().unwrap_or(' ');
    for (at, character) in text.char_indices() {
        let space = is_space(character);
        if space && (previous_is_space || character != ' ') || is_dropped(character, before) {
            out.push_str(&text[plain_from..at]);
            plain_from = at + character.len_utf8();
            if space && !previous_is_space {
                out.push(' ');
                previous_is_space = true;
            }
            continue;
        }
        previous_is_space = space;
        before = character;
    }
    out.push_str(&text[plain_from..]);
}

/// White space in text, including the no-break space and its relatives.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace()
}

/// Whether `character` is dropped from text after the character `before`: joiners are kept in
/// scripts that need them.
fn is_dropped(character: char, before: char) -> bool {
    match character {
        '\u{200C}' | '\u{200D}' => before.is_ascii(),
        _ => is_invisible(character),
    }
}

/// Characters that a reader does not see: controls, zero-width spaces, soft hyphens, direction
/// marks, byte order marks and tag characters.
pub(super) const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{08}'
            | '\u{0E}'..='\u{1B}'
            | '\u{7F}'..='\u{84}'
            | '\u{86}'..='\u{9F}'
            | '\u{AD}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

/// The longest prefix of `text` with at most `max_bytes` bytes.
pub(super) fn cut(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// [`push_collapsed`] from nothing, without a space at either end.
pub(super) fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_collapsed(&mut out, text);
    out.truncate(out.trim_end().len());
    out
}

/// A value of metadata: `text` [`collapsed`] and cut to 2 KiB; `None` if nothing is left.
pub(super) fn line(text: &str) -> Option<String> {
    let text = collapsed(cut(text.trim_start(), MAX_LINE_BYTES));
    (!text.is_empty()).then_some(text)
}

/// `text` without invisible characters and carriage returns.
pub(super) fn visible(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|character| *character != '\r' && !is_invisible(*character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_collapses_and_the_invisible_goes() {
        assert_eq!(collapsed(" a\n\t b\u{A0}\u{A0}c "), "a b c");
        assert_eq!(collapsed("pass\u{200B}wo\u{AD}rd\u{FEFF}\0 \u{200D}x\u{E0041}"), "password x");
        assert_eq!(collapsed("می\u{200C}خواهم"), "می\u{200C}خواهم");
        let mut pieces = String::new();
        for piece in ["one ", " two", "", " ", "three"] {
            push_collapsed(&mut pieces, piece);
        }
        assert_eq!(pieces, "one two three");
    }
}
