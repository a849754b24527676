//! The dependency rules: no async runtime anywhere in the normal tree, a tree that stays small with
//! every choice of features, and no C compiler for what is built without features.

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

/// Crates by which build scripts call a C compiler or its tools.
const COMPILERS: &[&str] = &["bindgen", "cc", "cmake", "pkg-config", "vcpkg"];

/// The most crates that each choice of features links on Linux, the package itself included.
const LIMITS: &[(&str, usize)] =
    &[("", 28), ("store", 43), ("crawl", 101), ("llm", 113), ("engine", 135), ("cli", 162)];

/// The crates of a tree on this platform, as `name version`, each once. Of the kinds of `edges`,
/// `normal` is what a program links, `build` what build scripts need.
fn tree(edges: &str, features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "--locked", "--edges", edges])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}"])
        .args(["--no-default-features", "--features", features])
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

/// The crates of a tree that are on a list.
fn listed<'a>(tree: &'a BTreeSet<String>, names: &[&str]) -> Vec<&'a str> {
    let name = |line: &&String| line.split(' ').next().unwrap_or_default().to_owned();
    tree.iter().filter(|line| names.contains(&name(line).as_str())).map(String::as_str).collect()
}

#[test]
fn no_async_runtime_is_linked_whatever_the_features() {
    let tree = tree("normal", "cli");
    assert!(!listed(&tree, &["ureq"]).is_empty(), "this is not the tree: {tree:?}");
    assert_eq!(listed(&tree, FORBIDDEN), Vec::<&str>::new());
}

/// Whatever the platform, and the tests and benches too.
#[test]
fn no_async_runtime_is_locked() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let lock = lock.expect("the lock file can be read");
    let locked: BTreeSet<String> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .collect();
    assert!(!listed(&locked, &["ureq"]).is_empty(), "this is not the lock file: {lock}");
    assert_eq!(listed(&locked, FORBIDDEN), Vec::<&str>::new());
}

#[test]
fn an_async_runtime_would_be_found() {
    let tree = BTreeSet::from(["redb 4.5.0".to_owned(), "tokio 1.54.1".to_owned()]);
    assert_eq!(listed(&tree, FORBIDDEN), ["tokio 1.54.1"]);
}

#[test]
fn the_tree_stays_small_with_every_choice_of_features() {
    for (features, limit) in LIMITS {
        let tree = tree("normal", features);
        assert!(!listed(&tree, &["dashmap"]).is_empty(), "this is not the tree: {tree:?}");
        assert!(tree.len() <= *limit, "`{features}`: {} crates: {tree:?}", tree.len());
    }
}

#[test]
fn pool_and_cache_need_no_c_compiler() {
    assert_eq!(listed(&tree("normal,build", ""), COMPILERS), Vec::<&str>::new());
    // The store does, so this would be found.
    assert!(!listed(&tree("normal,build", "store"), COMPILERS).is_empty());
}
