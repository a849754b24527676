//! The lists that are open while a document is rendered, and the numbers of their items.
//!
//! Numbers are those of the page: `start`, `reversed` and the `value` of an item count. An item
//! without text is counted though nothing is written for it.

use super::markdown::{Container, ContainerKind};
use super::tag::Tag;
use super::tree::{Node, Tree};

/// An open list.
#[derive(Debug)]
struct List {
    /// The number of its next item, if it counts.
    next: Option<i64>,
    /// By how much the numbers grow.
    step: i64,
    /// How many containers are around it.
    depth: usize,
    /// Its last item.
    last: Option<Container>,
}

/// The open lists, outermost first.
#[derive(Debug, Default)]
pub(super) struct Lists {
    open: Vec<List>,
}

impl Lists {
    /// Opens the list at `at`, `depth` containers deep. A list directly in another belongs to its
    /// last item, which is returned.
    pub(super) fn begin(&mut self, tree: &Tree<'_>, at: usize, depth: usize) -> Option<Container> {
        let outer = self.open.last().filter(|list| list.depth == depth).and_then(|list| list.last);
        let node = &tree.nodes[at];
        let (mut next, mut step) = (None, 1);
        if node.tag == Tag::Ol {
            let attributes = tree.attributes(node);
            let start = attributes.get("start").and_then(|start| start.trim().parse().ok());
            if attributes.get("reversed").is_some() {
                step = -1;
                next = Some(start.unwrap_or_else(|| items(tree, at)));
            } else {
                next = Some(start.unwrap_or(1));
            }
        }
        let depth = depth + usize::from(outer.is_some());
        self.open.push(List { next, step, depth, last: None });
        outer
    }

    /// Closes the innermost list.
    pub(super) fn end(&mut self) {
        self.open.pop();
    }

    /// The container of the item at `at`.
    pub(super) fn item(&mut self, tree: &Tree<'_>, at: usize) -> Container {
        let value = || tree.attributes(&tree.nodes[at]).get("value")?.trim().parse().ok();
        let mut number = None;
        let list = self.open.last_mut();
        if let Some(list) = &list
            && let Some(next) = list.next
        {
            number = Some(value().unwrap_or(next));
        }
        let container = Container { element: at, kind: ContainerKind::Item(number) };
        if let Some(list) = list {
            list.next = number.map(|number: i64| number.saturating_add(list.step));
            list.last = Some(container);
        }
        container
    }
}

/// How many items a list has of its own.
fn items(tree: &Tree<'_>, list: usize) -> i64 {
    let is_item = |node: &&Node| node.tag == Tag::Li && node.parent() == list;
    let count = tree.nodes[list + 1..tree.nodes[list].end()].iter().filter(is_item).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}
