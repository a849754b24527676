//! Selecting the main content of a page.
//!
//! The rules look at structure, at text sizes and at general web vocabulary ([`super::hints`]),
//! never at particular sites:
//!
//! 1. Invisible elements and controls are dropped. `noscript` is, too, unless it holds more prose
//!    than everything that scripts leave visible.
//! 2. Elements whose kind or role says that they are not content (navigation, asides, footers,
//!    headers, forms) are dropped. Inside `main` or an article a header belongs to what follows it
//!    and an aside to its surroundings, unless they are mostly links; inside a quotation a footer
//!    is its attribution.
//! 3. Elements are dropped whose names say that they are not content, if what they hold says so
//!    too: links, or no prose. Names never drop a heading: an id is often made of its words.
//!    In both steps a guard keeps what holds too large a share of the page's prose, since pages
//!    misuse such kinds and names for wrappers.
//! 4. The content is inside `main` where it holds enough of what is left. From there the choice
//!    descends into the child with nearly all of the prose, as long as little is lost beside it: so
//!    an article is cut out of its surroundings, and a listing of many equal parts stays whole. The
//!    title that stands before it in `main` is kept.
//! 5. In a page of prose, blocks that consist mostly of links are dropped, unless the text
//!    announces them.
//!
//! The percentages were tuned on the development pages of the WCXB benchmark.

use super::hints::Hints;
use super::options::ExtractOptions;
use super::tag::Tag;
use super::tree::{Node, Tree};
use crate::model::{Comments, Favour, PageKind, PageType};

/// Shortest run of text outside links that counts as prose, in bytes.
const MIN_PROSE_BYTES: usize = 60;
/// An element that is boilerplate by its kind is kept if it holds more of the prose than this.
const KIND_GUARD_PERCENT: usize = 50;
/// The same for one that is boilerplate by its names.
const NAME_GUARD_PERCENT: usize = 15;

/// The same for its share of the text, prose or not.
const NAME_TEXT_GUARD_PERCENT: usize = 60;
/// Comments are kept if less of the prose than this is outside them: then they are the content.
const COMMENTS_GUARD_PERCENT: usize = 45;
/// Least share of the text that `main` must hold to be the content's place.
const MAIN_PERCENT: usize = 33;
/// Least share of the prose that a child must hold to be descended into.
const DESCEND_PROSE_PERCENT: usize = 80;
/// Most text that may be lost by descending, as a share of the child's prose.
const DESCEND_LOSS_PERCENT: usize = 60;
/// A page counts as prose if prose is more than this share of its text.
const PROSE_PAGE_PERCENT: usize = 60;
/// A block counts as links if they are more than this share of its text.
const LINKS_PERCENT: usize = 80;
/// The same where precision is favoured.
const PRECISE_LINKS_PERCENT: usize = 50;
/// A page that is surely of one kind has this confidence, in percent.
const SURE_PERCENT: u8 = 60;
/// More links than this share of its text are a sign that an element is not content.
const MANY_LINKS_PERCENT: usize = 33;
/// Least prose of a `noscript` that may stand for the content, in bytes.
const MIN_NOSCRIPT_BYTES: usize = 400;
/// Text shorter than this, in bytes, may be a sign that names misled.
const LITTLE_TEXT_BYTES: usize = 250;

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

