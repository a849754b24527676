//! On real pages (see `benches/extract.rs` for the full measure): the invariants hold, both ways
//! find the same links, and the content is near what people marked.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use gristmill::extract::{extract, links};

use super::blocks_cover_the_text::check;
use super::page_url;

/// Every so many pages are read.
const STEP: usize = 10;
/// Least mean F1 on those; the whole set has 0.85.
const MIN_F1: f64 = 0.8;

fn directory() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/extract-dev");
    let set = std::env::var_os("GRISTMILL_EXTRACT_DEV").map_or(default, PathBuf::from);
    set.join("truth").is_dir().then_some(set)
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

#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
fn f1(found: &str, expected: &str) -> f64 {
    let (found, expected) = (words(found), words(expected));
    let common: usize =
        expected.iter().map(|(word, n)| found.get(word).copied().unwrap_or(0).min(*n)).sum();
    let all: usize = found.values().chain(expected.values()).sum();
    if all == 0 { 1.0 } else { 2.0 * common as f64 / all as f64 }
}

#[test]
fn a_sample_is_extracted_well() {
    let Some(set) = directory() else {
        eprintln!("skipped: the development pages are not there");
        return;
    };
    let mut truths: Vec<_> =
        std::fs::read_dir(set.join("truth")).unwrap().map(|entry| entry.unwrap().path()).collect();
    truths.sort();
    let mut scores = Vec::new();
    for truth in truths.iter().step_by(STEP) {
        let name = truth.file_stem().unwrap().to_str().unwrap();
        let file = std::fs::File::open(set.join(format!("html/{name}.html.gz"))).unwrap();
        let mut page = Vec::new();
        MultiGzDecoder::new(file).read_to_end(&mut page).unwrap();
        let content = extract(&page, &page_url()).unwrap();
        check(&content);
        assert_eq!(links(&page, &page_url(), Some("text/html")).unwrap(), content.links, "{name}");
        let truth: serde_json::Value =
            serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
        let expected = truth["ground_truth"]["main_content"].as_str().unwrap_or_default();
        scores.push(f1(&content.text, expected));
    }
    let count = u32::try_from(scores.len()).unwrap();
    let mean = scores.iter().sum::<f64>() / f64::from(count);
    assert!(mean >= MIN_F1, "mean F1 {mean:.3} on {count} pages");
}
