//! JSON-LD: what a page says of itself in `<script type="application/ld+json">`.
//!
//! [`Scripts`] collects the scripts from tokens and [`Scripts::read`] parses them, leniently
//! (`json`), into one flat [`Graph`]. [`LinkedData`] is the typed reading of that graph: the works
//! the page is about, posts of a discussion, a product, and the site. Its texts are as written
//! until they are asked for, so that a long `articleBody` costs nothing where it is not used.
//!
//! # Rules
//! - Roots are the values of the scripts, the items of arrays and of `@graph`, and `mainEntity` and
//!   `mainEntityOfPage` of those. What is nested elsewhere (a list of other stories, say) describes
//!   something else than the page.
//! - An object of nothing but an `@id` stands for the object with that `@id`.
//! - A value may be an array, or wrapped in `@value`, `@list` or `@set`.
//! - Only types are compared without the address of their vocabulary.
//!
//! # Bounds
//! [`MAX_BYTES`] and [`MAX_SCRIPTS`] are read, [`MAX_NODES`] values are kept, and no walk visits a
//! value more than once for each rule.

mod graph;
mod json;
mod work;

use std::borrow::Cow;

use self::graph::Object;
pub(super) use self::graph::{Graph, Text};
pub(super) use self::work::{Post, Product, Work};
use super::tag::Tag;
use super::token::Token;

/// How many bytes of scripts are read in all; a script that goes beyond is not read.
const MAX_BYTES: usize = 4 << 20;
/// How many scripts are read.
const MAX_SCRIPTS: usize = 64;
/// How many values are read in all.
const MAX_NODES: usize = 200_000;
/// How many roots are looked at.
const MAX_ROOTS: usize = 1000;
/// How many works are kept.
const MAX_WORKS: usize = 16;
/// How many names of types are kept.
const MAX_TYPES: usize = 64;

/// The scripts of a page, collected from tokens.
#[derive(Debug, Default)]
pub(super) struct Scripts<'a> {
    sources: Vec<&'a str>,
    bytes: usize,
    /// The script being read is JSON-LD.
    inside: bool,
}

impl<'a> Scripts<'a> {
    /// Reads one token.
    pub(super) fn token(&mut self, token: &Token<'a>) {
        match token {
            Token::Start(start) if start.tag == Tag::Script => {
                let kind = start.attributes.get("type").unwrap_or_default();
                let media_type = kind.split(';').next().unwrap_or_default().trim();
                self.inside = media_type.eq_ignore_ascii_case("application/ld+json");
            }
            Token::Raw(Tag::Script, source) if self.inside => {
                self.inside = false;
                if self.sources.len() < MAX_SCRIPTS && source.len() <= MAX_BYTES - self.bytes {
                    self.bytes += source.len();
                    self.sources.push(source);
                }
            }
            _ => {}
        }
    }

    /// Parses the scripts.
    pub(super) fn read(&self) -> Graph<'a> {
        let mut nodes = Vec::new();
        for source in &self.sources {
            json::parse(source, MAX_NODES, &mut nodes);
        }
        Graph::new(nodes)
    }
}

/// The typed reading of a page's JSON-LD.
#[derive(Debug, Default)]
pub(super) struct LinkedData<'a> {
    /// Types of the roots, such as `NewsArticle`, in the order they stand.
    pub(super) types: Vec<Cow<'a, str>>,
    /// Things written: articles, postings, reviews, pages; the more telling kinds first.
    pub(super) works: Vec<Work<'a>>,
    /// The posts of a discussion, or a question and its answers, in the order they stand.
    pub(super) posts: Vec<Post<'a>>,
    /// The first product.
    pub(super) product: Option<Product<'a>>,
    /// Name of the site, or of the publisher of a work.
    pub(super) site_name: Option<Text<'a>>,
}

impl<'a> LinkedData<'a> {
    /// Reads what the roots of `graph` say.
    pub(super) fn of(graph: &Graph<'a>) -> Self {
        let mut data = Self::default();
        let mut publisher = None;
        for root in graph.roots(&["@graph", "mainEntity", "mainEntityOfPage"], MAX_ROOTS) {
            for kind in root.types() {
                if data.types.len() < MAX_TYPES && !data.types.contains(&kind) {
                    data.types.push(kind);
                }
            }
            if root.is_a("WebSite") && data.site_name.is_none() {
                data.site_name = root.text("name");
            }
            if root.is_a("Product") && data.product.is_none() {
                data.product = Some(Product::of(&root));
            }
            work::collect_posts(&root, &mut data.posts);
            if data.works.len() < MAX_WORKS
                && let Some(work) = Work::of(&root)
            {
                publisher = publisher.or_else(|| publisher_name(&root));
                data.works.push(work);
            }
        }
        data.works.sort_by_key(|work| work.rank);
        data.site_name = data.site_name.or(publisher);
        data
    }
}

/// The name of the organisation that publishes `work`.
fn publisher_name<'a>(work: &Object<'a, '_>) -> Option<Text<'a>> {
    work.objects("publisher").find_map(|publisher| publisher.text("name"))
}

#[cfg(test)]
mod tests;
