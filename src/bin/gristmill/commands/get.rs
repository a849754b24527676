//! `gristmill get`: a stored page in one of its forms.

use serde_json::json;

use super::{not_stored, open};
use crate::arguments::{DataOptions, Form, Get};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(data: &DataOptions, arguments: &Get) -> Result<Outcome, Failure> {
    let url = &arguments.url;
    // The engine must stay open: the page's bodies are read from its store.
    let engine = open(data)?;
    let page = engine.get(url.as_str())?.ok_or_else(|| not_stored(url))?;
    let body = match arguments.form {
        Form::Meta => {
            let mut meta = serde_json::to_value(&page.entry)
                .map_err(|error| Failure::system("write the page's data as JSON", error))?;
            if let Some(fields) = meta.as_object_mut() {
                fields.insert("headers".to_owned(), json!(page.headers));
                fields.insert("outlinks".to_owned(), json!(page.links()?));
            }
            let mut output = Output::stdout();
            output.json(&meta)?;
            output.finish()?;
            return Ok(Outcome::Done);
        }
        Form::Raw => page.raw()?,
        Form::Markdown => page.markdown()?,
        Form::Text => page.text()?,
    };
    let body = body.ok_or_else(|| {
        Failure::Failed(format!("{url} is not stored in this form; try `--as raw`"))
    })?;
    let mut output = Output::stdout();
    output.bytes(&body)?;
    output.finish()?;
    Ok(Outcome::Done)
}