/// Selects the content of a page.
pub(super) fn select(tree: &Tree<'_>, options: &ExtractOptions, page_type: PageType) -> Selection {
    let mut dropped = not_seen(tree);
    if options.comments == Comments::Drop {
        drop_where(&mut dropped, tree, |node, _, _, _| node.hints.has(Hints::COMMENTS));
    }
    drop_where(&mut dropped, tree, is_boilerplate_by_kind);
    let by_kind = dropped.clone();
    let forum = page_type.kind == PageKind::Forum;
    let drop_comments = options.comments == Comments::ByPage && !forum;
    let before = drop_where(&mut dropped, tree, |node, size, page, _| {
        is_boilerplate_by_name(node, size, page, options.favour, drop_comments)
    });
    let after = sizes(tree, &dropped);
    if after[0].text < LITTLE_TEXT_BYTES && before[0].prose > 2 * after[0].text {
        dropped = by_kind;
    }
    let sizes = sizes(tree, &dropped);
    let top = main_element(tree, &sizes);
    // Shop windows and portraits of services have several parts, none of which is the content.
    let parts = matches!(page_type.kind, PageKind::Collection | PageKind::Service);
    let mut root = if parts { top } else { descend(tree, &dropped, &sizes, top) };
    let selection = &sizes[root];
    let prose_page = exceeds(selection.prose, PROSE_PAGE_PERCENT, selection.text);
    let most_links = match options.favour {
        Favour::Balance if is_surely_product(page_type) => Some(PRECISE_LINKS_PERCENT),
        Favour::Balance if prose_page => Some(LINKS_PERCENT),
        Favour::Precision => Some(PRECISE_LINKS_PERCENT),
        Favour::Balance | Favour::Recall => None,
    };
    if let Some(most_links) = most_links {
        for at in root + 1..tree.nodes[root].end() {
            dropped[at] |= is_link_block(&tree.nodes[at], &sizes[at], most_links)
                && !is_announced(tree, &sizes, at);
        }
    }
    root = with_title(&mut dropped, tree, top, root);
    Selection { root, dropped }
}

/// Everything visible, for pages without a recognisable main content.
pub(super) fn whole(tree: &Tree<'_>) -> Selection {
    let dropped = tree.nodes.iter().map(is_never_content).collect();
    Selection { root: 0, dropped }
}

/// The subtrees of the nodes `kept` (in document order), without what a reader does not see.
pub(super) fn only(tree: &Tree<'_>, kept: &[usize]) -> Selection {
    let mut wanted = vec![false; tree.nodes.len()];
    let mut behind = 0;
    for &at in kept {
        if at < behind {
            continue;
        }
        behind = tree.nodes[at].end();
        wanted[at..behind].fill(true);
        let mut around = tree.nodes[at].parent();
        while !std::mem::replace(&mut wanted[around], true) {
            around = tree.nodes[around].parent();
        }
    }
    let nodes = tree.nodes.iter().zip(wanted);
    let dropped = nodes.map(|(node, wanted)| !wanted || is_never_content(node)).collect();
    Selection { root: 0, dropped }
}

/// How much text a subtree holds, in bytes as written.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// All of it.
    text: usize,
    /// In links.
    linked: usize,
    /// Outside links, in runs long enough to be prose.
    prose: usize,
    /// How many elements are named as comments, or are parts of forms.
    replies: usize,
}

/// Where an element stands.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Inside `main` or an article.
    content: bool,
    /// Inside a quotation or a figure.
    quotation: bool,
}

/// Follows the places of elements through a document.
#[derive(Debug, Default)]
struct Places {
    content_end: usize,
    quotation_end: usize,
}

impl Places {
    /// The place of the node at `at`; nodes come in order.
    fn enter(&mut self, at: usize, node: &Node) -> Place {
        let place = Place { content: at < self.content_end, quotation: at < self.quotation_end };
        if node.tag == Tag::Article || node.hints.has(Hints::MAIN) {
            self.content_end = self.content_end.max(node.end());
        } else if matches!(node.tag, Tag::Blockquote | Tag::Figure) {
            self.quotation_end = self.quotation_end.max(node.end());
        }
        place
    }
}

/// Whether `part` is more than `percent` of `whole`.
const fn exceeds(part: usize, percent: usize, whole: usize) -> bool {
    part * 100 > whole * percent
}

/// Bytes of prose in a run of text.
const fn prose_of(node: &Node) -> usize {
    let prose = node.is_text() && !node.is_in_link() && node.length() >= MIN_PROSE_BYTES;
    if prose { node.length() } else { 0 }
}

