//! The bytes of an answer.

use super::connection::{Pending, Then};
use super::log::Answer;
use super::plan::{Fault, Plan};
use super::site::{self, Site};

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
            let extra = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n"));
            let extra = extra.unwrap_or_default();
            let bytes = whole(status, "text/plain", &extra, "not now\n", pending.last);
            return Ok((bytes, then(status, pending.last)));
        }
        Some(Fault::Cut | Fault::Stall) | None => {}
    }
    let (status, media_type, body) = document(plan, site, host, &pending.path);
    let mut bytes = whole(status, media_type, "", &body, pending.last);
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
    let pages = plan.hosts[host].temper.pages;
    match site::number(path).filter(|page| *page < pages) {
        Some(page) => (200, "text/html; charset=utf-8", site.page(plan, host, page)),
        None => (404, "text/plain", "there is nothing here\n".to_owned()),
    }
}

fn whole(status: u16, media_type: &str, extra: &str, body: &str, last: bool) -> Vec<u8> {
    let connection = if last { "close" } else { "keep-alive" };
    let mut bytes = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
         Connection: {connection}\r\n{extra}\r\n",
        reason(status),
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Otherwise",
    }
}
