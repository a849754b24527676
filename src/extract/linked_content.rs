//! Content that only the page's JSON-LD holds.
//!
//! Pages that scripts fill, and pages whose markup shows a part of the text, may have all of it in
//! `articleBody`, in the posts of a discussion or in the description of a product. It is appended
//! where the markup lacks it, never beside the same text.

use std::collections::HashSet;

use super::bounds::Rendered;
use super::json_ld::{LinkedData, Text};
use super::links::ResolvedLinks;
use super::main_content;
use super::options::ExtractOptions;
use super::plain;
use super::render;
use super::token::Tokens;
use super::tree::TreeBuilder;
use crate::model::PageKind;

/// Shorter texts are labels rather than content, in bytes.
const MIN_BYTES: usize = 60;
/// The markup lacks an article or a discussion if it holds less than this share of its text.
const LACKING_PERCENT: usize = 50;
/// How many letters at the start of a block tell that the markup holds a text.
const BEGINNING_LETTERS: usize = 40;

/// Appends to `content` what it lacks, as long as that fits into `limit` bytes of output.
pub(super) fn append(
    content: &mut Rendered,
    linked: &LinkedData<'_>,
    kind: PageKind,
    options: &ExtractOptions,
    limit: usize,
) {
    let mut texts: Vec<Text<'_>> = linked.posts.iter().map(|post| post.text).collect();
    if texts.is_empty() {
        texts.extend(linked.works.iter().find_map(|work| work.body));
    }
    let bytes: usize = texts.iter().map(|text| text.decoded().len()).sum();
    if content.text.len() * 100 >= bytes * LACKING_PERCENT {
        texts.clear();
    }
    if texts.is_empty() && kind == PageKind::Product {
        let description = linked.product.as_ref().and_then(|product| product.description);
        let found = description.map(|text| rendered(&text.decoded(), options, content.room(limit)));
        if let Some(found) = found.filter(|found| found.text.len() >= MIN_BYTES) {
            let present = letters(&content.text, usize::MAX);
            if !present.contains(&letters(&found.text, BEGINNING_LETTERS)) {
                content.append(found);
            }
        }
    }
    if texts.is_empty() {
        return;
    }
    let beginnings: HashSet<String> = content
        .blocks
        .iter()
        .filter_map(|block| block.span.of(&content.text))
        .map(|block| letters(block, BEGINNING_LETTERS))
        .collect();
    for text in texts {
        let found = rendered(&text.decoded(), options, content.room(limit));
        if found.text.len() >= MIN_BYTES
            && !beginnings.contains(&letters(&found.text, BEGINNING_LETTERS))
        {
            content.append(found);
        }
    }
}

/// Text with markup or without.
fn rendered(text: &str, options: &ExtractOptions, limit: usize) -> Rendered {
    if !text.contains("</") && !text.contains("<br") && !text.contains("<p>") {
        return plain::text(text, limit);
    }
    let mut builder = TreeBuilder::new(text, options.max_depth, options.max_nodes);
    for token in Tokens::new(text, false) {
        if builder.token(&token).is_err() {
            break;
        }
    }
    let tree = builder.finish();
    render::render(&tree, &main_content::whole(&tree), &ResolvedLinks::default(), options, limit)
}

/// The first letters and digits of a text, in lower case.
fn letters(text: &str, most: usize) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    letters.take(most).collect()
}
