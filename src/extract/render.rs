//! The chosen part of the tree as plain text, blocks and Markdown, in one walk.

use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::entities::{self, Place};
use super::fingerprint::normalise;
use super::hints::Hints;
use super::inline::{Inline, Marker};
use super::links::{self, ResolvedLinks};
use super::main_content::Selection;
use super::markdown::{MarkdownWriter, Style};
use super::options::ExtractOptions;
use super::tag::Tag;
use super::tree::{Node, Tree};
use crate::model::{Block, BlockKind};

/// Longest cell, in bytes as written, of a table that holds data rather than layout.
const MAX_CELL_BYTES: usize = 1000;
/// Deepest list whose items are indented further than those around them.
const MAX_LIST_DEPTH: usize = 16;
/// Longest image address that is written into Markdown, in bytes.
const MAX_IMAGE_URL_BYTES: usize = 2048;

/// The result of rendering.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    /// Blocks joined by blank lines.
    pub(super) text: String,
    /// Their spans and kinds.
    pub(super) blocks: Vec<Block>,
    /// The same as Markdown.
    pub(super) markdown: String,
}

/// Renders `selection` of `tree`; `links` resolve the targets of anchors.
pub(super) fn render(
    tree: &Tree<'_>,
    selection: &Selection,
    links: &ResolvedLinks,
    options: &ExtractOptions,
) -> Rendered {
    let mut renderer = Renderer {
        tree,
        links,
        options,
        out: Rendered::default(),
        markdown: MarkdownWriter::default(),
        inline: Inline::default(),
        lists: Vec::new(),
        item: Item::Outside,
        heading: None,
        quotes: 0,
        preformatted: 0,
        row: None,
        tables: Vec::new(),
        last_heading: None,
        breaks: 0,
    };
    renderer.walk(selection);
    renderer.out.markdown = renderer.markdown.finish();
    renderer.out
}

/// An open list: the number of its next item, if it counts.
struct List {
    next: Option<u32>,
}

/// The position of the walk in a list.
#[derive(PartialEq, Eq)]
enum Item {
    /// In no item.
    Outside,
    /// Before the first block of the item with this marker.
    Begun(String),
    /// After the first block of an item.
    Inside,
}

/// The row being read, with its finished cells.
struct Row {
    node: usize,
    cells: Vec<(String, String)>,
}

struct Renderer<'t, 'a> {
    tree: &'t Tree<'a>,
    links: &'t ResolvedLinks,
    options: &'t ExtractOptions,
    out: Rendered,
    markdown: MarkdownWriter,
    /// The block being read.
    inline: Inline,
    lists: Vec<List>,
    item: Item,
    heading: Option<u8>,
    quotes: usize,
    preformatted: usize,
    row: Option<Row>,
    /// Open tables: whether each holds data.
    tables: Vec<bool>,
    last_heading: Option<u32>,
    breaks: usize,
}

impl Renderer<'_, '_> {
    fn walk(&mut self, selection: &Selection) {
        let nodes = &self.tree.nodes;
        let mut open: Vec<usize> = Vec::new();
        let mut at = selection.root;
        let end = nodes[selection.root].end();
        while at < end {
            while let Some(&top) = open.last().filter(|top| nodes[**top].end() <= at) {
                open.pop();
                self.leave(top);
            }
            let node = &nodes[at];
            if node.has_space_before() {
                self.inline.space();
            }
            if selection.is_dropped(at) {
                if node.tag.is_block() {
                    self.boundary();
                }
                at = node.end();
                continue;
            }
            if node.is_text() {
                self.text(node);
            } else {
                self.enter(at);
                open.push(at);
            }
            at += 1;
        }
        while let Some(top) = open.pop() {
            self.leave(top);
        }
        self.flush();
    }

    fn text(&mut self, node: &Node) {
        let raw = self.tree.text(node);
        let text = if node.is_literal() { raw.into() } else { entities::decode(raw, Place::Text) };
        self.breaks = 0;
        if self.preformatted > 0 && self.row.is_none() && node.is_preformatted() {
            self.inline.verbatim(&text);
        } else {
            self.inline.text(&text);
        }
    }

