//! The document as a flat tree: nodes in document order, each knowing where its subtree ends.
//!
//! Every walk over it is a loop over an array, so no input can exhaust the stack. The builder
//! follows the HTML standard where pages depend on it (implied end tags, table structure,
//! misnested formatting, foreign content) and differs where it does not matter for text: nothing
//! is moved out of tables, and formatting is not reopened in the next block. Elements nested
//! deeper than the limit become siblings of the deepest that fit, as browsers do it.

use super::hints::{self, Hints};
use super::tag::Tag;
use super::token::{Attributes, StartTag, Token};

/// White space stands before this node.
const SPACE_BEFORE: u8 = 1;
/// A run of text.
const TEXT: u8 = 2;
/// Text without character references.
const LITERAL: u8 = 4;
/// Text inside a link.
const IN_LINK: u8 = 8;
/// White space of this text counts.
const PREFORMATTED: u8 = 16;

/// An element or a run of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Which element; [`Tag::Other`] for text.
    pub(super) tag: Tag,
    flags: u8,
    /// What the attributes say about its role in the page.
    pub(super) hints: Hints,
    parent: u32,
    end: u32,
    start: u32,
    length: u32,
}

impl Node {
    /// A run of text, not an element.
    pub(super) const fn is_text(&self) -> bool {
        self.flags & TEXT != 0
    }

    /// White space stands before it.
    pub(super) const fn has_space_before(&self) -> bool {
        self.flags & SPACE_BEFORE != 0
    }

    /// Text inside a link.
    pub(super) const fn is_in_link(&self) -> bool {
        self.flags & IN_LINK != 0
    }

    /// Text whose character references are characters.
    pub(super) const fn is_literal(&self) -> bool {
        self.flags & LITERAL != 0
    }

    /// Text inside `pre`.
    pub(super) const fn is_preformatted(&self) -> bool {
        self.flags & PREFORMATTED != 0
    }

    /// Bytes of the text as written.
    pub(super) const fn length(&self) -> usize {
        self.length as usize
    }

    /// Index of the parent; the root is its own.
    pub(super) const fn parent(&self) -> usize {
        self.parent as usize
    }

    /// Index after the last node inside this one.
    pub(super) const fn end(&self) -> usize {
        self.end as usize
    }
}

/// A document whose node 0 is the root.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    source: &'a str,
    /// In document order.
    pub(super) nodes: Vec<Node>,
}

impl<'a> Tree<'a> {
    /// The text of a run as written.
    pub(super) fn text(&self, node: &Node) -> &'a str {
        &self.source[node.start as usize..node.start as usize + node.length as usize]
    }

    /// The attributes of an element.
    pub(super) fn attributes(&self, node: &Node) -> Attributes<'a> {
        Attributes(self.text(node))
    }
}

/// There are more nodes than allowed.
#[derive(Debug)]
pub(super) struct TooManyNodes;

/// An element whose end has not been seen.
#[derive(Clone, Copy, Debug)]
struct Open<'a> {
    node: usize,
    tag: Tag,
    name: &'a str,
    /// False for a formatting element whose end tag came inside one of its blocks.
    alive: bool,
}

/// Builds a [`Tree`] from tokens.
#[derive(Debug)]
pub(super) struct TreeBuilder<'a> {
    source: &'a str,
    nodes: Vec<Node>,
    stack: Vec<Open<'a>>,
    /// How many of each are open, so that an end tag without a start costs nothing.
    open: [u32; Tag::COUNT],
    /// How many of each were flattened for their depth, so that their end tags close nothing else.
    flattened: [u32; Tag::COUNT],
    /// Inside `svg`: how many are open.
    foreign: u32,
    space: bool,
    max_depth: usize,
    max_nodes: usize,
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("invariant: sources and trees are shorter than 4 GiB")
}

impl<'a> TreeBuilder<'a> {
    /// A builder for the tokens of `source`, which is shorter than 4 GiB.
    pub(super) fn new(source: &'a str, max_depth: usize, max_nodes: usize) -> Self {
        let root = Node {
            tag: Tag::Html,
            flags: 0,
            hints: Hints::default(),
            parent: 0,
            end: 0,
            start: 0,
            length: 0,
        };
        Self {
            source,
            nodes: vec![root],
            stack: vec![Open { node: 0, tag: Tag::Html, name: "html", alive: true }],
            open: [0; Tag::COUNT],
            flattened: [0; Tag::COUNT],
            foreign: 0,
            space: false,
            max_depth: max_depth.max(1),
            max_nodes,
        }
    }

