//! The dependency rule: no async runtime anywhere in the normal tree, and a tree that stays small.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates that run futures, poll sockets for them, or cannot be used without one that does.
const FORBIDDEN: &[&str] = &[
    "actix-rt",
    "actix-web",
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-net",
    "async-process",
    "async-std",
    "axum",
    "compio",
    "compio-runtime",
    "embassy-executor",
    "futures-executor",
    "glommio",
    "h2",
    "hyper",
    "hyper-util",
    "isahc",
    "may",
    "mio",
    "monoio",
    "nuclei",
    "pollster",
    "quinn",
    "reqwest",
    "smol",
    "smolscale",
    "surf",
    "tokio",
    "tokio-util",
    "tower",
    "warp",
];

/// Crates in the default tree stay below this number, the package itself included.
const DEFAULT_LIMIT: usize = 180;

/// Crates in the tree of pool, cache, store and monitor alone stay below this number.
const MINIMAL_LIMIT: usize = 60;

/// The crates that are linked into a program on this platform, as `name version`, each once.
fn normal_tree(features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "--locked", "--edges", "normal"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}"])
        .args(features)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let crates = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?))
    });
    crates.collect()
}

/// The forbidden crates of a tree.
fn forbidden(tree: &BTreeSet<String>) -> Vec<&str> {
    let name = |line: &'_ String| line.split(' ').next().unwrap_or_default().to_owned();
    tree.iter()
        .filter(|line| FORBIDDEN.contains(&name(line).as_str()))
        .map(String::as_str)
        .collect()
}

#[test]
fn no_async_runtime_is_linked_whatever_the_features() {
    let tree = normal_tree(&["--all-features"]);
    assert!(tree.iter().any(|line| line.starts_with("ureq ")), "this is not the tree: {tree:?}");
    assert_eq!(forbidden(&tree), Vec::<&str>::new());
}

#[test]
fn an_async_runtime_would_be_found() {
    let tree = BTreeSet::from(["redb 4.5.0".to_owned(), "tokio 1.54.1".to_owned()]);
    assert_eq!(forbidden(&tree), ["tokio 1.54.1"]);
}

#[test]
fn the_default_tree_stays_small() {
    let tree = normal_tree(&[]);
    assert!(tree.len() < DEFAULT_LIMIT, "{} crates: {tree:?}", tree.len());
}

#[test]
fn the_tree_without_default_features_stays_small() {
    let tree = normal_tree(&["--no-default-features"]);
    assert!(tree.len() < MINIMAL_LIMIT, "{} crates: {tree:?}", tree.len());
    assert!(tree.iter().any(|line| line.starts_with("redb ")), "this is not the tree: {tree:?}");
}
