//! The bundled site: the response to each path.
//!
//! Besides the files of the [manifest](super::manifest) it has what a crawler meets in the wild:
//! redirects, a redirect loop, an exact duplicate, a page of a megabyte, a page served only
//! compressed, a response with status 500, an endless calendar and a maze with growing paths.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use xxhash_rust::xxh3::Xxh3;

use super::manifest::{ASSETS, Asset, Charset, PICTURE};
use super::server::{Handler, Request, Response};

/// Path, status and target of the redirects.
const REDIRECTS: &[(&str, u16, &str)] = &[
    ("/old/mill.html", 301, "/old/ashgate"),
    ("/old/ashgate", 301, "/mills/ashgate.html"),
    ("/wheel", 302, "/mills/ashgate-wheel.html"),
    ("/loop/a", 302, "/loop/b"),
    ("/loop/b", 302, "/loop/a"),
];
/// Served under a second path, byte for byte.
const DUPLICATE: (&str, &str) = ("/print/ashgate-wheel.html", "/mills/ashgate-wheel.html");
/// Served with gzip to clients that accept it.
const COMPRESSED: &str = "/archive/letters.html";
/// The page of about a megabyte.
const LEDGER: &str = "/archive/toll-ledger.html";
/// Entries of the ledger; one takes about 110 bytes.
const LEDGER_ENTRIES: usize = 9_200;

/// The site, ready to be served.
pub(crate) struct Site {
    files: HashMap<&'static str, File>,
}

struct File {
    content_type: &'static str,
    etag: String,
    body: Body,
}

enum Body {
    /// As it is.
    Fixed(Arc<[u8]>),
    /// Text in which `{{origin}}` is replaced.
    Template(&'static str),
    /// Plain and compressed with gzip.
    Gzip { plain: Arc<[u8]>, compressed: Arc<[u8]> },
}

impl Site {
    /// Prepares the site: encodes, compresses and generates pages.
    pub(crate) fn new() -> Self {
        let mut files: HashMap<_, _> =
            ASSETS.iter().map(|asset| (asset.path, File::of(asset))).collect();
        if let Some(Body::Fixed(plain)) = files.get(DUPLICATE.1).map(|file| &file.body) {
            let copy = File::new("text/html", Body::Fixed(Arc::clone(plain)));
            files.insert(DUPLICATE.0, copy);
        }
        let ledger = Body::Fixed(ledger().into_bytes().into());
        files.insert(LEDGER, File::new("text/html; charset=utf-8", ledger));
        files.insert("/images/seal.png", File::new("image/png", Body::Fixed(PICTURE.into())));
        Self { files }
    }
}

impl Handler for Site {
    fn handle(&self, request: &Request) -> Response {
        if !matches!(request.method(), "GET" | "HEAD") {
            return Response::status(405).with("Allow", "GET, HEAD");
        }
        let path = request.path();
        if let Some(file) = self.files.get(path) {
            return file.answer(request);
        }
        if let Some((_, status, target)) = REDIRECTS.iter().find(|(from, ..)| *from == path) {
            return Response::redirect(*status, target);
        }
        if let Some(page) = path.strip_prefix("/calendar/").and_then(calendar) {
            return Response::html(&page);
        }
        if path.starts_with("/maze/") && path.ends_with('/') {
            return Response::html(&maze(request));
        }
        if path.starts_with("/broken/") {
            return Response {
                status: 500,
                ..Response::html(&plain_page("Error", "The mill stands still."))
            };
        }
        Response {
            status: 404,
            ..Response::html(&plain_page("Not found", "There is no such page."))
        }
    }
}

impl File {
    fn of(asset: &Asset) -> Self {
        let text = asset.text;
        let body = match asset.charset {
            Charset::Utf8 if text.contains("{{origin}}") => Body::Template(text),
            Charset::Utf8 if asset.path == COMPRESSED => Body::gzip(text.as_bytes()),
            Charset::Utf8 => Body::Fixed(text.as_bytes().into()),
            Charset::Utf16 => {
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                Body::Fixed(units.flat_map(u16::to_le_bytes).collect())
            }
            Charset::Legacy(encoding) => Body::Fixed(encoding.encode(text).0.into_owned().into()),
        };
        Self::new(asset.content_type, body)
    }

    fn new(content_type: &'static str, body: Body) -> Self {
        let mut hash = Xxh3::new();
        hash.write(match &body {
            Body::Fixed(bytes) | Body::Gzip { plain: bytes, .. } => bytes,
            Body::Template(text) => text.as_bytes(),
        });
        Self { content_type, etag: format!("\"{:016x}\"", hash.finish()), body }
    }

