//! Blocks as `CommonMark` with the tables of GitHub's dialect.
//!
//! Each block is written with the quotations and list items around it. What it shares with the
//! block before stays open; so a second paragraph, a quotation or code inside an item is indented
//! under it. An item that does not count on from the one before begins a list of its own, told
//! apart by its delimiter (`1.` and `1)`), so that every number reads as on the page; letters and
//! Roman numerals are written as the numbers they stand for.

use super::bounds::Bounded;
use super::emphasis::longest_run;

/// Columns by which the inside of a list item is indented.
const INDENT: usize = 4;
/// Most quotations and items around a block that are written; of those deeper, the innermost.
const MAX_DEPTH: usize = 16;
/// Numbers above this begin no list in `CommonMark`.
const MAX_NUMBER: i64 = 999_999_999;

/// Something that blocks stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Container {
    /// Its element.
    pub(super) element: usize,
    /// What it is.
    pub(super) kind: ContainerKind,
}

/// What blocks can stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContainerKind {
    /// A quotation.
    Quote,
    /// An item of a list, with its number if the list counts.
    Item(Option<i64>),
}

/// How a block is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'b> {
    /// Lines whose inline markup is done.
    Lines,
    /// The same after the marks of a heading of this level.
    Heading(u8),
    /// Code in this language.
    Code(Option<&'b str>),
}

/// A container as it was written.
#[derive(Clone, Debug)]
struct Written {
    container: Container,
    /// `.` or `)` after the number of an item.
    delimiter: char,
    /// Columns by which what continues it is indented.
    width: usize,
}

/// Writes blocks one after another.
#[derive(Debug, Default)]
pub(super) struct MarkdownWriter {
    out: Bounded,
    /// What the block before stood in.
    path: Vec<Written>,
    /// The block before was the first of an item, and no more than lines.
    after_item: bool,
}

