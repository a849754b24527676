//! DESIGN.md's table of layers is the one that is checked.

use std::fs;
use std::path::Path;

use super::layers::LAYERS;

/// What the table says of the program, which is no module of the library.
const PROGRAM: &str =
    "| 4 | `src/bin/gristmill` | the public interface alone, which proves that it suffices |";

/// The table as DESIGN.md must have it.
fn table() -> Vec<String> {
    let head = ["| level | modules | may use |", "| --- | --- | --- |"].map(str::to_owned);
    let rows = LAYERS.iter().map(|layer| {
        let modules: Vec<String> = layer.modules.iter().map(|name| format!("`{name}`")).collect();
        format!("| {} | {} | {} |", layer.level, modules.join(" "), layer.may_use)
    });
    head.into_iter().chain(rows).chain([PROGRAM.to_owned()]).collect()
}

/// The first table of a document whose head has the column `modules`.
fn table_of(document: &str) -> Vec<String> {
    let from_head = document.lines().skip_while(|line| !line.starts_with("| level | modules |"));
    from_head.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

#[test]
fn the_table_of_layers_is_the_one_that_is_checked() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("DESIGN.md");
    let design = fs::read_to_string(path).expect("DESIGN.md can be read");
    assert_eq!(table_of(&design), table());
}

#[test]
fn a_table_ends_with_its_last_row() {
    let document = "| a |\n\n| level | modules | may use |\n| --- |\n| 0 |\n\n| 1 |\n";
    assert_eq!(table_of(document), ["| level | modules | may use |", "| --- |", "| 0 |"]);
    assert!(table_of("no table\n").is_empty());
}
