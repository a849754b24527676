//! Extraction: from the bytes of a page to its text, Markdown, links and metadata.
//!
//! Pure functions of their input: no I/O, no clock, no global state.
//!
//! # Design
//! Bytes become characters (`charset`); a tokeniser passes over them once and feeds three
//! readers: links, metadata and a flat tree (nodes in document order, each knowing where its
//! subtree ends). The main content is selected in that tree by general rules about structure and
//! names, and rendered in one walk as text, blocks and Markdown. [`links()`] runs the same tokeniser
//! with the link reader alone, so both find the same links by construction.
//!
//! # Invariants
//! - No recursion over the document and no step that is more than linear in it (the open elements
//!   looked through per tag are at most [`ExtractOptions::max_depth`]): no input exhausts the stack
//!   or the time.
//! - The blocks of a content are in order and do not overlap; joined by one blank line they are its
//!   text. White space is collapsed inside each block that is not code.
//! - A page with visible text has a text: if the rules select nothing, everything visible is the
//!   content.
//! - The Markdown, rendered, says what the text says, but for alternative texts of images and
//!   numbers of lists. What a page says by its looks alone, the text says by characters (the module
//!   `render` has the rules).
//! - Text, block data and Markdown are together at most four times the body and 64 KiB, the links at
//!   most [`ExtractOptions::max_links`] and 8 MiB; [`Content::truncated`] tells what was cut.
//! - Hidden elements, comments, scripts and invisible characters never become text.

mod bounds;
mod charset;
mod code;
mod emphasis;
mod entities;
mod error;
mod escape;
mod fingerprint;
mod formulas;
mod hints;
mod images;
mod inline;
mod json_ld;
mod linked_content;
mod links;
mod lists;
mod main_content;
mod markdown;
mod marks;
mod metadata;
mod options;
mod page_kind;
mod plain;
mod render;
mod scripts;
mod sections;
mod selector;
mod table;
mod tag;
mod text;
mod token;
mod tree;

use url::Url;

use bounds::Rendered;
pub use error::ExtractError;
pub use fingerprint::near_duplicate;
use hints::Hints;
use json_ld::{LinkedData, Scripts};
use links::{LinkCollector, ResolvedLinks};
use metadata::Metadata;
pub use options::ExtractOptions;
use plain::Format;
pub use selector::{Selector, SelectorError};
use tag::Tag;
use token::{Token, Tokens};
use tree::{Tree, TreeBuilder};

pub use crate::model::{Comments, Favour};
use crate::model::{Content, Link, PageType, Truncated};

/// Version of what extraction gives: it rises with every change of the text, Markdown or metadata of
/// any page. [`Content::extractor`] has the version that a content was made by.
pub const VERSION: u32 = 1;

/// Longest body that can be read at all: offsets into the decoded document have 32 bits, and
/// decoding makes at most three bytes of one.
const LARGEST_BODY: usize = 1 << 30;

/// A body to extract from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The body, after content decoding.
    pub body: &'a [u8],
    /// The URL that answered with it.
    pub url: &'a Url,
    /// Value of the `Content-Type` header field, if there was one.
    pub content_type: Option<&'a str>,
}

/// Extracts content and links by its options.
#[derive(Clone, Debug, Default)]
pub struct Extractor {
    options: ExtractOptions,
}

/// Extracts from the bytes of an HTML document, with the default options.
///
/// # Examples
/// ```
/// use gristmill::extract::extract;
/// use gristmill::url::Url;
///
/// let url = Url::parse("https://example.org/a/")?;
/// let page = b"<title>Mills</title><nav>Home</nav><h1>Mills</h1><p>Grind <a href=grain>grain</a>.";
/// let content = extract(page, &url)?;
/// assert_eq!(content.title.as_deref(), Some("Mills"));
/// assert_eq!(content.text, "Mills\n\nGrind grain.");
/// assert_eq!(content.markdown, "# Mills\n\nGrind [grain](https://example.org/a/grain).\n");
/// assert_eq!(content.links[0].url.as_str(), "https://example.org/a/grain");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn extract(bytes: &[u8], url: &Url) -> Result<Content, ExtractError> {
    Extractor::default().extract(&Input { body: bytes, url, content_type: Some("text/html") })
}

/// The links of a document, as [`Extractor::extract`] returns them with the default options,
/// without building a tree.
pub fn links(
    bytes: &[u8],
    url: &Url,
    content_type: Option<&str>,
) -> Result<Vec<Link>, ExtractError> {
    Extractor::default().links(&Input { body: bytes, url, content_type })
}

impl Extractor {
    /// An extractor with these options.
    pub const fn new(options: ExtractOptions) -> Self {
        Self { options }
    }

    /// Extracts the content of HTML, XHTML, plain text or Markdown. The media type decides the
    /// format; without one it is sniffed.
    pub fn extract(&self, input: &Input<'_>) -> Result<Content, ExtractError> {
        self.check_size(input)?;
        let (source, charset) = charset::decode(input.body, input.content_type);
        let limit = bounds::output_limit(input.body.len());
        let mut content = match format(input, &source)? {
            format @ (Format::Html | Format::Xhtml) => {
                self.html(&source, format, input.url, limit)?
            }
            Format::Text => without_markup(plain::text(&source, limit)),
            Format::Markdown => without_markup(plain::markdown(&source, limit)),
        };
        charset.clone_into(&mut content.charset);
        content.fingerprint = fingerprint::of(&content.text);
        content.extractor = VERSION;
        Ok(content)
    }

