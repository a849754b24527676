//! The engine: the only place where the parts are wired together.

pub mod distill;
