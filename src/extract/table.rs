//! Tables that hold data: their rows in the order they are shown, their cells in columns.
//!
//! A cell that spans columns or rows stands once, in the first of them; the others are empty, so
//! that what follows stays in its column. Spans are followed within a budget that grows with the
//! number of cells.

use super::hints::Hints;
use super::tag::Tag;
use super::token::Attributes;
use super::tree::Tree;

/// Longest cell, in bytes as written, of a table that holds data rather than layout.
const MAX_CELL_BYTES: usize = 1000;
/// Empty cells that spans may add for each cell with text.
const EMPTY_PER_CELL: usize = 4;

/// The tables that hold data.
pub(super) fn data_tables(tree: &Tree<'_>) -> Vec<usize> {
    let tables = 0..tree.nodes.len();
    tables.filter(|&at| tree.nodes[at].tag == Tag::Table && holds_data(tree, at)).collect()
}

/// Whether the table at `table` holds data rather than layout: no table, heading, form, long text
/// or code of several lines in its cells, and a row with two cells.
pub(super) fn holds_data(tree: &Tree<'_>, table: usize) -> bool {
    let nodes = &tree.nodes;
    if nodes[table].hints.has(Hints::PRESENTATION) {
        return false;
    }
    let (mut row_cells, mut most_cells, mut cell_bytes) = (0, 0, 0);
    for node in &nodes[table + 1..nodes[table].end()] {
        match node.tag {
            Tag::Table | Tag::Form | Tag::Section | Tag::Article => return false,
            tag if tag.heading_level().is_some() => return false,
            Tag::Tr => row_cells = 0,
            Tag::Td | Tag::Th => {
                cell_bytes = 0;
                row_cells += 1;
                most_cells = most_cells.max(row_cells);
            }
            _ if node.is_text() => {
                if node.is_preformatted() && tree.text(node).trim().contains('\n') {
                    return false;
                }
                cell_bytes += node.length();
            }
            _ => {}
        }
        if cell_bytes > MAX_CELL_BYTES {
            return false;
        }
    }
    most_cells > 1
}

/// A cell that has been read.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// Its text.
    pub(super) text: String,
    /// Its Markdown.
    pub(super) markdown: String,
    columns: usize,
    rows: usize,
}

impl Cell {
    /// A cell with the spans that its attributes ask for.
    pub(super) fn new(text: String, markdown: String, attributes: Attributes<'_>) -> Self {
        let span = |name| {
            let value = attributes.get(name);
            value.and_then(|value| value.trim().parse().ok()).unwrap_or(1).clamp(1, 1000)
        };
        Self { text, markdown, columns: span("colspan"), rows: span("rowspan") }
    }
}

/// The part of a table that a row belongs to, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Head,
    Body,
    Foot,
}

/// A row that has been read.
#[derive(Debug)]
struct Row {
    section: Section,
    cells: Vec<Cell>,
}

/// A table being read.
#[derive(Debug)]
pub(super) struct DataTable {
    /// Its element.
    pub(super) element: usize,
    rows: Vec<Row>,
    /// The row being read, and its element.
    row: Option<(usize, Row)>,
    markdown_bytes: usize,
}

impl DataTable {
    /// A table without rows.
    pub(super) const fn new(element: usize) -> Self {
        Self { element, rows: Vec::new(), row: None, markdown_bytes: 0 }
    }

    /// Bytes of the Markdown of all its cells.
    pub(super) const fn markdown_bytes(&self) -> usize {
        self.markdown_bytes
    }

    /// Whether a row is being read.
    pub(super) const fn has_row(&self) -> bool {
        self.row.is_some()
    }

    /// Whether the row being read is that of `element`.
    pub(super) fn is_in_row(&self, element: usize) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| *row == element)
    }

    /// Begins the row at `at`.
    pub(super) fn begin_row(&mut self, tree: &Tree<'_>, at: usize) {
        if self.row.is_none() {
            let section = match tree.nodes[tree.nodes[at].parent()].tag {
                Tag::Thead => Section::Head,
                Tag::Tfoot => Section::Foot,
                _ => Section::Body,
            };
            self.row = Some((at, Row { section, cells: Vec::new() }));
        }
    }

    /// Adds a cell to the row.
    pub(super) fn cell(&mut self, cell: Cell) {
        if let Some((_, row)) = &mut self.row {
            self.markdown_bytes += cell.markdown.len();
            row.cells.push(cell);
        }
    }

    /// Ends the row; one without text is left out.
    pub(super) fn end_row(&mut self) {
        if let Some((_, row)) = self.row.take()
            && row.cells.iter().any(|cell| !cell.text.is_empty())
        {
            self.rows.push(row);
        }
    }

    /// The rows as they are shown, their cells (`None`: empty) in columns.
    pub(super) fn grid(&mut self) -> Vec<Vec<Option<&Cell>>> {
        self.rows.sort_by_key(|row| row.section);
        let cells: usize = self.rows.iter().map(|row| row.cells.len()).sum();
        let widest = self.rows.iter().map(|row| row.cells.len()).max().unwrap_or_default();
        let budget = EMPTY_PER_CELL * cells + 16;
        let mut columns = Columns { budget, widest, taken: Vec::new() };
        self.rows.iter().map(|row| columns.row(row)).collect()
    }
}

/// The columns while rows are placed in them.
struct Columns {
    /// How many cells may still be left empty.
    budget: usize,
    /// Cells of the row that has most: wider spans than that reach over nothing.
    widest: usize,
    /// For each column, how many more rows a cell above reaches down.
    taken: Vec<usize>,
}

impl Columns {
    fn row<'r>(&mut self, row: &'r Row) -> Vec<Option<&'r Cell>> {
        let mut out = Vec::with_capacity(row.cells.len());
        for (at, cell) in row.cells.iter().enumerate() {
            let later = row.cells.len() - at - 1;
            self.skip_taken(&mut out);
            let first = out.len();
            out.push(Some(cell));
            let room = |columns: usize| columns - first < cell.columns;
            while out.len() + later < self.widest && room(out.len()) && self.pay(1) {
                out.push(None);
            }
            if cell.rows > 1 && self.pay(out.len()) {
                self.taken.resize(self.taken.len().max(out.len()), 0);
                // The row itself counts as the first.
                self.taken[first..out.len()].fill(cell.rows);
            }
        }
        let work = self.taken.len();
        if !self.pay(work) {
            self.taken.clear();
        }
        self.taken.iter_mut().for_each(|rows| *rows = rows.saturating_sub(1));
        while self.taken.last() == Some(&0) {
            self.taken.pop();
        }
        while out.last().is_some_and(|cell| cell.is_none_or(|cell| cell.markdown.is_empty())) {
            out.pop();
        }
        out
    }

    /// Leaves out the columns that cells above reach into.
    fn skip_taken(&mut self, out: &mut Vec<Option<&Cell>>) {
        while self.taken.get(out.len()).is_some_and(|rows| *rows > 0) && self.pay(1) {
            out.push(None);
        }
    }

    fn pay(&mut self, cells: usize) -> bool {
        let left = self.budget.checked_sub(cells);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }
}
