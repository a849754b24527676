//! What to fetch next, and when: decisions only.
pub mod robots;
pub mod scope;
pub mod trap;

pub use robots::{Robots, Verdict};
pub use scope::{ScopeError, ScopeRules};