    /// The links of a document alone: the same as those of [`Extractor::extract`], much faster.
    pub fn links(&self, input: &Input<'_>) -> Result<Vec<Link>, ExtractError> {
        self.check_size(input)?;
        let (source, _) = charset::decode(input.body, input.content_type);
        let xml = match format(input, &source)? {
            Format::Html => false,
            Format::Xhtml => true,
            Format::Text | Format::Markdown => return Ok(Vec::new()),
        };
        let mut collector = LinkCollector::new(self.options.max_links);
        outside_templates(&source, xml, |token| {
            collector.token(token);
            Ok::<(), std::convert::Infallible>(())
        })
        .unwrap_or_else(|never| match never {});
        Ok(collector.finish(input.url).links)
    }

    fn check_size(&self, input: &Input<'_>) -> Result<(), ExtractError> {
        let limit = self.options.max_bytes.min(LARGEST_BODY);
        if input.body.len() > limit {
            return Err(ExtractError::TooLarge {
                url: input.url.clone(),
                bytes: input.body.len(),
                limit,
            });
        }
        Ok(())
    }

    fn html(
        &self,
        source: &str,
        format: Format,
        url: &Url,
        limit: usize,
    ) -> Result<Content, ExtractError> {
        let mut collector = LinkCollector::new(self.options.max_links);
        let mut metadata = Metadata::default();
        let mut scripts = Scripts::default();
        let mut builder = TreeBuilder::new(source, self.options.max_depth, self.options.max_nodes);
        outside_templates(source, format == Format::Xhtml, |token| {
            collector.token(token);
            metadata.token(token);
            scripts.token(token);
            builder.token(token)
        })
        .map_err(|_| ExtractError::TooManyNodes {
            url: url.clone(),
            limit: self.options.max_nodes,
        })?;
        let graph = scripts.read();
        let linked = LinkedData::of(&graph);
        let resolved = collector.finish(url);
        let mut tree = builder.finish();
        sections::clear_title_hints(&mut tree);
        let declared = page_kind::Declared {
            types: &linked.types,
            open_graph: metadata.open_graph_type(),
            urls: [Some(url.as_str()), metadata.canonical().or_else(|| metadata.open_graph_url())],
        };
        let page_type = page_kind::judge(&tree, &declared);
        let mut rendered = content_of(&mut tree, &resolved, &self.options, page_type, limit);
        if self.options.keep.is_empty() {
            linked_content::append(&mut rendered, &linked, page_type.kind, &self.options, limit);
        }
        let base = resolved.base.as_ref().unwrap_or(url);
        let authors = metadata.authors(&linked);
        Ok(Content {
            title: metadata.title(&linked, url).or_else(|| plain::title(&rendered)),
            language: metadata.language(&linked),
            author: (!authors.is_empty()).then(|| authors.join(", ")),
            authors,
            description: metadata.description(&linked),
            published_at: metadata.published_at(&linked),
            modified_at: metadata.modified_at(&linked),
            image: metadata.image(&linked).and_then(|src| links::resolve(base, src.trim())),
            site_name: metadata.site_name(&linked),
            canonical: metadata.canonical().and_then(|href| links::resolve(base, href.trim())),
            noindex: metadata.robots("noindex"),
            nofollow: metadata.robots("nofollow"),
            text: rendered.text,
            markdown: rendered.markdown,
            blocks: rendered.blocks,
            truncated: Truncated { links: resolved.truncated, ..rendered.truncated },
            links: resolved.links,
            page_type: Some(page_type),
            ..Content::default()
        })
    }
}

/// The main content, or everything visible if the rules select no text.
fn content_of(
    tree: &mut Tree<'_>,
    links: &ResolvedLinks,
    options: &ExtractOptions,
    page_type: PageType,
    limit: usize,
) -> Rendered {
    let mut removed = selector::matching(tree, &options.remove);
    if !options.tables {
        removed.extend(table::data_tables(tree));
    }
    for at in removed {
        tree.nodes[at].hints.add(Hints::HIDDEN);
    }
    let kept = selector::matching(tree, &options.keep);
    let selection = if kept.is_empty() {
        main_content::select(tree, options, page_type)
    } else {
        main_content::only(tree, &kept)
    };
    let rendered = render::render(tree, &selection, links, options, limit);
    if !rendered.text.is_empty() || !kept.is_empty() {
        return rendered;
    }
    render::render(tree, &main_content::whole(tree), links, options, limit)
}

fn without_markup(rendered: Rendered) -> Content {
    Content {
        title: plain::title(&rendered),
        text: rendered.text,
        markdown: rendered.markdown,
        blocks: rendered.blocks,
        truncated: rendered.truncated,
        ..Content::default()
    }
}

/// The format by the media type, or sniffed if there is none.
fn format(input: &Input<'_>, source: &str) -> Result<Format, ExtractError> {
    let media_type = input
        .content_type
        .and_then(|value| value.split(';').next())
        .map(|media| media.trim().to_ascii_lowercase());
    match media_type.filter(|media| !media.is_empty() && media != "application/octet-stream") {
        None => Ok(Format::sniff(source)),
        Some(media_type) => Format::of(&media_type)
            .ok_or_else(|| ExtractError::UnsupportedType { url: input.url.clone(), media_type }),
    }
}

/// Calls `each` for the tokens of `source` outside `template` elements, until it fails. The content
/// of a template is not part of the document, unless it is the shadow tree of its parent.
fn outside_templates<'a, E>(
    source: &'a str,
    xml: bool,
    mut each: impl FnMut(&Token<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut depth = 0_u32;
    for token in Tokens::new(source, xml) {
        match &token {
            Token::Start(start) if start.tag == Tag::Template => {
                let shadow = start.attributes.get("shadowrootmode").is_some();
                depth += u32::from(depth > 0 || !shadow);
            }
            Token::End(Tag::Template, _) => depth = depth.saturating_sub(1),
            _ if depth == 0 => each(&token)?,
            _ => {}
        }
    }
    Ok(())
}
