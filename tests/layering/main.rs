//! The structure that DESIGN.md describes, checked on the source text: layers, cycles of imports,
//! where `unsafe` and waiting may stand.
//!
//! Comments and strings are skipped. A file is known by its module: `store/log/mod.rs` and
//! `store/log.rs` are both `store::log`.

mod conduct;
mod cycles;
mod design;
mod detours;
mod errors;
mod features;
mod layers;
mod source;
mod test_code;

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}