    /// Takes one token.
    pub(super) fn token(&mut self, token: &Token<'a>) -> Result<(), TooManyNodes> {
        match token {
            Token::Start(start) => self.start(start),
            Token::End(tag, name) => {
                self.end(*tag, name);
                if *tag == Tag::Br { self.leaf(Tag::Br, "") } else { Ok(()) }
            }
            Token::Text(text) => self.text(text, 0),
            Token::Literal(text) => self.text(text, LITERAL),
            Token::Raw(..) => Ok(()),
        }
    }

    /// The finished tree.
    pub(super) fn finish(mut self) -> Tree<'a> {
        self.pop_to(0);
        Tree { source: self.source, nodes: self.nodes }
    }

    fn is_open(&self, tag: Tag) -> bool {
        self.open[tag as usize] > 0
    }

    /// Appends a node without content and returns its index.
    fn push(&mut self, tag: Tag, flags: u8, text: &str) -> Result<usize, TooManyNodes> {
        let index = self.nodes.len();
        if index >= self.max_nodes {
            return Err(TooManyNodes);
        }
        let parent = self.stack.last().map_or(0, |open| open.node);
        let start = if text.is_empty() {
            0
        } else {
            text.as_ptr() as usize - self.source.as_ptr() as usize
        };
        let space = if self.space { SPACE_BEFORE } else { 0 };
        self.space = false;
        self.nodes.push(Node {
            tag,
            flags: flags | space,
            hints: Hints::default(),
            parent: narrow(parent),
            end: narrow(index + 1),
            start: narrow(start),
            length: narrow(text.len()),
        });
        Ok(index)
    }

    fn text(&mut self, text: &'a str, flags: u8) -> Result<(), TooManyNodes> {
        if self.foreign > 0 || text.is_empty() {
            return Ok(());
        }
        let preformatted = self.is_open(Tag::Pre);
        if !preformatted && text.bytes().all(|b| b.is_ascii_whitespace()) {
            self.space = true;
            return Ok(());
        }
        let link = if self.is_open(Tag::A) { IN_LINK } else { 0 };
        let preformatted = if preformatted { PREFORMATTED } else { 0 };
        self.push(Tag::Other, flags | TEXT | link | preformatted, text).map(drop)
    }

    fn leaf(&mut self, tag: Tag, attributes: &str) -> Result<(), TooManyNodes> {
        self.push(tag, 0, attributes).map(drop)
    }

    fn start(&mut self, start: &StartTag<'a>) -> Result<(), TooManyNodes> {
        let tag = start.tag;
        if self.foreign > 0 {
            if !tag.closes_paragraph() && tag != Tag::Table && tag != Tag::Span {
                self.foreign += u32::from(tag == Tag::Svg && !start.self_closing);
                return Ok(());
            }
            self.foreign = 0;
        }
        match tag {
            Tag::Html | Tag::Head | Tag::Body | Tag::Frameset => return Ok(()),
            Tag::Svg => {
                self.foreign = u32::from(!start.self_closing);
                return Ok(());
            }
            Tag::Br | Tag::Hr | Tag::Img | Tag::Source => {
                self.imply_ends(tag);
                return self.leaf(tag, start.attributes.0);
            }
            _ if tag.is_void() || tag.is_raw_text() => return Ok(()),
            Tag::Caption | Tag::Tbody | Tag::Thead | Tag::Tfoot | Tag::Tr | Tag::Td | Tag::Th
                if !self.is_open(Tag::Table) =>
            {
                return Ok(());
            }
            _ => {}
        }
        self.imply_ends(tag);
        let node = self.push(tag, 0, start.attributes.0)?;
        self.nodes[node].hints = hints::of(tag, start.attributes);
        if start.self_closing && self.is_open(Tag::Math) {
            return Ok(());
        }
        if self.stack.len() >= self.max_depth {
            self.flattened[tag as usize] += 1;
            return Ok(());
        }
        self.open[tag as usize] += 1;
        self.stack.push(Open { node, tag, name: start.name, alive: true });
        Ok(())
    }

    /// Ends what the start of `tag` ends without an end tag.
    fn imply_ends(&mut self, tag: Tag) {
        if tag.closes_paragraph() {
            self.close_within(Tag::P, |open| open.is_scope() || open == Tag::Button);
            if self.is_open(Tag::Select) {
                self.end(Tag::Select, "select");
            }
        }
        let top = self.stack.last().map_or(Tag::Html, |open| open.tag);
        match tag {
            Tag::Li => self.close_within(Tag::Li, ends_item_search),
            Tag::Dd | Tag::Dt => {
                self.close_within(Tag::Dd, |open| open == Tag::Dt || ends_item_search(open));
                self.close_within(Tag::Dt, ends_item_search);
            }
            Tag::A if self.is_open(Tag::A) => self.end(Tag::A, "a"),
            Tag::Button => self.close_within(Tag::Button, Tag::is_scope),
            Tag::Rt | Tag::Rp if matches!(top, Tag::Rt | Tag::Rp) => {
                self.pop_to(self.stack.len() - 1);
            }
            Tag::Option | Tag::Optgroup if top == Tag::Option => self.pop_to(self.stack.len() - 1),
            Tag::Td | Tag::Th => {
                self.close_in_table(|open| matches!(open, Tag::Td | Tag::Th | Tag::Caption));
            }
            Tag::Tr => self
                .close_in_table(|open| matches!(open, Tag::Td | Tag::Th | Tag::Tr | Tag::Caption)),
            Tag::Tbody | Tag::Thead | Tag::Tfoot | Tag::Caption => self.close_in_table(|open| {
                matches!(
                    open,
                    Tag::Td
                        | Tag::Th
                        | Tag::Tr
                        | Tag::Caption
                        | Tag::Tbody
                        | Tag::Thead
                        | Tag::Tfoot
                )
            }),
            _ if tag.heading_level().is_some() && top.heading_level().is_some() => {
                self.pop_to(self.stack.len() - 1);
            }
            _ => {}
        }
    }

    /// Closes the innermost open `tag` unless `barrier` stands inside it.
    fn close_within(&mut self, tag: Tag, barrier: impl Fn(Tag) -> bool) {
        if !self.is_open(tag) {
            return;
        }
        for at in (1..self.stack.len()).rev() {
            let open = self.stack[at].tag;
            if open == tag {
                self.pop_to(at);
                return;
            }
            if barrier(open) {
                return;
            }
        }
    }

    /// Closes the outermost element that `part` accepts inside the innermost table.
    fn close_in_table(&mut self, part: impl Fn(Tag) -> bool) {
        let mut outermost = None;
        for at in (1..self.stack.len()).rev() {
            let open = self.stack[at].tag;
            if open == Tag::Table {
                break;
            }
            if part(open) {
                outermost = Some(at);
            }
        }
        if let Some(at) = outermost {
            self.pop_to(at);
        }
    }

    fn end(&mut self, tag: Tag, name: &str) {
        if self.foreign > 0 {
            self.foreign -= u32::from(tag == Tag::Svg);
            return;
        }
        let flattened = &mut self.flattened[tag as usize];
        if *flattened > 0 {
            *flattened -= 1;
            return;
        }
        let heading = tag.heading_level().is_some();
        if !heading && !self.is_open(tag) {
            return;
        }
        let structure = matches!(
            tag,
            Tag::Table
                | Tag::Tbody
                | Tag::Thead
                | Tag::Tfoot
                | Tag::Tr
                | Tag::Td
                | Tag::Th
                | Tag::Caption
        );
        let mut crossed_block = false;
        for at in (1..self.stack.len()).rev() {
            let open = self.stack[at];
            let same =
                open.tag == tag && (tag != Tag::Other || open.name.eq_ignore_ascii_case(name));
            if open.alive && (same || heading && open.tag.heading_level().is_some()) {
                if crossed_block && tag.is_formatting() {
                    self.stack[at].alive = false;
                    self.open[tag as usize] -= 1;
                } else {
                    self.pop_to(at);
                }
                return;
            }
            if open.tag == Tag::Table || open.tag.is_scope() && !structure {
                return;
            }
            crossed_block |= !open.tag.is_formatting();
        }
    }

    /// Closes the open elements from `at` upwards.
    fn pop_to(&mut self, at: usize) {
        let end = narrow(self.nodes.len());
        for closed in self.stack.drain(at..) {
            self.nodes[closed.node].end = end;
            if closed.alive && closed.node != 0 {
                self.open[closed.tag as usize] -= 1;
            }
        }
    }
}

