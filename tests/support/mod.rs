//! Real sockets and real files for the integration tests: the demo's server and site, a server of
//! a directory, and scripted answers.
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
