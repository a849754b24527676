//! The chosen part of the tree as plain text, blocks and Markdown, in one walk.
//!
//! # What the text says
//! The text says what a reader of the page sees, and nothing else; where the page says something by
//! its looks alone, the text says it by characters:
//!
//! - superscripts, subscripts and the marks of notes: [`super::scripts`]; formulas, once:
//!   [`super::formulas`]; struck-out text: [`super::inline`]; numbers of lists, in Markdown alone:
//!   [`super::lists`]; tables: [`super::table`]; code: [`super::code`]; images, in Markdown alone:
//!   [`super::images`];
//! - a reading stands in parentheses after its base, as `rp` asks: `水車(すいしゃ)`;
//! - `q` has the quotation marks that a browser gives it, “ ” and inside them ‘ ’, unless the page
//!   wrote its own;
//! - the terms of a description list are strong in Markdown;
//! - a link within the page whose text has no letter or digit (`¶`, `#`, `↩`) is a handle and is
//!   left out; other links within the page are text, since addresses are kept without fragments;
//! - `wbr` and soft hyphens join what they stand in.

use super::bounds::{Output, Rendered};
use super::code;
use super::emphasis::{self, Place as Written};
use super::entities::{self, Place};
use super::formulas;
use super::images;
use super::inline::{Image, Inline, Style, Target};
use super::links::{self, ResolvedLinks};
use super::lists::Lists;
use super::main_content::Selection;
use super::markdown::{Container, ContainerKind, Form, MarkdownWriter};
use super::marks;
use super::options::ExtractOptions;
use super::scripts::{self, Script};
use super::table::{self, Cell, DataTable};
use super::tag::Tag;
use super::tree::{Node, Tree};
use crate::model::BlockKind;

/// Renders `selection` of `tree` in at most `limit` bytes; `links` resolve the targets of anchors.
pub(super) fn render(
    tree: &Tree<'_>,
    selection: &Selection,
    links: &ResolvedLinks,
    options: &ExtractOptions,
    limit: usize,
) -> Rendered {
    let is_formula = |at: &usize| tree.nodes[*at].tag == Tag::Math;
    let mut renderer = Renderer {
        tree,
        links,
        options,
        out: Output::new(limit),
        markdown: MarkdownWriter::new(limit),
        image_room: limit,
        inline: Inline::default(),
        context: Context::default(),
        containers: Vec::new(),
        lists: Lists::default(),
        formulas: (selection.root..tree.nodes[selection.root].end()).filter(is_formula).collect(),
        hidden_formula: None,
        table: None,
        language: None,
        breaks: 0,
    };
    renderer.walk(selection);
    let Renderer { out, markdown, .. } = renderer;
    out.finish(markdown.finish())
}

/// What holds inside an element and ends with it.
#[derive(Clone, Copy, Default)]
struct Context<'l> {
    style: Style<'l>,
    heading: Option<u8>,
    /// White space counts.
    preformatted: bool,
    script: Option<Script>,
    /// Elements `q` around.
    quotes: u8,
    /// How many containers are around.
    depth: usize,
}

struct Renderer<'t, 'a> {
    tree: &'t Tree<'a>,
    links: &'t ResolvedLinks,
    options: &'t ExtractOptions,
    out: Output,
    markdown: MarkdownWriter,
    /// Bytes that addresses of images may still take.
    image_room: usize,
    /// The block being read.
    inline: Inline<'t>,
    context: Context<'t>,
    containers: Vec<Container>,
    lists: Lists,
    /// The elements `math`, in order.
    formulas: Vec<usize>,
    /// What holds the hidden source of a formula and the image that stands for it.
    hidden_formula: Option<usize>,
    table: Option<DataTable>,
    /// Language of the code being read.
    language: Option<String>,
    breaks: usize,
}

