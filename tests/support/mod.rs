//! Real sockets and real files for the integration tests: the demo's server and site, a server of
//! a directory, and scripted answers.
#![expect(dead_code, reason = "each test binary uses the part of it that it needs")]

pub(crate) mod directory;
#[path = "../../src/bin/gristmill/demo/manifest.rs"]
mod manifest;
pub(crate) mod scripted;
#[path = "../../src/bin/gristmill/demo/server/mod.rs"]
pub(crate) mod server;
#[path = "../../src/bin/gristmill/demo/site.rs"]
pub(crate) mod site;

use std::path::PathBuf;
use std::time::Duration;

/// How long a test waits for something that must happen, before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The toolchain's own documentation in HTML, if it is installed: thousands of real pages.
pub(crate) fn toolchain_docs() -> Option<PathBuf> {
    let output = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    let docs = PathBuf::from(sysroot.trim()).join("share/doc/rust/html");
    docs.is_dir().then_some(docs)
}
