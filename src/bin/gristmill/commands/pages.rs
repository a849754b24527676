//! `gristmill pages`: the stored pages.

use std::fmt::Write as _;

use gristmill::engine::{PageEntry, PageQuery};

use super::{ago, not_stored, open};
use crate::arguments::{DataOptions, Pages};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, plain};

pub(crate) fn run(data: &DataOptions, arguments: &Pages) -> Result<Outcome, Failure> {
    let engine = open(data)?;
    let after = match &arguments.after {
        Some(url) => {
            let page = engine.get(url.as_str())?.ok_or_else(|| not_stored(url))?;
            Some(page.entry.cursor())
        }
        None => None,
    };
    let query = PageQuery {
        host: arguments.host.clone(),
        url_prefix: arguments.prefix.clone(),
        since: arguments.since.map(ago),
        reverse: arguments.reverse,
        limit: arguments.limit,
        after,
        ..PageQuery::default()
    };
    let mut output = Output::stdout();
    for page in engine.pages(&query)? {
        let page = page?;
        if arguments.json {
            output.json(&page)?;
        } else {
            output.line(&line(&page))?;
        }
    }
    output.finish()?;
    Ok(Outcome::Done)
}

/// Time, status, bytes, URL, and further metadata.
fn line(page: &PageEntry) -> String {
    let mut line = format!("{}  {}  {:>9}  {}", page.fetched_at, page.status, page.bytes, page.url);
    if let Some(title) = &page.title {
        line.push_str("  ");
        line.push_str(&plain(title));
    }
    if let Some(url) = &page.duplicate_of {
        let _ = write!(line, "  (the same text as {url})");
    }
    line
}