    fn answer(&self, request: &Request) -> Response {
        if request.header("if-none-match") == Some(self.etag.as_str()) {
            return Response::status(304).with("ETag", &self.etag);
        }
        let response = match &self.body {
            Body::Fixed(bytes) => Response::ok(self.content_type, Arc::clone(bytes)),
            Body::Template(text) => {
                let origin = format!("http://{}", request.header("host").unwrap_or("localhost"));
                Response::ok(self.content_type, text.replace("{{origin}}", &origin).into_bytes())
            }
            Body::Gzip { compressed, .. } if accepts_gzip(request) => {
                Response::ok(self.content_type, Arc::clone(compressed))
                    .with("Content-Encoding", "gzip")
            }
            Body::Gzip { plain, .. } => Response::ok(self.content_type, Arc::clone(plain)),
        };
        response.with("ETag", &self.etag)
    }
}

impl Body {
    fn gzip(plain: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let compressed = encoder.write_all(plain).and_then(|()| encoder.finish());
        match compressed {
            Ok(compressed) => Self::Gzip { plain: plain.into(), compressed: compressed.into() },
            // Writing into a vector does not fail; if it ever did, the plain bytes are right too.
            Err(_) => Self::Fixed(plain.into()),
        }
    }
}

fn accepts_gzip(request: &Request) -> bool {
    let accepted = request.header("accept-encoding").unwrap_or("");
    accepted.split(',').any(|coding| coding.split(';').next().unwrap_or("").trim() == "gzip")
}

fn plain_page(title: &str, text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n<p>{text}</p>\n</body>\n</html>\n"
    )
}

/// The page of a month, `2026/11.html` for instance, with a link to the next. Every month of every
/// year exists.
fn calendar(path: &str) -> Option<String> {
    let (year, month) = path.strip_suffix(".html")?.split_once('/')?;
    let (year, month) = (year.parse::<u32>().ok()?, month.parse::<u32>().ok()?);
    if !(1..=12).contains(&month) {
        return None;
    }
    let next = if month == 12 { (year.checked_add(1)?, 1) } else { (year, month + 1) };
    Some(plain_page(
        &format!("Events in {year:04}-{month:02}"),
        &format!(
            "No event is planned for month {month} of the year {year}.</p>\n\
             <p><a href=\"/calendar/{:04}/{:02}.html\">The next month</a>",
            next.0, next.1
        ),
    ))
}

/// A page with one link that adds a step to the path and one that adds a pair to the query.
fn maze(request: &Request) -> String {
    let steps = request.target().split(['/', '&', '?']).filter(|step| !step.is_empty()).count() - 1;
    let query =
        request.target().split_once('?').map_or(String::new(), |(_, query)| format!("{query}&"));
    plain_page(
        &format!("Survey plate {steps}"),
        &format!(
            "This is plate {steps} of the survey.</p>\n<p><a href=\"further/\">The next plate</a> \
             <a href=\"?{query}turned=yes\">The plate turned round</a>"
        ),
    )
}

/// The toll ledger: every cart of a year, made up by a fixed rule.
fn ledger() -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const GOODS: [&str; 8] =
        ["wheat", "barley", "oats", "flour", "malt", "millstones", "elm boards", "empty sacks"];
    const FARMS: [&str; 7] = ["Aldous", "Brook", "Ferren", "Lunt", "Oslane", "Thorne", "Wieland"];
    let mut rows = String::new();
    // A linear congruential generator (Numerical Recipes' constants) makes the entries vary.
    let mut seed: u32 = 1791;
    let mut pick = |choices: &[&'static str]| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        choices.get((seed >> 16) as usize % choices.len()).copied().unwrap_or("")
    };
    for entry in 0..LEDGER_ENTRIES {
        let day = entry * 365 / LEDGER_ENTRIES;
        let month = MONTHS.get(day * 12 / 365).copied().unwrap_or("");
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{month} 1791, day {}</td><td>{}</td><td>a cart of {}</td><td>one penny</td></tr>",
            entry + 1,
            day + 1,
            pick(&FARMS),
            pick(&GOODS),
        );
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>The toll ledger of 1791</title></head>\n\
         <body>\n<main>\n<h1>The toll ledger of 1791</h1>\n\
         <p>Every cart that crossed the Harrow Bridge in 1791 was written down by the toll keeper \
         Josiah Wath. The ledger holds {LEDGER_ENTRIES} entries.</p>\n\
         <table>\n<tr><th>No.</th><th>Day</th><th>Farm</th><th>Load</th><th>Toll</th></tr>\n\
         {rows}</table>\n</main>\n</body>\n</html>\n"
    )
}
