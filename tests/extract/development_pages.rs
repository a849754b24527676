//! On real pages (see `benches/extract.rs` for the full measure): the invariants hold, both ways
//! find the same links, and the content is near what people marked.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use gristmill::extract::{extract, links};

use super::blocks_cover_the_text::check;
use super::page_url;
use super::pages::{f1, marked_pages};

/// Every so many pages are read.
const STEP: usize = 10;
/// Least mean F1 on those; the whole set has 0.85.
const MIN_F1: f64 = 0.8;

#[test]
fn a_sample_is_extracted_well() {
    let set = marked_pages();
    if !set.join("truth").is_dir() {
        eprintln!("skipped: the development pages are not there");
        return;
    }
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