    /// A block begins or ends: what was read before it is a block of its own, or in a table cell a
    /// word of its own.
    fn boundary(&mut self) {
        self.breaks = 0;
        if self.row.is_some() { self.inline.space() } else { self.flush() }
    }

    fn enter(&mut self, at: usize) {
        let node = &self.tree.nodes[at];
        if node.tag.is_block() {
            self.boundary();
        }
        match node.tag {
            Tag::Br if self.preformatted > 0 && self.row.is_none() => self.inline.verbatim("\n"),
            Tag::Br => {
                self.breaks += 1;
                self.inline.space();
                if self.breaks > 1 {
                    self.boundary();
                }
            }
            Tag::Img if self.options.images => self.image(node),
            Tag::Ul | Tag::Menu | Tag::Dir => self.lists.push(List { next: None }),
            Tag::Ol => {
                let start = self.tree.attributes(node).get("start");
                let first = start.and_then(|start| start.trim().parse().ok()).unwrap_or(1);
                self.lists.push(List { next: Some(first) });
            }
            Tag::Li => self.item = Item::Begun(self.item_marker()),
            Tag::Blockquote => self.quotes += 1,
            Tag::Pre => self.preformatted += 1,
            Tag::Table => {
                let data = self.row.is_none() && holds_data(self.tree, at);
                self.tables.push(data);
                if data {
                    self.markdown.begin_table();
                }
            }
            Tag::Tr if self.row.is_none() && self.tables.last() == Some(&true) => {
                self.row = Some(Row { node: at, cells: Vec::new() });
            }
            tag => {
                if let Some(level) = tag.heading_level() {
                    self.heading = Some(level);
                } else if let Some(marker) = self.marker(node) {
                    self.inline.open(marker);
                }
            }
        }
    }

    fn leave(&mut self, at: usize) {
        let node = &self.tree.nodes[at];
        match node.tag {
            Tag::Td | Tag::Th => self.end_cell(at),
            Tag::Tr if self.row.as_ref().is_some_and(|row| row.node == at) => self.end_row(),
            tag if tag.is_block() => self.boundary(),
            _ => {}
        }
        match node.tag {
            Tag::Ul | Tag::Menu | Tag::Dir | Tag::Ol => {
                self.lists.pop();
                self.item = if self.lists.is_empty() { Item::Outside } else { Item::Inside };
            }
            Tag::Li => self.item = Item::Outside,
            Tag::Blockquote => self.quotes = self.quotes.saturating_sub(1),
            Tag::Pre => self.preformatted = self.preformatted.saturating_sub(1),
            Tag::Table => {
                self.tables.pop();
            }
            tag => {
                if tag.heading_level().is_some() {
                    self.heading = None;
                } else if let Some(marker) = self.marker(node) {
                    self.inline.close(&marker);
                }
            }
        }
    }

