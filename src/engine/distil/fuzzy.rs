//! Finding a quote that was copied with small mistakes.
//!
//! If a quote has at most `k` edits and is cut into `k + 1` pieces, at least one piece was copied
//! exactly. So the pieces are searched, and the edit distance is computed only around their
//! occurrences (Sellers' algorithm: the quote against any part of a window).

use std::ops::Range;

/// Longest quote that is searched this way, in characters.
const MAX_QUOTE: usize = 800;
/// Shortest quote: a tenth of fewer characters is less than one edit.
const MIN_QUOTE: usize = 20;
/// Most edits, whatever the length.
const MAX_EDITS: usize = 40;
/// Most windows in which the distance is computed.
const MAX_WINDOWS: usize = 48;
/// Most occurrences tried for one piece.
const MAX_PLACES: usize = 12;

/// The part of `text` nearest to `quote`, if it is within a tenth of the quote's characters.
pub(super) fn find(quote: &str, text: &str) -> Option<Range<usize>> {
    let pattern: Vec<char> = quote.chars().collect();
    if !(MIN_QUOTE..=MAX_QUOTE).contains(&pattern.len()) {
        return None;
    }
    let edits = (pattern.len() / 10).min(MAX_EDITS);
    let mut best: Option<(usize, Range<usize>)> = None;
    let mut windows = Vec::new();
    for (offset, piece) in pieces(&pattern, edits + 1) {
        for (at, _) in text.match_indices(&piece).take(MAX_PLACES) {
            let start = step_back(text, at, offset + edits);
            if !windows.contains(&start) && windows.len() < MAX_WINDOWS {
                windows.push(start);
            }
        }
    }
    for start in windows {
        let window: Vec<(usize, char)> =
            text.get(start..)?.char_indices().take(pattern.len() + 2 * edits + 1).collect();
        let Some((distance, from, to)) = nearest(&pattern, &window) else { continue };
        let better = best.as_ref().is_none_or(|(known, _)| distance < *known);
        if distance <= edits && better {
            let end = window.get(to.checked_sub(1)?).map(|(at, c)| at + c.len_utf8())?;
            let begin = window.get(from).map(|(at, _)| *at)?;
            best = Some((distance, start + begin..start + end));
        }
    }
    best.map(|(_, range)| range).filter(|range| range.start < range.end)
}

/// `pattern` cut into `count` pieces of about equal length, each with its offset in characters.
fn pieces(pattern: &[char], count: usize) -> Vec<(usize, String)> {
    let length = (pattern.len() / count).max(1);
    pattern
        .chunks_exact(length)
        .take(count)
        .enumerate()
        .map(|(index, piece)| (index * length, piece.iter().collect()))
        .collect()
}

/// The byte `count` characters before `at`.
fn step_back(text: &str, at: usize, count: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.char_indices().rev().take(count).last().map_or(at, |(at, _)| at)
}

/// The least edit distance of `pattern` to any part of `window`, with that part.
fn nearest(pattern: &[char], window: &[(usize, char)]) -> Option<(usize, usize, usize)> {
    // Row `i` of column `j`: the distance of the first `i` characters of the pattern to the best
    // part of the window that ends before `j`, and where that part begins.
    let mut column: Vec<(usize, usize)> = (0..=pattern.len()).map(|row| (row, 0)).collect();
    let mut best: Option<(usize, usize, usize)> = None;
    for (at, (_, c)) in window.iter().enumerate() {
        let mut diagonal = (0, at);
        if let Some(first) = column.first_mut() {
            *first = (0, at + 1);
        }
        let mut above = (0, at + 1);
        for (cell, wanted) in column.iter_mut().skip(1).zip(pattern) {
            let left = *cell;
            let swap = (diagonal.0 + usize::from(wanted != c), diagonal.1);
            let found = swap.min((left.0 + 1, left.1)).min((above.0 + 1, above.1));
            diagonal = left;
            *cell = found;
            above = found;
        }
        let (distance, start) = *column.last()?;
        if best.is_none_or(|(known, ..)| distance < known) {
            best = Some((distance, start, at + 1));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_mistakes_are_found_and_large_ones_are_not() {
        let text = "before it all. the quick brown fox jumps over the lazy dog. and after";
        let found = |quote: &str| find(quote, text).map(|range| &text[range]);
        let wanted = "the quick brown fox jumps over the lazy dog.";
        assert_eq!(found("the quick brown fox jumps over the lazy dog."), Some(wanted));
        assert_eq!(found("the quik brown fox jumped over the lazy dog."), Some(wanted));
        assert_eq!(found("the slow green fox crawls over the tired dog."), None);
        assert_eq!(found("short"), None);
    }

    #[test]
    fn the_work_is_bounded() {
        let text = "ab".repeat(200_000);
        let quote = "ab".repeat(300) + &"x".repeat(150);
        assert_eq!(find(&quote, &text), None);
    }
}
