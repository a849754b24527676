//! The bytes of an answer.

use super::connection::{Pending, Then};
use super::log::Answer;
use super::plan::{Fault, Plan};
use super::site::{self, Site};
use crate::support::server::response::head;

/// The answer to a request, and what happens when it is out; an error where the connection ends in
/// its place.
pub(super) fn render(
    plan: &Plan,
    site: &Site,
    host: usize,
    pending: &Pending,
) -> Result<(Vec<u8>, Then), Answer> {
    match pending.fault {
        Some(Fault::Reset) => return Err(Answer::Reset),
        Some(Fault::Close) => return Err(Answer::Closed),
        Some(Fault::Status { status, retry_after }) => {
            let seconds = retry_after.map(|seconds| seconds.to_string());
            let bytes = whole(status, "text/plain", seconds.as_deref(), "not now\n", pending.last);
            return Ok((bytes, then(status, pending.last)));
        }
        Some(Fault::Cut | Fault::Stall) | None => {}
    }
    let (status, media_type, body) = document(plan, site, host, &pending.path);
    let mut bytes = whole(status, media_type, None, &body, pending.last);
    let half = bytes.len() - body.len().div_ceil(2);
    let then = match pending.fault {
        Some(Fault::Cut) => Then::Close(Answer::Cut),
        Some(Fault::Stall) => Then::Stall,
        _ => return Ok((bytes, then(status, pending.last))),
    };
    bytes.truncate(half);
    Ok((bytes, then))
}

fn then(status: u16, last: bool) -> Then {
    if last { Then::Close(Answer::Sent(status)) } else { Then::GoOn(status) }
}

/// Status, media type and body of what is found under a path.
fn document(plan: &Plan, site: &Site, host: usize, path: &str) -> (u16, &'static str, String) {
    if let ("/robots.txt", Some(rules)) = (path, plan.robots(host)) {
        return (200, "text/plain", rules.to_owned());
    }
    let pages = plan.hosts[host].settings.pages;
    match site::number(path).filter(|page| *page < pages) {
        Some(page) => (200, "text/html; charset=utf-8", site.page(plan, host, page)),
        None => (404, "text/plain", "there is nothing here\n".to_owned()),
    }
}

fn whole(
    status: u16,
    media_type: &str,
    retry_after: Option<&str>,
    body: &str,
    last: bool,
) -> Vec<u8> {
    let connection = if last { "close" } else { "keep-alive" };
    let fields = [("Content-Type", media_type), ("Connection", connection)];
    let fields = fields.into_iter().chain(retry_after.map(|seconds| ("Retry-After", seconds)));
    let mut bytes = head(status, fields, body.len());
    bytes.extend_from_slice(body.as_bytes());
    bytes
}
