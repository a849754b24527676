//! Folding a text to compare spellings, with a map back to its bytes.
//!
//! Folding brings a text to NFKC and lower case, makes quotes, apostrophes and dashes plain, runs
//! of white space one space, and drops what is invisible. It works on clusters (a character with
//! the marks that follow it), so each folded character knows the bytes it came from.

use std::ops::Range;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;

/// A folded text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) text: String,
    /// For each character of `text`: its first byte there, and the bytes it came from.
    origins: Vec<Origin>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    at: usize,
    from: Range<usize>,
}

impl Folded {
    pub(super) fn new(source: &str) -> Self {
        let marks = CanonicalCombiningClassMapBorrowed::new();
        let nfkc = ComposingNormalizerBorrowed::new_nfkc();
        let mut folded = Self::default();
        let mut chars = source.char_indices().peekable();
        while let Some((start, c)) = chars.next() {
            let mut end = start + c.len_utf8();
            if c.is_ascii() && chars.peek().is_none_or(|(_, next)| next.is_ascii()) {
                folded.push(c.to_ascii_lowercase(), start..end);
                continue;
            }
            while let Some((at, mark)) = chars.next_if(|(_, next)| joins(c, *next, &marks)) {
                end = at + mark.len_utf8();
            }
            let cluster = source.get(start..end).unwrap_or_default();
            for composed in nfkc.normalize_iter(cluster.chars()) {
                for lower in composed.to_lowercase() {
                    folded.push(lower, start..end);
                }
            }
        }
        folded
    }

    fn push(&mut self, c: char, from: Range<usize>) {
        let Some(plain) = plain(c) else { return };
        if plain == ' ' && (self.text.is_empty() || self.text.ends_with(' ')) {
            if let Some(last) = self.origins.last_mut() {
                last.from.end = last.from.end.max(from.end);
            }
            return;
        }
        self.origins.push(Origin { at: self.text.len(), from });
        self.text.push(plain);
    }

    /// The bytes of the source from which `range` of the folded text came.
    pub(super) fn source_of(&self, range: Range<usize>) -> Option<Range<usize>> {
        let first = self.index_of(range.start)?;
        let last = self.index_of(range.end.checked_sub(1)?)?;
        let span = self.origins.get(first)?.from.start..self.origins.get(last)?.from.end;
        (span.start < span.end).then_some(span)
    }

    /// The folded range that came from bytes of `source`.
    pub(super) fn range_of(&self, source: &Range<usize>) -> Range<usize> {
        let first = self.origins.partition_point(|origin| origin.from.end <= source.start);
        let last = self.origins.partition_point(|origin| origin.from.start < source.end);
        let at = |index: usize| self.origins.get(index).map_or(self.text.len(), |o| o.at);
        at(first)..at(last).max(at(first))
    }

    fn index_of(&self, at: usize) -> Option<usize> {
        self.origins.partition_point(|origin| origin.at <= at).checked_sub(1)
    }
}

/// Whether `next` is normalised together with the cluster that `first` began.
fn joins(first: char, next: char, marks: &CanonicalCombiningClassMapBorrowed<'_>) -> bool {
    let jamo = |c: char| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7a3}');
    (!next.is_ascii() && marks.get_u8(next) != 0)
        || matches!(next, '\u{ff9e}' | '\u{ff9f}')
        || (jamo(first) && matches!(next, '\u{1160}'..='\u{11ff}'))
}

/// The plain form of a character; `None` for what is invisible.
fn plain(c: char) -> Option<char> {
    Some(match c {
        _ if is_invisible(c) => return None,
        '‘' | '’' | '‚' | '‛' | '′' | '`' | '´' | '‹' | '›' => '\'',
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => '"',
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => '-',
        _ if c.is_whitespace() => ' ',
        other => other,
    })
}

/// Characters that show nothing: zero-width, soft hyphen, direction and language marks, variation
/// selectors, control characters other than white space.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F
        | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0xE0000..=0xE0FFF)
        || (c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_meet_and_lead_back() {
        let source = "Ｔｈｅ  “Cafe\u{301}”\u{a0}—\u{200b}ﬁne ";
        let folded = Folded::new(source);
        assert_eq!(folded.text, "the \"café\" -fine ");
        let at = folded.text.find("café").unwrap();
        let back = folded.source_of(at..at + "café".len()).unwrap();
        assert_eq!(&source[back], "Cafe\u{301}");
        let at = folded.text.find("fine").unwrap();
        assert_eq!(&source[folded.source_of(at..at + 4).unwrap()], "ﬁne");
    }

    proptest! {
        #[test]
        fn every_folded_range_leads_to_characters(source in "\\PC{0,60}", a in 0..80_usize, b in 0..80_usize) {
            let folded = Folded::new(&source);
            let mut borders: Vec<_> = folded.text.char_indices().map(|(at, _)| at).collect();
            borders.push(folded.text.len());
            let (a, b) = (borders[a % borders.len()], borders[b % borders.len()]);
            if let Some(back) = folded.source_of(a.min(b)..a.max(b)) {
                prop_assert!(source.get(back).is_some());
            }
        }
    }
}
