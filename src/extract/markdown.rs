//! Blocks as `CommonMark` with the tables of GitHub's dialect.

use crate::model::BlockKind;

/// Spaces by which the inside of a list item is indented, for each level.
const INDENT: usize = 4;

/// How a block stands in the document.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// What it is.
    pub(super) kind: BlockKind,
    /// Quotations around it.
    pub(super) quotes: usize,
    /// Lists around it.
    pub(super) list_depth: usize,
    /// Marker of the item it begins.
    pub(super) marker: Option<String>,
}

/// Writes blocks one after another.
#[derive(Debug, Default)]
pub(super) struct MarkdownWriter {
    out: String,
    /// The block before was an item of a list.
    after_item: bool,
    /// Columns of the table being written, once its first row is.
    columns: Option<usize>,
}

impl MarkdownWriter {
    /// Writes one block whose inline markup is done.
    pub(super) fn block(&mut self, inline: &str, style: &Style) {
        self.columns = None;
        let is_item = style.marker.is_some();
        self.separate(if is_item && self.after_item { "\n" } else { "\n\n" });
        self.after_item = is_item;
        let depth =
            style.list_depth.saturating_sub(usize::from(style.kind != BlockKind::Code && is_item));
        let inside_item = style.kind == BlockKind::ListItem || is_item;
        let indent = if inside_item || style.list_depth > 0 {
            " ".repeat(INDENT * depth)
        } else {
            String::new()
        };
        let prefix = format!("{}{indent}", "> ".repeat(style.quotes.min(8)));
        let start = style.marker.as_deref().filter(|_| style.kind != BlockKind::Code).unwrap_or("");
        match style.kind {
            BlockKind::Code => self.code(inline, &prefix),
            BlockKind::Heading(level) => {
                let hashes = "#".repeat(usize::from(level.clamp(1, 6)));
                self.line(&prefix, &format!("{start}{hashes} {inline}"));
            }
            _ => self.line(&prefix, &format!("{start}{inline}")),
        }
    }

    /// The next row is the first of a table.
    pub(super) fn begin_table(&mut self) {
        self.columns = None;
    }

    /// Writes one row; the first of a table is its head.
    pub(super) fn row(&mut self, cells: &[String]) {
        self.after_item = false;
        let first = self.columns.is_none();
        self.separate(if first { "\n\n" } else { "\n" });
        let columns = *self.columns.get_or_insert(cells.len());
        for at in 0..columns.max(cells.len()) {
            self.out.push_str(if at == 0 { "| " } else { " | " });
            if let Some(cell) = cells.get(at) {
                self.out.push_str(&cell.replace('|', "\\|"));
            }
        }
        self.out.push_str(" |");
        if first {
            self.out.push_str("\n|");
            self.out.push_str(&" --- |".repeat(columns));
        }
    }

    /// The whole document, ended by a line feed unless it is empty.
    pub(super) fn finish(mut self) -> String {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }

    fn separate(&mut self, separator: &str) {
        if !self.out.is_empty() {
            self.out.push_str(separator);
        }
    }

    fn line(&mut self, prefix: &str, line: &str) {
        self.out.push_str(prefix);
        self.out.push_str(line);
    }

    /// A fenced block, its fence longer than any run of backticks inside.
    fn code(&mut self, code: &str, prefix: &str) {
        let (mut longest, mut run) = (2, 0);
        for character in code.chars() {
            run = if character == '`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let fence = "`".repeat(longest + 1);
        for line in [fence.as_str()].into_iter().chain(code.lines()).chain([fence.as_str()]) {
            self.line(prefix, line);
            self.out.push('\n');
        }
        self.out.pop();
    }
}
