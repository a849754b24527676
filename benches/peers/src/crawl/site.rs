//! The site: pages of the toolchain's documentation, each as the bytes of its whole answer.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Error;

/// The parts of the documentation that are served; everything else is not found. The part `store`
/// takes its pages from them too.
pub(crate) const PARTS: [&str; 7] =
    ["std", "book", "reference", "nomicon", "rust-by-example", "cargo", "error_codes"];

/// Deepest folder below a part.
const MOST_DEPTH: usize = 16;

/// Where every crawl begins.
pub(crate) const SEEDS: [&str; 2] = ["/std/index.html", "/book/index.html"];

/// One page.
pub(crate) struct Document {
    /// Head and body, as sent.
    pub(crate) answer: Vec<u8>,
    /// Length of the body.
    pub(crate) body_bytes: usize,
    /// How often it was sent since the last reset.
    sent: AtomicU32,
}

impl Document {
    fn new(body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut answer = Vec::with_capacity(head.len() + body.len());
        answer.extend_from_slice(head.as_bytes());
        answer.extend_from_slice(body);
        Self { answer, body_bytes: body.len(), sent: AtomicU32::new(0) }
    }

    /// Counts one sending; whether it was the first.
    pub(crate) fn count(&self) -> bool {
        // Relaxed: a counter that orders nothing; the reader asks after the clients are gone.
        self.sent.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Forgets the sendings.
    pub(crate) fn reset(&self) {
        self.sent.store(0, Ordering::Relaxed);
    }
}

/// The pages by the path of their URL.
pub(crate) type Site = HashMap<String, Document>;

/// Reads every HTML file of the parts into memory.
pub(crate) fn load(root: &Path) -> Result<Site, Error> {
    let mut site = Site::new();
    for part in PARTS {
        load_folder(&root.join(part), &format!("/{part}"), MOST_DEPTH, &mut site)?;
    }
    if SEEDS.iter().any(|seed| !site.contains_key(*seed)) {
        return Err(Error::NoDocuments { path: root.to_path_buf() });
    }
    Ok(site)
}

fn load_folder(folder: &Path, url: &str, depth: usize, site: &mut Site) -> Result<(), Error> {
    let context = || format!("read {}", folder.display());
    if depth == 0 || !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(Error::io(context()))? {
        let entry = entry.map_err(Error::io(context()))?;
        let path = entry.path();
        let url = format!("{url}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            load_folder(&path, &url, depth - 1, site)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            let body = fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
            site.insert(url, Document::new(&body));
        }
    }
    Ok(())
}

/// The documentation that was installed with the toolchain.
pub(crate) fn toolchain_documents() -> Result<PathBuf, Error> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .map_err(Error::io("ask rustc for its folder"))?;
    let sysroot = String::from_utf8_lossy(&output.stdout);
    Ok(Path::new(sysroot.trim()).join("share/doc/rust/html"))
}
