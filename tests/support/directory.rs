//! Serves the files of a directory.

use std::path::{Path, PathBuf};

use super::server::{Handler, Request, Response};

/// Answers with the files below a directory; `/` and `/name/` stand for their `index.html`.
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The files below `root`.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The file that a path names; `None` where it leaves the directory or is not UTF-8.
    fn locate(&self, path: &str) -> Option<PathBuf> {
        let decoded = percent_decode(path)?;
        let mut file = self.root.clone();
        for part in decoded.split('/').filter(|part| !part.is_empty()) {
            if part == ".." || part.contains(['\\', '\0']) {
                return None;
            }
            file.push(part);
        }
        Some(file)
    }
}

impl Handler for Directory {
    fn handle(&self, request: &Request) -> Response {
        let path = request.path();
        let Some(mut file) = self.locate(path) else { return Response::status(404) };
        if file.is_dir() {
            if !path.ends_with('/') {
                return Response::redirect(301, &format!("{path}/"));
            }
            file.push("index.html");
        }
        match std::fs::read(&file) {
            Ok(body) => Response::ok(content_type(&file), body),
            Err(_) => Response::status(404),
        }
    }
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

fn percent_decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}