impl<'t> Renderer<'t, '_> {
    fn walk(&mut self, selection: &Selection) {
        let tree = self.tree;
        let mut open: Vec<(usize, Context<'t>)> = Vec::new();
        let mut at = selection.root;
        let end = tree.nodes[selection.root].end();
        while at < end && !self.out.is_full() {
            while let Some((top, around)) = open.pop_if(|(top, _)| tree.nodes[*top].end() <= at) {
                self.leave(top, around);
            }
            let node = &tree.nodes[at];
            if node.has_space_before() {
                self.inline.space();
            }
            if selection.is_dropped(at) {
                if node.tag.is_block() {
                    self.boundary();
                } else {
                    self.hidden_formula(at);
                }
                at = node.end();
            } else if node.is_text() {
                self.text(node);
                at += 1;
            } else if self.is_replaced(at) {
                at = node.end();
            } else {
                let around = self.context;
                self.enter(at);
                open.push((at, around));
                at += 1;
            }
        }
        while let Some((top, around)) = open.pop() {
            self.leave(top, around);
        }
        self.flush();
    }

    fn text(&mut self, node: &Node) {
        let raw = self.tree.text(node);
        let text = if node.is_literal() { raw.into() } else { entities::decode(raw, Place::Text) };
        self.breaks = 0;
        match self.context.script {
            Some(Script::Above) => {
                self.piece(&text.chars().map(scripts::raised).collect::<String>());
            }
            Some(Script::Below) => {
                self.piece(&text.chars().map(scripts::lowered).collect::<String>());
            }
            _ => self.piece(&text),
        }
    }

    fn piece(&mut self, text: &str) {
        if self.context.preformatted {
            self.inline.verbatim(text);
        } else {
            self.inline.text(text, self.context.style);
        }
    }

    fn is_in_row(&self) -> bool {
        self.table.as_ref().is_some_and(DataTable::has_row)
    }

    /// A block begins or ends: what was read before it is a block of its own; in a table cell a
    /// word of its own, in code a line.
    fn boundary(&mut self) {
        self.breaks = 0;
        if self.context.preformatted {
            if !self.inline.is_at_line_start() {
                self.inline.verbatim("\n");
            }
        } else if self.is_in_row() {
            self.inline.space();
        } else {
            self.flush();
        }
    }

    /// Whether something else stands for the element at `at`, or nothing; it has been written.
    fn is_replaced(&mut self, at: usize) -> bool {
        let tree = self.tree;
        let node = &tree.nodes[at];
        match node.tag {
            Tag::Math => {
                self.formula(at);
                true
            }
            Tag::Sup | Tag::Sub if self.context.script.is_none() => {
                let script = scripts::of(tree, at, self.inline.last_word());
                if let Some(Script::Instead(text)) = script {
                    self.piece(text);
                    return true;
                }
                false
            }
            Tag::A => {
                !self.context.preformatted
                    && self.context.script.is_none()
                    && marks::is_handle(tree, at)
            }
            Tag::Pre => code::is_gutter(tree, at),
            _ if self.context.preformatted => code::is_line_number(tree, at),
            _ => formulas::is_twin(tree, &self.formulas, at),
        }
    }

    /// Writes the formula whose source stands hidden in the element at `at`, which is dropped.
    fn hidden_formula(&mut self, at: usize) {
        let node = &self.tree.nodes[at];
        let first = self.formulas.partition_point(|math| *math < at);
        if let Some(math) = self.formulas.get(first).copied().filter(|math| *math < node.end()) {
            self.formula(math);
            self.hidden_formula = Some(node.parent());
        }
    }

    fn formula(&mut self, math: usize) {
        let formula = formulas::of(self.tree, math);
        self.breaks = 0;
        let style = self.context.style;
        if formula.tex && !self.context.preformatted {
            let code = style.code.or(Some(math));
            self.inline.text(&formula.text, Style { code, ..style });
        } else {
            self.piece(&formula.text);
        }
    }

    fn enter(&mut self, at: usize) {
        let tree = self.tree;
        let node = &tree.nodes[at];
        if node.tag.is_block() {
            self.boundary();
        }
        self.mark(at);
        match node.tag {
            Tag::Br if self.context.preformatted => self.inline.verbatim("\n"),
            Tag::Br => {
                self.breaks += 1;
                self.inline.line_break();
                if self.breaks > 1 {
                    self.boundary();
                }
            }
            Tag::Img if self.options.images && self.hidden_formula != Some(node.parent()) => {
                self.image(at);
            }
            Tag::Ul | Tag::Menu | Tag::Dir | Tag::Ol => {
                let outer = self.lists.begin(tree, at, self.containers.len());
                self.containers.extend(outer);
            }
            Tag::Li => self.containers.push(self.lists.item(tree, at)),
            Tag::Blockquote => {
                self.containers.push(Container { element: at, kind: ContainerKind::Quote });
            }
            Tag::Pre if self.is_in_row() => self.context.style.code = Some(at),
            Tag::Pre if !self.context.preformatted => {
                self.context.preformatted = true;
                self.language = code::language(tree, at);
            }
            Tag::Code if self.context.preformatted && code::follows_code(tree, at) => {
                self.boundary();
            }
            Tag::Table
                if self.table.is_none()
                    && !self.context.preformatted
                    && table::holds_data(tree, at) =>
            {
                self.table = Some(DataTable::new(at));
            }
            Tag::Tr => {
                if let Some(table) = &mut self.table {
                    table.begin_row(tree, at);
                }
            }
            Tag::Sup | Tag::Sub if self.context.script.is_none() => {
                self.context.script = scripts::of(tree, at, self.inline.last_word());
                if let Some(Script::Between(before, _)) = self.context.script {
                    self.piece(before);
                }
            }
            Tag::Rt => self.piece("("),
            Tag::Q => {
                self.context.quotes = self.context.quotes.saturating_add(1);
                self.piece(marks::quotation_marks(tree, at, self.context.quotes).0);
            }
            _ => {}
        }
        self.context.depth = self.containers.len();
    }

    fn leave(&mut self, at: usize, around: Context<'t>) {
        let node = &self.tree.nodes[at];
        match node.tag {
            Tag::Td | Tag::Th => self.end_cell(at),
            Tag::Tr => self.end_row(at),
            Tag::Pre if self.context.preformatted && !around.preformatted => self.flush(),
            Tag::Rt => self.piece(")"),
            Tag::Q => self.piece(marks::quotation_marks(self.tree, at, self.context.quotes).1),
            Tag::Sup | Tag::Sub if around.script.is_none() => {
                if let Some(Script::Between(_, after)) = self.context.script {
                    self.piece(after);
                }
            }
            tag if tag.is_block() => self.boundary(),
            _ => {}
        }
        match node.tag {
            Tag::Ul | Tag::Menu | Tag::Dir | Tag::Ol => self.lists.end(),
            Tag::Table if self.table.as_ref().is_some_and(|table| table.element == at) => {
                self.end_table();
            }
            _ => {}
        }
        self.context = around;
        self.containers.truncate(around.depth);
    }

    /// What an element says about the text inside it.
    fn mark(&mut self, at: usize) {
        let tree = self.tree;
        let node = &tree.nodes[at];
        let context = &mut self.context;
        match node.tag {
            Tag::Strong | Tag::B | Tag::Dt if context.heading.is_none() => {
                context.style.strong = true;
            }
            Tag::Em | Tag::I => context.style.emphasis = true,
            Tag::Code | Tag::Kbd | Tag::Samp | Tag::Tt if context.style.code.is_none() => {
                context.style.code = Some(at);
            }
            Tag::Del | Tag::S | Tag::Strike => context.style.deleted = true,
            Tag::A => {
                context.style.link = None;
                let href = tree.attributes(node).get("href");
                let href = href.filter(|href| self.options.links && !marks::is_in_page(href));
                if let Some(url) = href.and_then(|href| self.links.url_of(&href)) {
                    context.style.link = Some(Target { element: at, url: url.as_str() });
                }
            }
            tag => {
                if let Some(level) = tag.heading_level() {
                    context.heading = Some(level);
                    context.style.strong = false;
                }
            }
        }
    }

    fn image(&mut self, at: usize) {
        if self.context.preformatted {
            return;
        }
        let Some((alternative, address)) = images::of(self.tree, at) else { return };
        let url = self.links.base.as_ref().and_then(|base| links::resolve(base, address.trim()));
        if let Some(url) = url {
            let Some(room) = self.image_room.checked_sub(url.as_str().len()) else {
                self.markdown.written().overflow();
                return;
            };
            self.image_room = room;
            let alternative = super::text::collapsed(&alternative);
            let image = Image { alternative, url: url.into() };
            self.inline.image(image, self.context.style);
        }
    }

    fn end_cell(&mut self, at: usize) {
        let parent = self.tree.nodes[at].parent();
        if self.table.as_ref().is_some_and(|table| table.is_in_row(parent)) {
            self.cell(at);
        } else {
            self.boundary();
        }
    }

    /// Adds what has been read to the row, as the cell at `at`.
    fn cell(&mut self, at: usize) {
        self.inline.end();
        let used = self.table.as_ref().map_or(0, DataTable::markdown_bytes);
        let room = self.markdown.written().room().saturating_sub(used);
        let markdown = emphasis::markdown(&self.inline, Written::Cell, room).unwrap_or_else(|| {
            self.markdown.written().overflow();
            String::new()
        });
        let attributes = self.tree.attributes(&self.tree.nodes[at]);
        let cell = Cell::new(self.inline.text.clone(), markdown, attributes);
        self.inline.clear();
        if let Some(table) = &mut self.table {
            table.cell(cell);
        }
    }

    fn end_row(&mut self, at: usize) {
        if !self.table.as_ref().is_some_and(|table| table.is_in_row(at)) {
            self.boundary();
            return;
        }
        if !self.inline.runs.is_empty() {
            self.cell(at);
        }
        self.inline.clear();
        if let Some(table) = &mut self.table {
            table.end_row();
        }
    }

    fn end_table(&mut self) {
        let Some(mut table) = self.table.take() else { return };
        let rows = table.grid();
        for row in &rows {
            let cells = row.iter().map(|cell| cell.map_or("", |cell| &cell.text));
            let text = cells.collect::<Vec<_>>().join("\t");
            // Empty cells at the start leave no white space there; those between keep their tabs.
            self.out.block(text.trim(), BlockKind::TableRow);
        }
        let mut written: Vec<Vec<&str>> = Vec::with_capacity(rows.len());
        for row in &rows {
            let cells = row.iter().map(|cell| cell.map_or("", |cell| cell.markdown.as_str()));
            written.push(cells.collect());
        }
        if !written.is_empty() {
            self.markdown.table(&written, &self.containers);
            self.out.fit(self.markdown.written());
        }
    }

    /// Ends the block being read.
    fn flush(&mut self) {
        let mut inline = std::mem::take(&mut self.inline);
        inline.end();
        self.write(&inline);
        inline.clear();
        self.inline = inline;
    }

    fn write(&mut self, inline: &Inline<'t>) {
        if self.context.preformatted {
            let code = inline.text.trim_matches(['\n', '\r']).trim_end();
            let language = self.language.take();
            if !code.trim().is_empty() {
                self.out.block(code, BlockKind::Code);
                self.markdown.block(code, Form::Code(language.as_deref()), &self.containers);
                self.out.fit(self.markdown.written());
            }
            return;
        }
        if inline.runs.is_empty() {
            return;
        }
        let innermost = self.containers.last().map(|container| container.kind);
        let kind = match (self.context.heading, innermost) {
            (Some(level), _) => BlockKind::Heading(level),
            (None, Some(ContainerKind::Item(_))) => BlockKind::ListItem,
            (None, Some(ContainerKind::Quote)) => BlockKind::Quote,
            (None, None) => BlockKind::Paragraph,
        };
        if !inline.text.is_empty() {
            self.out.block(&inline.text, kind);
        }
        let (place, form) = match kind {
            BlockKind::Heading(level) => (Written::Heading, Form::Heading(level)),
            _ => (Written::Block, Form::Lines),
        };
        match emphasis::markdown(inline, place, self.markdown.written().room()) {
            Some(lines) => self.markdown.block(&lines, form, &self.containers),
            None => self.markdown.written().overflow(),
        }
        self.out.fit(self.markdown.written());
    }
}
