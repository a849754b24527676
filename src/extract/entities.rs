//! Character references of HTML (`&amp;`, `&#8212;`, `&copy`), decoded as the standard asks.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The named references of the HTML standard, one a line: name (with its semicolon where it has
/// one), a space, the characters (a line feed is written `\n`).
static NAMED: LazyLock<HashMap<&str, &str, foldhash::fast::FixedState>> = LazyLock::new(|| {
    include_str!("entities.txt")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name, if value == "\\n" { "\n" } else { value }))
        .collect()
});

/// The longest name of the standard's list has 32 bytes.
const LONGEST_NAME: usize = 32;
/// The shortest and longest names that are read without a semicolon.
const LEGACY_NAME_BYTES: std::ops::RangeInclusive<usize> = 2..=6;
/// The longest decimal form of a character, with generous leading zeros.
const LONGEST_NUMBER: usize = 16;

/// What the numbers 0x80 to 0x9F stand for: windows-1252, as the standard's table has it.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

/// Where a run of characters stands: an ambiguous reference is read differently in attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Between tags.
    Text,
    /// In the value of an attribute.
    Attribute,
}

/// Replaces the character references in `raw`; borrows where there are none.
pub(super) fn decode(raw: &str, place: Place) -> Cow<'_, str> {
    let Some(first) = raw.find('&') else { return Cow::Borrowed(raw) };
    let mut decoded = String::with_capacity(raw.len());
    decoded.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(after) = rest.strip_prefix('&') {
        let used = reference(after, place, &mut decoded);
        if used == 0 {
            decoded.push('&');
        }
        let plain = &after[used..];
        let next = plain.find('&').unwrap_or(plain.len());
        decoded.push_str(&plain[..next]);
        rest = &plain[next..];
    }
    Cow::Owned(decoded)
}

/// Reads one reference after its ampersand, appends its characters to `out` and returns how many
/// bytes it took; 0 where there is none.
fn reference(after: &str, place: Place, out: &mut String) -> usize {
    if let Some(number) = after.strip_prefix('#') {
        return numeric(number, out).map_or(0, |used| used + 1);
    }
    let bytes = after.as_bytes();
    let run = bytes.iter().take(LONGEST_NAME).take_while(|b| b.is_ascii_alphanumeric()).count();
    if bytes.get(run) == Some(&b';')
        && let Some(value) = NAMED.get(&after[..=run])
    {
        out.push_str(value);
        return run + 1;
    }
    let longest = run.min(*LEGACY_NAME_BYTES.end());
    for length in (*LEGACY_NAME_BYTES.start()..=longest).rev() {
        let Some(value) = NAMED.get(&after[..length]) else { continue };
        let next = bytes.get(length).copied().unwrap_or(b' ');
        if place == Place::Attribute && (next == b'=' || next.is_ascii_alphanumeric()) {
            return 0;
        }
        out.push_str(value);
        return length;
    }
    0
}

/// Reads `8212;` or `x2014;`; the semicolon may be missing.
fn numeric(number: &str, out: &mut String) -> Option<usize> {
    let (digits, radix, prefix) = match number.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => (hexadecimal, 16, 1),
        None => (number, 10, 0),
    };
    let run = digits.bytes().take_while(|b| char::from(*b).is_digit(radix)).count();
    let code = digits.get(..run).filter(|run| !run.is_empty() && run.len() <= LONGEST_NUMBER);
    let code = u32::from_str_radix(code?, radix).unwrap_or(u32::MAX);
    out.push(match code {
        0x80..=0x9F => *WINDOWS_1252.get(usize::try_from(code).ok()? - 0x80)?,
        0 => char::REPLACEMENT_CHARACTER,
        code => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    });
    Some(prefix + run + usize::from(digits.as_bytes().get(run) == Some(&b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_decoded_as_the_standard_asks() {
        for (raw, text) in [
            ("plain", "plain"),
            ("a &amp; b", "a & b"),
            ("&lt;p&gt;", "<p>"),
            ("&#8212;&#x2014;&#X2014", "———"),
            ("&#150;&#0;&#x110000;&#99999999999;", "–\u{FFFD}\u{FFFD}\u{FFFD}"),
            ("&copy2019 &notit; &notin;", "©2019 ¬it; ∉"),
            ("AT&T & &; &unknown; &#; &#x;", "AT&T & &; &unknown; &#; &#x;"),
            ("&NotEqualTilde;", "≂\u{338}"),
            ("&NewLine;", "\n"),
            ("&", "&"),
            ("&é", "&é"),
        ] {
            assert_eq!(decode(raw, Place::Text), text, "{raw}");
        }
    }

    #[test]
    fn query_strings_survive_in_attributes() {
        assert_eq!(decode("?a=1&copy=2&lt;", Place::Attribute), "?a=1&copy=2<");
        assert_eq!(decode("?a&copyx&reg", Place::Attribute), "?a&copyx®");
    }
}
