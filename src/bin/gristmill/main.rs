//! The command line.
mod demo;
fn main() {}