impl MarkdownWriter {
    /// A writer of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { out: Bounded::new(limit), ..Self::default() }
    }

    /// What was written.
    pub(super) const fn written(&mut self) -> &mut Bounded {
        &mut self.out
    }

    /// Writes one block that stands in `around`.
    pub(super) fn block(&mut self, content: &str, form: Form<'_>, around: &[Container]) {
        let starts = self.start(around, matches!(form, Form::Code(_)));
        let prefix = self.prefix(self.path.len());
        self.out.push_str(&starts);
        match form {
            Form::Code(language) => self.code(content, language, &prefix),
            Form::Heading(level) => {
                self.out.push_str(&"#".repeat(usize::from(level.clamp(1, 6))));
                self.out.push(' ');
                self.lines(content, &prefix);
            }
            Form::Lines => self.lines(content, &prefix),
        }
    }

    /// Writes the rows of a table, of which the first is the head. Rows may be shorter than the
    /// longest.
    pub(super) fn table(&mut self, rows: &[Vec<&str>], around: &[Container]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let starts = self.start(around, true);
        let prefix = self.prefix(self.path.len());
        self.out.push_str(&starts);
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                self.next_line(&prefix);
            }
            self.out.push('|');
            for cell in row
                .iter()
                .copied()
                .chain((at == 0).then_some("").into_iter().cycle())
                .take(if at == 0 { columns } else { row.len() })
            {
                self.out.push(' ');
                self.out.push_str(cell);
                self.out.push_str(" |");
            }
            if at == 0 {
                self.next_line(&prefix);
                self.out.push('|');
                self.out.push_str(&" --- |".repeat(columns));
            }
        }
        self.after_item = false;
    }

    /// The whole document.
    pub(super) fn finish(self) -> Bounded {
        self.out
    }

    /// Separates a block from the one before, up to the start of its first line, and returns the
    /// marks of what begins with it. `wide`: its later lines count on the full indentation.
    fn start(&mut self, around: &[Container], wide: bool) -> String {
        let deep = around.len().saturating_sub(MAX_DEPTH);
        let cut: Vec<Container>;
        let around = if deep == 0 {
            around
        } else {
            cut = [&around[..MAX_DEPTH - 1], &around[around.len() - 1..]].concat();
            &cut
        };
        let kept = self
            .path
            .iter()
            .zip(around)
            .take_while(|(written, container)| written.container == **container)
            .count();
        let begins_item =
            matches!(around.get(kept), Some(Container { kind: ContainerKind::Item(_), .. }));
        let interrupts = match around.get(kept).map(|container| container.kind) {
            // Where no list is open, only one that begins with 1 may follow a paragraph at once.
            Some(ContainerKind::Item(Some(number))) => number == 1 || self.path.len() > kept,
            _ => true,
        };
        let before = self.path.get(kept).map(|written| (written.container, written.delimiter));
        self.path.truncate(kept);
        let prefix = self.prefix(kept);
        if !self.out.is_empty() {
            if !(begins_item && self.after_item && interrupts) {
                self.next_line(prefix.trim_end());
            }
            self.next_line(&prefix);
        }
        let mut marks = String::new();
        for (at, container) in around.iter().enumerate().skip(kept) {
            let before = before.filter(|_| at == kept);
            let alone = !wide && at + 1 == around.len();
            marks.push_str(&self.begin(*container, before, alone));
        }
        let in_item = matches!(around.last().map(|last| last.kind), Some(ContainerKind::Item(_)));
        self.after_item = in_item && around.len() > kept && !wide;
        marks
    }

    /// Opens a container after the one written `before` in the same place, and returns its mark;
    /// an item's is padded to the full indentation unless `alone` on its line with plain lines.
    fn begin(
        &mut self,
        container: Container,
        before: Option<(Container, char)>,
        alone: bool,
    ) -> String {
        let mut delimiter = '.';
        let mut mark = match container.kind {
            ContainerKind::Quote => "> ".to_owned(),
            ContainerKind::Item(Some(number @ 0..=MAX_NUMBER)) => {
                if let Some((Container { kind: ContainerKind::Item(Some(last)), .. }, used)) =
                    before
                {
                    let goes_on = last.checked_add(1) == Some(number);
                    delimiter = if goes_on == (used == '.') { '.' } else { ')' };
                }
                format!("{number}{delimiter} ")
            }
            ContainerKind::Item(_) => "- ".to_owned(),
        };
        let width = match container.kind {
            ContainerKind::Quote => mark.len(),
            ContainerKind::Item(_) => mark.len().max(INDENT),
        };
        if !alone {
            mark.extend(std::iter::repeat_n(' ', width - mark.len()));
        }
        self.path.push(Written { container, delimiter, width });
        mark
    }

    /// What stands before the later lines of the first `depth` containers.
    fn prefix(&self, depth: usize) -> String {
        let mut prefix = String::new();
        for written in &self.path[..depth] {
            match written.container.kind {
                ContainerKind::Quote => prefix.push_str("> "),
                ContainerKind::Item(_) => {
                    prefix.extend(std::iter::repeat_n(' ', written.width));
                }
            }
        }
        prefix
    }

    fn next_line(&mut self, prefix: &str) {
        self.out.push('\n');
        self.out.push_str(prefix);
    }

    fn lines(&mut self, content: &str, prefix: &str) {
        for (at, line) in content.split('\n').enumerate() {
            if at > 0 {
                self.next_line(prefix);
            }
            self.out.push_str(line);
        }
    }

    /// A fenced block, its fence longer than any run of backticks inside.
    fn code(&mut self, code: &str, language: Option<&str>, prefix: &str) {
        let fence = "`".repeat(longest_run(code).max(2) + 1);
        self.out.push_str(&fence);
        self.out.push_str(language.unwrap_or_default());
        for line in code.lines() {
            self.next_line(if line.is_empty() { prefix.trim_end() } else { prefix });
            self.out.push_str(line);
        }
        self.next_line(prefix);
        self.out.push_str(&fence);
        self.after_item = false;
    }
}