/// What ends the search for an open list item: any container but those that pages leave open
/// inside items.
fn ends_item_search(open: Tag) -> bool {
    !(open.is_formatting() || matches!(open, Tag::Div | Tag::P | Tag::Address | Tag::Other))
}

#[cfg(test)]
mod tests {
    use super::super::token::Tokens;
    use super::*;

    fn build(source: &str, max_depth: usize) -> Tree<'_> {
        let mut builder = TreeBuilder::new(source, max_depth, 1 << 20);
        for token in Tokens::new(source, false) {
            builder.token(&token).unwrap();
        }
        builder.finish()
    }

    /// `div(p(a) b)`: elements by name, texts as they are.
    fn shape(source: &str) -> String {
        fn inside(tree: &Tree<'_>, from: usize, end: usize, out: &mut String) {
            let mut at = from;
            while at < end {
                let node = &tree.nodes[at];
                if !out.is_empty() && !out.ends_with('(') {
                    out.push(' ');
                }
                if node.is_text() {
                    out.push_str(tree.text(node).trim());
                } else {
                    out.push_str(&format!("{:?}(", node.tag).to_lowercase());
                    inside(tree, at + 1, node.end(), out);
                    out.push(')');
                }
                at = node.end();
            }
        }
        let tree = build(source, 512);
        let mut out = String::new();
        inside(&tree, 1, tree.nodes.len(), &mut out);
        out
    }

    #[test]
    fn end_tags_are_implied_as_the_standard_says() {
        for (source, expected) in [
            ("<p>a<p>b<div>c", "p(a) p(b) div(c)"),
            ("<ul><li>a<li>b<ul><li>c</ul>d<li>e</ul>f", "ul(li(a) li(b ul(li(c)) d) li(e)) f"),
            ("<dl><dt>a<dd>b<dt>c<dd>d</dl>", "dl(dt(a) dd(b) dt(c) dd(d))"),
            ("<table><tr><td>a<td>b<tr><th>c</table>d", "table(tr(td(a) td(b)) tr(th(c))) d"),
            (
                "<table><tr><td><table><tr><td>a</td></tr></table>b<td>c</table>",
                "table(tr(td(table(tr(td(a))) b) td(c)))",
            ),
            ("<h2>a<h3>b</h2>c", "h2(a) h3(b) c"),
            ("<div><b>a<div>b</b>c</div>d</div>e", "div(b(a div(b c) d)) e"),
            ("<a href=x>a<a href=y>b</a>c", "a(a) a(b) c"),
            ("<div>a</span></p>b</div>c", "div(a b) c"),
            ("<td>a</td>b", "a b"),
            ("a<svg><title>no</title><path/><text>no</text></svg>b<svg/>c", "a b c"),
            ("<svg><g><div>a</div>", "div(a)"),
            ("<x-card>a<x-tag>b</x-card>c", "other(a other(b)) c"),
            ("<p>a<table><tr><td><p>b</table>c", "p(a) table(tr(td(p(b)))) c"),
            ("<select><option>a<option>b<div>c", "select(option(a) option(b)) div(c)"),
        ] {
            assert_eq!(shape(source), expected, "{source}");
        }
    }

    #[test]
    fn what_is_too_deep_becomes_a_sibling() {
        let source = format!("{}x{}y", "<div>".repeat(100), "</div>".repeat(100));
        let tree = build(&source, 10);
        let y = tree.nodes.last().unwrap();
        assert_eq!((tree.text(y), y.parent()), ("y", 0), "end tags close what they opened");
    }

    #[test]
    fn the_number_of_nodes_is_bounded() {
        let source = "<br>".repeat(100);
        let mut builder = TreeBuilder::new(&source, 512, 50);
        assert!(Tokens::new(&source, false).any(|token| builder.token(&token).is_err()));
    }
}
