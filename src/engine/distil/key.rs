//! The identity of a fact.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::tokens::words;
use super::{language::Language, tokens::tokens};
use crate::model::Info;

/// Identifies a fact of a focus: equal for facts that differ only in case, punctuation, white space
/// and compatibility forms. An engine stores one info under it, with every source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::engine) struct InfoKey(pub [u8; 16]);

impl InfoKey {
    /// The key of `fact` for the focus of that text.
    pub(in crate::engine) fn new(focus: &str, fact: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(focus.len() as u64).to_le_bytes());
        hasher.update(focus.as_bytes());
        for word in words(fact) {
            hasher.update(word.as_bytes());
            hasher.update(&[0]);
        }
        // `words` skips runs of scripts without spaces.
        for token in tokens(fact, Language::Other).iter().filter(|token| token.pair) {
            hasher.update(token.text.as_bytes());
            hasher.update(&[1]);
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        Self(key)
    }

    /// The key of an info.
    pub(in crate::engine) fn of(info: &Info) -> Self {
        Self::new(&info.focus, &info.fact)
    }
}

impl fmt::Debug for InfoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoKey({:032x})", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_tell_facts_apart_and_words_do() {
        let key = InfoKey::new("f", "Rust 1.0 was released in 2015.");
        assert_eq!(key, InfoKey::new("f", "  rust 1.0  WAS released\u{a0}in ２０１５"));
        assert_ne!(key, InfoKey::new("g", "Rust 1.0 was released in 2015."));
        assert_ne!(key, InfoKey::new("f", "Rust 1.0 was released in 2016."));
        assert_ne!(InfoKey::new("f", "所有权移动"), InfoKey::new("f", "所有权借用"));
    }
}