    fn item_marker(&mut self) -> String {
        match self.lists.last_mut().and_then(|list| list.next.as_mut()) {
            Some(number) => {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            None => "- ".to_owned(),
        }
    }

    /// The Markdown of an inline element.
    fn marker(&self, node: &Node) -> Option<Marker> {
        if self.preformatted > 0 {
            return None;
        }
        Some(match node.tag {
            Tag::Strong | Tag::B if self.heading.is_none() => Marker::Strong,
            Tag::Em | Tag::I => Marker::Emphasis,
            Tag::Code | Tag::Kbd | Tag::Samp | Tag::Tt => Marker::Code,
            Tag::Del | Tag::S | Tag::Strike => Marker::Deleted,
            Tag::A if self.options.links => {
                let href = self.tree.attributes(node).get("href")?;
                Marker::Link(self.links.url_of(&href)?.as_str().to_owned())
            }
            _ => return None,
        })
    }

    fn image(&mut self, node: &Node) {
        let attributes = self.tree.attributes(node);
        let (Some(alternative), Some(source)) = (attributes.get("alt"), attributes.get("src"))
        else {
            return;
        };
        if self.preformatted > 0
            || alternative.trim().is_empty()
            || source.len() > MAX_IMAGE_URL_BYTES
        {
            return;
        }
        let url =
            self.links.base.as_ref().and_then(|base: &Url| links::resolve(base, source.trim()));
        if let Some(url) = url {
            self.inline.image(&alternative, url.as_str());
        }
    }

    fn end_cell(&mut self, at: usize) {
        let in_row = |row: &&mut Row| self.tree.nodes[at].parent() == row.node;
        if let Some(row) = self.row.as_mut().filter(in_row) {
            row.cells.push(self.inline.take());
        } else {
            self.boundary();
        }
    }

    fn end_row(&mut self) {
        let Some(mut row) = self.row.take() else { return };
        let rest = self.inline.take();
        if !rest.0.is_empty() {
            row.cells.push(rest);
        }
        if row.cells.iter().all(|(text, _)| text.is_empty()) {
            return;
        }
        let (text, markdown): (Vec<_>, Vec<_>) = row.cells.into_iter().unzip();
        let text = text.join("\t");
        // Empty cells at the start leave no white space there; those between keep their tabs.
        self.block(text.trim(), BlockKind::TableRow);
        self.markdown.row(&markdown);
    }

    /// Ends the block being read.
    fn flush(&mut self) {
        let (text, markdown) = self.inline.take();
        let kind = match (self.heading, &self.item) {
            _ if self.preformatted > 0 => BlockKind::Code,
            (Some(level), _) => BlockKind::Heading(level),
            (None, Item::Begun(_) | Item::Inside) => BlockKind::ListItem,
            (None, Item::Outside) if self.quotes > 0 => BlockKind::Quote,
            (None, Item::Outside) => BlockKind::Paragraph,
        };
        let text = if kind == BlockKind::Code {
            text.trim_matches(['\n', '\r']).trim_end()
        } else {
            &text
        };
        if text.trim().is_empty() {
            return;
        }
        self.block(text, kind);
        let marker = match std::mem::replace(&mut self.item, Item::Inside) {
            Item::Begun(marker) => Some(marker),
            Item::Inside => None,
            Item::Outside => {
                self.item = Item::Outside;
                None
            }
        };
        let style = Style {
            kind,
            quotes: self.quotes,
            list_depth: self.lists.len().min(MAX_LIST_DEPTH),
            marker,
        };
        let markdown = if kind == BlockKind::Code { text } else { &markdown };
        self.markdown.block(markdown, &style);
    }

    fn block(&mut self, text: &str, kind: BlockKind) {
        if !self.out.text.is_empty() {
            self.out.text.push_str("\n\n");
        }
        let start = self.out.text.len();
        self.out.text.push_str(text);
        let heading = self.last_heading;
        if let BlockKind::Heading(_) = kind {
            self.last_heading = u32::try_from(self.out.blocks.len()).ok();
        }
        self.out.blocks.push(Block {
            span: (start..self.out.text.len()).into(),
            kind,
            heading,
            hash: xxh3_64(normalise(text).as_bytes()),
        });
    }
}

/// The tables that hold data.
pub(super) fn data_tables(tree: &Tree<'_>) -> Vec<usize> {
    let tables = 0..tree.nodes.len();
    tables.filter(|&at| tree.nodes[at].tag == Tag::Table && holds_data(tree, at)).collect()
}

/// Whether the table at `table` holds data rather than layout: no table, heading or long text in
/// its cells, and a row with two cells.
fn holds_data(tree: &Tree<'_>, table: usize) -> bool {
    let nodes = &tree.nodes;
    if nodes[table].hints.has(Hints::PRESENTATION) {
        return false;
    }
    let (mut row_cells, mut most_cells, mut cell_bytes) = (0, 0, 0);
    for node in &nodes[table + 1..nodes[table].end()] {
        match node.tag {
            Tag::Table | Tag::Pre | Tag::Form | Tag::Section | Tag::Article => return false,
            tag if tag.heading_level().is_some() => return false,
            Tag::Tr => row_cells = 0,
            Tag::Td | Tag::Th => {
                cell_bytes = 0;
                row_cells += 1;
                most_cells = most_cells.max(row_cells);
            }
            _ if node.is_text() => cell_bytes += node.length(),
            _ => {}
        }
        if cell_bytes > MAX_CELL_BYTES {
            return false;
        }
    }
    most_cells > 1
}
