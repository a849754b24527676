//! Which part of a page is its content.

use super::signs::Signs;
use super::tag::Tag;
use super::tree::Tree;

/// The part of a tree that is content.
#[derive(Debug)]
pub(super) struct Selection {
    /// The node whose subtree is content.
    pub(super) root: usize,
    /// Nodes whose subtrees are not.
    dropped: Vec<bool>,
}

impl Selection {
    /// Whether the subtree of a node is left out.
    pub(super) fn is_dropped(&self, node: usize) -> bool {
        self.dropped.get(node).copied().unwrap_or(true)
    }
}

/// Chooses the content of a page.
pub(super) fn select(tree: &Tree<'_>) -> Selection {
    let sizes = text_sizes(tree, |_| false);
    let mut dropped = vec![false; tree.nodes.len()];
    let total = sizes[0];
    for (at, node) in tree.nodes.iter().enumerate().skip(1) {
        dropped[at] = !node.is_text()
            && (is_never_content(tree, at) || is_boilerplate(tree, at, sizes[at], total));
    }
    let root = choose_root(tree, &dropped);
    Selection { root, dropped }
}

/// Everything a reader can see, for pages in which nothing stands out.
pub(super) fn whole(tree: &Tree<'_>) -> Selection {
    let dropped = (0..tree.nodes.len()).map(|at| is_never_content(tree, at)).collect();
    Selection { root: 0, dropped }
}

/// Bytes of text inside every node, without the subtrees for which `skip` holds.
fn text_sizes(tree: &Tree<'_>, skip: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut sizes = vec![0; tree.nodes.len()];
    for at in (1..tree.nodes.len()).rev() {
        let node = &tree.nodes[at];
        if skip(at) {
            sizes[at] = 0;
            continue;
        }
        if node.is_text() {
            sizes[at] = node.length();
        }
        sizes[node.parent()] += sizes[at];
    }
    sizes
}

fn is_never_content(tree: &Tree<'_>, at: usize) -> bool {
    let node = &tree.nodes[at];
    node.signs.has(Signs::HIDDEN)
        || matches!(
            node.tag,
            Tag::Noscript
                | Tag::Template
                | Tag::Select
                | Tag::Datalist
                | Tag::Canvas
                | Tag::Audio
                | Tag::Video
                | Tag::Rp
                | Tag::Progress
                | Tag::Meter
        )
}

fn is_boilerplate(tree: &Tree<'_>, at: usize, size: usize, total: usize) -> bool {
    let node = &tree.nodes[at];
    let by_kind = matches!(
        node.tag,
        Tag::Nav | Tag::Aside | Tag::Footer | Tag::Header | Tag::Dialog | Tag::Menu | Tag::Button
    ) || node.signs.has(Signs::BOILERPLATE_ROLE);
    let by_name = node.signs.has(Signs::BOILERPLATE) && !node.signs.has(Signs::MAIN);
    by_kind && size * 10 < total * 8 || by_name && size * 10 < total * 4
}

fn choose_root(tree: &Tree<'_>, dropped: &[bool]) -> usize {
    let sizes = text_sizes(tree, |at| dropped[at]);
    let mains = (1..tree.nodes.len()).filter(|at| tree.nodes[*at].signs.has(Signs::MAIN));
    mains.max_by_key(|at| sizes[*at]).filter(|at| sizes[*at] * 3 > sizes[0]).unwrap_or(0)
}
