//! Small signs in a line: handles that lead into the page, and quotation marks.

use super::entities::{self, Place};
use super::tag::Tag;
use super::tree::{Node, Tree};

/// Most nodes of a link that is looked at whether it is a handle.
const MAX_HANDLE_NODES: usize = 8;

/// Whether the link at `at` leads into the page and has no letter or digit: a handle for copying or
/// going back. A mark above the line is a note's.
pub(super) fn is_handle(tree: &Tree<'_>, at: usize) -> bool {
    let node = &tree.nodes[at];
    let own = &tree.nodes[at + 1..node.end()];
    let mut texts = own.iter().filter(|node| node.is_text()).peekable();
    own.len() <= MAX_HANDLE_NODES
        && texts.peek().is_some()
        && texts.all(|text| {
            let text = entities::decode(tree.text(text), Place::Text);
            !text.contains(char::is_alphanumeric)
        })
        && !own.iter().any(|node| node.tag == Tag::Sup)
        && tree.attributes(node).get("href").is_some_and(|href| is_in_page(&href))
}

/// Whether a reference leads into the page that it stands on.
pub(super) fn is_in_page(href: &str) -> bool {
    href.trim_start().starts_with('#')
}

/// The marks around the quotation at `at`, `depth` deep; none where the page wrote its own.
pub(super) fn quotation_marks(
    tree: &Tree<'_>,
    at: usize,
    depth: u8,
) -> (&'static str, &'static str) {
    let own = tree.nodes[at + 1..tree.nodes[at].end()].iter().find(|node| node.is_text());
    let quoted = |node: &Node| {
        let text = entities::decode(tree.text(node), Place::Text);
        text.trim_start().starts_with(['"', '“', '„', '«', '»', '‘', '\'', '「', '『', '”'])
    };
    match own {
        Some(node) if !quoted(node) && depth % 2 == 1 => ("“", "”"),
        Some(node) if !quoted(node) => ("‘", "’"),
        _ => ("", ""),
    }
}