fn is_reply_part(node: &Node) -> bool {
    node.hints.has(Hints::COMMENTS) || matches!(node.tag, Tag::Form | Tag::Label)
}

/// Sizes of all subtrees, without those that are dropped.
fn sizes(tree: &Tree<'_>, dropped: &[bool]) -> Vec<Size> {
    let mut sizes = vec![Size::default(); tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().skip(1).rev() {
        if dropped[at] {
            sizes[at] = Size::default();
            continue;
        }
        if node.is_text() {
            let text = node.length();
            let linked = if node.is_in_link() { text } else { 0 };
            sizes[at] = Size { text, linked, prose: prose_of(node), replies: 0 };
        }
        sizes[at].replies += usize::from(is_reply_part(node));
        let Size { text, linked, prose, replies } = sizes[at];
        let parent = &mut sizes[node.parent()];
        parent.text += text;
        parent.linked += linked;
        parent.prose += prose;
        parent.replies += replies;
    }
    sizes
}

/// Drops the elements for which `rule` holds, given their size and that of the page, and returns
/// the sizes before.
fn drop_where(
    dropped: &mut [bool],
    tree: &Tree<'_>,
    rule: impl Fn(&Node, &Size, &Size, Place) -> bool,
) -> Vec<Size> {
    let sizes = sizes(tree, dropped);
    let mut places = Places::default();
    for (at, node) in tree.nodes.iter().enumerate().skip(1) {
        let place = places.enter(at, node);
        dropped[at] |= !node.is_text() && rule(node, &sizes[at], &sizes[0], place);
    }
    sizes
}

/// Nodes that a reader does not see, and controls.
fn not_seen(tree: &Tree<'_>) -> Vec<bool> {
    let mut dropped: Vec<bool> = tree.nodes.iter().map(is_never_content).collect();
    keep_noscript(&mut dropped, tree);
    // Pages that show themselves only when their scripts have run hide nearly everything this way.
    drop_where(&mut dropped, tree, |node, size, page, _| {
        node.hints.has(Hints::INVISIBLE) && !exceeds(size.text, 50, page.text)
    });
    dropped
}

/// Keeps each `noscript` with more prose than all that is visible where scripts run: a page that
/// they fill has its content there, if it has any.
fn keep_noscript(dropped: &mut [bool], tree: &Tree<'_>) {
    let shown = sizes(tree, dropped)[0].prose;
    let mut at = 1;
    while let Some(node) = tree.nodes.get(at) {
        if node.tag != Tag::Noscript || node.hints.has(Hints::HIDDEN) {
            at += 1;
            continue;
        }
        let prose: usize = tree.nodes[at..node.end()].iter().map(prose_of).sum();
        dropped[at] &= prose < MIN_NOSCRIPT_BYTES || prose <= shown;
        at = node.end();
    }
}

fn is_never_content(node: &Node) -> bool {
    use Tag::{Audio, Canvas, Datalist, Meter, Noscript, Progress, Rp, Select, Template, Video};
    node.hints.has(Hints::HIDDEN)
        || matches!(
            node.tag,
            Audio
                | Canvas
                | Datalist
                | Meter
                | Noscript
                | Progress
                | Rp
                | Select
                | Template
                | Video
        )
}

fn is_boilerplate_by_kind(node: &Node, size: &Size, page: &Size, place: Place) -> bool {
    use Tag::{Aside, Button, Dialog, Footer, Header, Menu, Nav};
    let belongs = match node.tag {
        Header => place.content && !has_many_links(size),
        Aside => place.content && !has_many_links(size) && size.prose > 0,
        Footer => place.quotation,
        _ => false,
    };
    if belongs {
        return false;
    }
    let by_kind = matches!(node.tag, Aside | Button | Dialog | Footer | Header | Menu | Nav)
        || node.hints.has(Hints::BOILERPLATE_ROLE);
    by_kind && !exceeds(size.prose, KIND_GUARD_PERCENT, page.prose)
}

fn is_boilerplate_by_name(
    node: &Node,
    size: &Size,
    page: &Size,
    favour: Favour,
    drop_comments: bool,
) -> bool {
    if node.hints.has(Hints::MAIN) || node.tag.heading_level().is_some() {
        return false;
    }
    let comments = drop_comments
        && node.hints.has(Hints::COMMENTS)
        && size.replies > 1
        && exceeds(page.prose - size.prose, COMMENTS_GUARD_PERCENT, page.prose);
    if comments {
        return true;
    }
    if favour == Favour::Recall {
        return false;
    }
    // Some frameworks wrap the whole page in a form.
    let form = matches!(node.tag, Tag::Form | Tag::Fieldset | Tag::Legend | Tag::Label);
    let named = node.hints.has(Hints::BOILERPLATE) && looks_like_boilerplate(node, size);
    (form || named)
        && !exceeds(size.prose, NAME_GUARD_PERCENT, page.prose)
        && !exceeds(size.text, NAME_TEXT_GUARD_PERCENT, page.text)
}

/// Whether what an element holds looks like boilerplate: mostly links, or nothing that reads as
/// prose. Data and code are no prose but do not look so either.
fn looks_like_boilerplate(node: &Node, size: &Size) -> bool {
    match node.tag {
        Tag::Ul | Tag::Ol | Tag::Dl => true,
        Tag::Pre | Tag::Table | Tag::Tbody | Tag::Td | Tag::Th | Tag::Tr => has_many_links(size),
        _ => has_many_links(size) || size.prose == 0,
    }
}

const fn has_many_links(size: &Size) -> bool {
    exceeds(size.linked, MANY_LINKS_PERCENT, size.text)
}

/// The largest `main`, if it holds enough; else the whole document.
fn main_element(tree: &Tree<'_>, sizes: &[Size]) -> usize {
    (1..tree.nodes.len())
        .filter(|at| tree.nodes[*at].hints.has(Hints::MAIN))
        .max_by_key(|at| sizes[*at].text)
        .filter(|at| exceeds(sizes[*at].text, MAIN_PERCENT, sizes[0].text))
        .unwrap_or(0)
}

/// Goes down from `root` while one child holds nearly all.
fn descend(tree: &Tree<'_>, dropped: &[bool], sizes: &[Size], mut root: usize) -> usize {
    while let Some(child) = largest_child(tree, dropped, sizes, root) {
        let (whole, part) = (&sizes[root], &sizes[child]);
        let lost = whole.text - part.text;
        if part.prose == 0
            || exceeds(whole.prose * DESCEND_PROSE_PERCENT / 100, 100, part.prose)
            || exceeds(lost, DESCEND_LOSS_PERCENT, part.prose)
            || !is_container(tree.nodes[child].tag)
            || loses_linked_heading(tree, dropped, root, child)
        {
            break;
        }
        root = child;
    }
    root
}

/// Whether going down from `root` to `child` loses a heading that links to itself. Documents make
/// their chapters' headings so, other pages do not.
fn loses_linked_heading(tree: &Tree<'_>, dropped: &[bool], root: usize, child: usize) -> bool {
    let end = tree.nodes[root].end();
    let mut at = root + 1;
    let mut heading_end = 0;
    while at < end {
        let node = &tree.nodes[at];
        if at == child || dropped[at] {
            at = node.end();
            continue;
        }
        if node.tag.heading_level().is_some_and(|level| level > 1) {
            heading_end = node.end();
        } else if at < heading_end && node.tag == Tag::A {
            let href = tree.attributes(node).get("href");
            if href.is_some_and(|href| href.starts_with('#')) {
                return true;
            }
        }
        at += 1;
    }
    false
}

/// Whether a page sells one thing: what it links to is something else.
const fn is_surely_product(page_type: PageType) -> bool {
    matches!(page_type.kind, PageKind::Product) && page_type.confidence >= SURE_PERCENT
}

/// Takes the title before `root` into the selection, and returns the new root.
fn with_title(dropped: &mut [bool], tree: &Tree<'_>, top: usize, root: usize) -> usize {
    let Some(title) = title_before(tree, dropped, top, root) else { return root };
    let mut outer = tree.nodes[title].parent();
    while tree.nodes[outer].end() < tree.nodes[root].end() {
        outer = tree.nodes[outer].parent();
    }
    drop_but(dropped, tree, outer, [title, root]);
    outer
}

/// The title in `main` that the descent from `top` to `root` has passed last: an `h1`, or a header
/// with a heading.
fn title_before(tree: &Tree<'_>, dropped: &[bool], top: usize, root: usize) -> Option<usize> {
    if !tree.nodes[top].hints.has(Hints::MAIN) {
        return None;
    }
    let has_heading = |at: usize| {
        let inside = &tree.nodes[at..tree.nodes[at].end()];
        inside.iter().any(|node| node.tag.heading_level().is_some())
    };
    let mut at = top + 1;
    let mut last = None;
    while at < root {
        let node = &tree.nodes[at];
        if dropped[at] {
            at = node.end();
        } else if matches!(node.tag, Tag::H1 | Tag::Header) && node.end() <= root {
            last = has_heading(at).then_some(at).or(last);
            at = node.end();
        } else {
            at += 1;
        }
    }
    last
}

/// Drops what is inside `outer` but not inside `kept`, which are in order.
fn drop_but(dropped: &mut [bool], tree: &Tree<'_>, outer: usize, kept: [usize; 2]) {
    let mut at = outer + 1;
    while at < tree.nodes[outer].end() {
        let end = tree.nodes[at].end();
        if kept.contains(&at) {
            at = end;
        } else if kept.iter().any(|kept| (at..end).contains(kept)) {
            at += 1;
        } else {
            dropped[at] = true;
            at = end;
        }
    }
}

/// The child element with most prose.
fn largest_child(
    tree: &Tree<'_>,
    dropped: &[bool],
    sizes: &[Size],
    parent: usize,
) -> Option<usize> {
    let end = tree.nodes[parent].end();
    let mut largest: Option<usize> = None;
    let mut at = parent + 1;
    while at < end {
        let element = !dropped[at] && !tree.nodes[at].is_text();
        if element && largest.is_none_or(|largest| sizes[largest].prose < sizes[at].prose) {
            largest = Some(at);
        }
        at = tree.nodes[at].end();
    }
    largest
}

/// Whether an element may stand for the whole content: not a block of text or a part of a list or
/// table.
fn is_container(tag: Tag) -> bool {
    use Tag::{Blockquote, Dl, Li, Ol, P, Pre, Td, Th, Tr, Ul};
    !matches!(tag, Blockquote | Dl | Li | Ol | P | Pre | Td | Th | Tr | Ul)
        && tag.heading_level().is_none()
        && !tag.is_formatting()
}

/// Whether an element groups links and hardly anything else.
fn is_link_block(node: &Node, size: &Size, most_links: usize) -> bool {
    matches!(node.tag, Tag::Ul | Tag::Div | Tag::Section)
        && size.prose == 0
        && exceeds(size.linked, most_links, size.text)
}

/// Whether a list of links belongs to a text: it stands beside prose, right after a heading or a
/// paragraph that ends with a colon.
fn is_announced(tree: &Tree<'_>, sizes: &[Size], list: usize) -> bool {
    let parent = tree.nodes[list].parent();
    if sizes[parent].prose == 0 || list == parent + 1 {
        return false;
    }
    let mut before = list - 1;
    while tree.nodes[before].parent() != parent {
        before = tree.nodes[before].parent();
    }
    let node = &tree.nodes[before];
    let colon = || {
        let words = tree.nodes[before..list].last();
        words.is_some_and(|words| tree.text(words).trim_end().ends_with(':'))
    };
    node.tag.heading_level().is_some() || node.tag == Tag::P && colon()
}
