//! `gristmill infos`: the facts with their sources.

use std::fmt::Write as _;

use gristmill::engine::{InfoQuery, Quarantined};
use gristmill::model::{Grounding, Info};
use serde::Serialize;

use super::{ago, open};
use crate::arguments::{DataOptions, Infos};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, plain};

/// An accepted or a rejected info, as displayed.
#[derive(Serialize)]
#[serde(untagged)]
enum Row {
    Accepted(Box<Info>),
    Refused(Box<Quarantined>),
}

pub(crate) fn run(data: &DataOptions, arguments: &Infos) -> Result<Outcome, Failure> {
    let engine = open(data)?;
    let query = InfoQuery { focus: arguments.focus.clone(), since: arguments.since.map(ago) };
    if arguments.quarantined {
        let rows = engine.quarantined(&query)?;
        print(arguments, rows.map(|row| Ok(Row::Refused(Box::new(row?)))))
    } else {
        let rows = engine.infos(&query)?;
        print(arguments, rows.map(|row| Ok(Row::Accepted(Box::new(row?)))))
    }
}

fn print(
    arguments: &Infos,
    rows: impl Iterator<Item = Result<Row, Failure>>,
) -> Result<Outcome, Failure> {
    let mut output = Output::stdout();
    if arguments.csv {
        csv(&mut output, rows)?;
    } else {
        let mut focus = None;
        for row in rows {
            let row = row?;
            if arguments.json {
                output.json(&row)?;
                continue;
            }
            if focus.as_deref() != Some(row.focus()) {
                let mark = if arguments.markdown { "## " } else { "" };
                let gap = if focus.is_some() { "\n" } else { "" };
                output.line(&format!("{gap}{mark}{}", plain(row.focus())))?;
                focus = Some(row.focus().to_owned());
            }
            let text = if arguments.markdown { row.markdown() } else { row.text() };
            output.line(&text)?;
        }
    }
    output.finish()?;
    Ok(Outcome::Done)
}

fn csv(
    output: &mut Output,
    rows: impl Iterator<Item = Result<Row, Failure>>,
) -> Result<(), Failure> {
    let mut table = csv::Writer::from_writer(output);
    let header =
        ["fact", "url", "quote", "span_start", "span_end", "focus", "grounding", "created_at"];
    table.write_record(header).map_err(csv_failure)?;
    for row in rows {
        table.write_record(row?.cells()).map_err(csv_failure)?;
    }
    table.flush().map_err(Failure::Output)
}

fn csv_failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Failure::Output(source),
        other => Failure::Failed(format!("cannot write the table: {other:?}")),
    }
}

impl Row {
    fn focus(&self) -> &str {
        match self {
            Self::Accepted(info) => &info.focus,
            Self::Refused(refused) => &refused.focus,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Accepted(info) => citation(info),
            Self::Refused(refused) => format!(
                "- {}\n    {}  refused: {}\n    claimed quote: {}",
                plain(&refused.fact),
                refused.url,
                plain(&refused.why.to_string()),
                plain(&refused.quote),
            ),
        }
    }

    fn markdown(&self) -> String {
        let (fact, url, quote) = match self {
            Self::Accepted(info) => (&info.fact, &info.url, &info.quote),
            Self::Refused(refused) => (&refused.fact, &refused.url, &refused.quote),
        };
        let mut text = format!("\n- {} ([source](<{url}>))", escaped(fact));
        if let Self::Refused(refused) = self {
            let _ = write!(text, " – refused: {}", escaped(&refused.why.to_string()));
        }
        if quote != fact {
            let _ = write!(text, "\n\n  > {}", escaped(quote));
        }
        text
    }

    fn cells(&self) -> [String; 8] {
        match self {
            Self::Accepted(info) => [
                info.fact.clone(),
                info.url.to_string(),
                info.quote.clone(),
                info.span.start.to_string(),
                info.span.end.to_string(),
                info.focus.clone(),
                grounding(info.grounding).to_owned(),
                info.created_at.to_string(),
            ],
            Self::Refused(refused) => [
                refused.fact.clone(),
                refused.url.to_string(),
                refused.quote.clone(),
                String::new(),
                String::new(),
                refused.focus.clone(),
                grounding(Grounding::Ungrounded).to_owned(),
                refused.created_at.to_string(),
            ],
        }
    }
}

/// An info as text: the fact, its source, and the quote if that differs.
pub(crate) fn citation(info: &Info) -> String {
    let mut text = format!(
        "- {}\n    {}  bytes {} to {}",
        plain(&info.fact),
        info.url,
        info.span.start,
        info.span.end
    );
    if info.quote != info.fact {
        let _ = write!(text, "\n    “{}”", plain(&info.quote));
    }
    text
}

/// The variant names of the JSON form.
const fn grounding(grounding: Grounding) -> &'static str {
    match grounding {
        Grounding::Exact => "exact",
        Grounding::Normalised => "normalised",
        Grounding::Fuzzy => "fuzzy",
        Grounding::Ungrounded => "ungrounded",
    }
}

/// Escapes text from a page, so that Markdown shows it literally.
fn escaped(text: &str) -> String {
    let plain = plain(text);
    let mut escaped = String::with_capacity(plain.len());
    for c in plain.chars() {
        if "\\`*_[]<>#|~!&".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_text_is_shown_literally_in_markdown() {
        assert_eq!(escaped("a *b*\n[x](y) <c>"), "a \\*b\\* \\[x\\](y) \\<c\\>");
    }

    #[test]
    fn grounding_has_the_names_of_its_json_form() {
        for value in
            [Grounding::Exact, Grounding::Normalised, Grounding::Fuzzy, Grounding::Ungrounded]
        {
            assert_eq!(serde_json::to_value(value).unwrap(), grounding(value));
        }
    }
}
