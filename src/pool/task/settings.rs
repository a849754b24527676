//! What a task is told before it is created, apart from its closure and token.

use std::time::Duration;

use crate::pool::priority::{Kind, Priority};

/// Name of tasks that were given none.
pub(in crate::pool) const UNNAMED: &str = "task";

#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct TaskSettings {
    pub(in crate::pool) name: &'static str,
    pub(in crate::pool) priority: Priority,
    pub(in crate::pool) kind: Kind,
    pub(in crate::pool) delay: Duration,
}
