//! No part knows whether it is built for the engine: what the engine needs of it is a trait.

use super::assert_none;
use super::source::sources;

/// Features of what stands above the parts.
const ABOVE: &[&str] = &["engine", "cli"];

/// Files that may name them: the one that declares the modules.
const MAY_NAME: &[&str] = &["lib.rs"];

/// Conditions in a library file (path below `src`) on features of what stands above it.
fn feature_violations(file: &str, source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let mut wrong = Vec::new();
    for condition in code.split("feature=").skip(1) {
        // A raw string is a string.
        let text = condition.trim_start_matches(['r', '#']);
        let name = text.strip_prefix('"').and_then(|text| text.split('"').next());
        match name {
            Some(name) if ABOVE.contains(&name) => {
                wrong.push(format!("{file}: depends on the feature `{name}`"));
            }
            Some(name) if !name.contains('\\') => {}
            _ => wrong.push(format!("{file}: a feature is not named plainly")),
        }
    }
    wrong
}

#[test]
fn no_part_depends_on_a_feature_above_it() {
    let parts = sources().into_iter().filter(|(file, _)| !MAY_NAME.contains(&file.as_str()));
    let found: Vec<String> =
        parts.flat_map(|(file, source)| feature_violations(&file, &source)).collect();
    assert_none(&found);
}

#[test]
fn a_condition_on_a_feature_above_is_found_however_it_is_written() {
    let bad = [
        "#[cfg(feature = \"engine\")]\nfn f() {}",
        "#[cfg(not(feature=\"engine\"))]\nfn f() {}",
        "#[cfg(all(\n    unix,\n    feature =\n        \"engine\"\n))]\nfn f() {}",
        "#![cfg_attr(feature = \"engine\", doc = \"x\")]",
        "fn f() -> bool { cfg!(feature = \"cli\") }",
        "#[cfg(feature = r#\"engine\"#)]\nfn f() {}",
        "#[cfg(feature = \"eng\\x69ne\")]\nfn f() {}",
        "#[cfg(feature = /* the */ \"engine\")]\nfn f() {}",
    ];
    for source in bad {
        assert_eq!(feature_violations("crawl/mod.rs", source).len(), 1, "{source}");
    }
    let good = "/// `feature = \"engine\"`\n#[cfg(feature = \"crawl\")]\nfn f() {}";
    assert_none(&feature_violations("url/mod.rs", good));
}
