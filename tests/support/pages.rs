//! Real pages from outside this package, and how well their text was found.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The toolchain's own documentation in HTML, if it is installed: thousands of pages.
pub(crate) fn toolchain_docs() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    let docs = PathBuf::from(sysroot.trim()).join("share/doc/rust/html");
    docs.is_dir().then_some(docs)
}

/// Where the pages are looked for whose content people have marked: the folder named by
/// `GRISTMILL_EXTRACT_DEV`, or `../shared/extract-dev` beside the package.
pub(crate) fn marked_pages() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/extract-dev");
    std::env::var_os("GRISTMILL_EXTRACT_DEV").map_or(default, PathBuf::from)
}

fn words(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    let lower = text.to_lowercase();
    for word in
        lower.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
    {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// Word F1, the overlap of multisets: 2·common / (found + expected).
#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
pub(crate) fn f1(found: &str, expected: &str) -> f64 {
    let (found, expected) = (words(found), words(expected));
    let common: usize =
        expected.iter().map(|(word, n)| found.get(word).copied().unwrap_or(0).min(*n)).sum();
    let all: usize = found.values().chain(expected.values()).sum();
    if all == 0 { 1.0 } else { 2.0 * common as f64 / all as f64 }
}
