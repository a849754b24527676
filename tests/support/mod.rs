//! Real sockets and real files for the integration tests.
//!
//! The server and the bundled site are the demo's. Beside them stand handlers for it, of scripted
//! responses and of a directory, and what several tests know of pages and facts. `many_hosts` and
//! `waiting` are included by the test programs that need them.
#![expect(dead_code, reason = "each test binary uses the part of it that it needs")]

pub(crate) mod directory;
pub(crate) mod known_facts;
#[path = "../../src/bin/gristmill/demo/manifest.rs"]
mod manifest;
pub(crate) mod pages;
pub(crate) mod scripted;
#[path = "../../src/bin/gristmill/demo/server/mod.rs"]
pub(crate) mod server;
#[path = "../../src/bin/gristmill/demo/site.rs"]
pub(crate) mod site;

use std::time::Duration;

/// How long a test waits for something that must happen, before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
