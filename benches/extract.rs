//! Quality and speed of extraction on the development pages: mean word F1 for each type of page,
//! and megabytes a second on one thread for extraction and for links alone.
//!
//! `GRISTMILL_EXTRACT_DEV` names the folder of the pages; default: `../shared/extract-dev` beside
//! the package.

#[path = "../tests/support/pages.rs"]
#[expect(dead_code, reason = "the documentation is not measured")]
mod pages;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use gristmill::extract::{extract, links};
use gristmill::url::Url;

use pages::{f1, marked_pages};

/// Each page is timed this often; the fastest counts.
const ROUNDS: usize = 3;

fn fastest<T>(mut run: impl FnMut() -> T) -> (T, Duration) {
    let mut best: Option<(T, Duration)> = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let result = black_box(run());
        let took = start.elapsed();
        if best.as_ref().is_none_or(|(_, before)| took < *before) {
            best = Some((result, took));
        }
    }
    best.expect("invariant: there is at least one round")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = marked_pages();
    let Ok(truths) = std::fs::read_dir(set.join("truth")) else {
        println!("skipped: no development pages at {}", set.display());
        return Ok(());
    };
    let url = Url::parse("https://example.org/")?;
    let mut types: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let (mut bytes, mut full, mut fast) = (0_u64, Duration::ZERO, Duration::ZERO);
    for truth in truths {
        let path = truth?.path();
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .ok_or("a name outside UTF-8")?
            .to_owned();
        let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let mut page = Vec::new();
        MultiGzDecoder::new(std::fs::File::open(set.join(format!("html/{name}.html.gz")))?)
            .read_to_end(&mut page)?;
        let (content, took) = fastest(|| extract(&page, &url));
        full += took;
        fast += fastest(|| links(&page, &url, Some("text/html"))).1;
        bytes += u64::try_from(page.len())?;
        let expected = truth["ground_truth"]["main_content"].as_str().unwrap_or_default();
        let score = f1(&content?.text, expected);
        let kind = truth["_internal"]["page_type"]["primary"].as_str().unwrap_or("unknown");
        types.entry(kind.to_owned()).or_default().push(score);
        types.entry("(all)".to_owned()).or_default().push(score);
    }
    for (kind, scores) in &types {
        let count = u32::try_from(scores.len())?;
        println!(
            "{kind:15} {count:4} pages  F1 {:.3}",
            scores.iter().sum::<f64>() / f64::from(count)
        );
    }
    let rate = |time: Duration| bytes_as_megabytes(bytes) / time.as_secs_f64();
    println!("extract {:.0} MB/s  links {:.0} MB/s", rate(full), rate(fast));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes of bodies are far below 2^52")]
fn bytes_as_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
