//! Sections that are named after their headings.
//!
//! `<section id="filters"><h2>Filters</h2>` is a chapter on filters and not the filters of a list:
//! its id repeats its heading, as generators of documents make them, and says nothing about its
//! role. Classes are not made so.

use super::hints::Hints;
use super::tree::Tree;

/// How many elements may stand around a heading at the start of its section.
const MAX_WRAPPERS: usize = 3;

/// Takes the roles that ids suggest from the elements whose ids repeat their headings.
pub(super) fn clear_title_hints(tree: &mut Tree<'_>) {
    for at in 0..tree.nodes.len() {
        let hints = tree.nodes[at].hints;
        if hints.has(Hints::NAMED) && !hints.has(Hints::NAMED_BY_CLASS) && repeats_heading(tree, at)
        {
            tree.nodes[at].hints.remove(Hints::NAMED);
        }
    }
}

/// Whether the id of the element at `at` is its heading, or begins with it.
fn repeats_heading(tree: &Tree<'_>, at: usize) -> bool {
    let inside = at + 1..tree.nodes[at].end();
    let heading = inside
        .take(1 + MAX_WRAPPERS)
        .take_while(|inner| !tree.nodes[*inner].is_text())
        .find(|inner| tree.nodes[*inner].tag.heading_level().is_some());
    let (Some(heading), Some(id)) = (heading, tree.attributes(&tree.nodes[at]).get("id")) else {
        return false;
    };
    let texts = tree.nodes[heading + 1..tree.nodes[heading].end()].iter();
    let mut title = texts.filter(|node| node.is_text()).flat_map(|node| letters(tree.text(node)));
    let mut letters_of_id = letters(&id);
    let Some(first) = title.next() else { return false };
    letters_of_id.next() == Some(first) && title.all(|letter| letters_of_id.next() == Some(letter))
}

/// The ASCII letters and digits of a text, in lower case.
fn letters(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::token::Tokens;
    use super::super::tree::TreeBuilder;
    use super::*;

    fn is_named(source: &str) -> bool {
        let mut builder = TreeBuilder::new(source, 512, 1 << 20);
        for token in Tokens::new(source, false) {
            builder.token(&token).unwrap();
        }
        let mut tree = builder.finish();
        clear_title_hints(&mut tree);
        tree.nodes[1].hints.has(Hints::NAMED)
    }

    #[test]
    fn an_id_that_repeats_the_heading_names_no_role() {
        for section in [
            "<section id=filters><h2>Filters</h2>",
            "<section id=input-format><h2>Input <code>format</code><a href=#x>¶</a></h2>",
            "<div id='share(java.lang.String)'><header><h3>share</h3></header>",
            "<section id=comments><h2>Comments</h2>",
        ] {
            assert!(!is_named(section), "{section}");
        }
        for other in [
            "<div id=related><h2>Related posts</h2>",
            "<div id=filters class=filters><h2>Filters</h2>",
            "<div id=filters>Choose <h2>Filters</h2>",
            "<div id=filters><h2></h2>",
            "<div id=filters>",
            "<div class=filters><h2>Filters</h2>",
        ] {
            assert!(is_named(other), "{other}");
        }
    }
}
