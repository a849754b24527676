//! One block while it is read: its text, and the runs of which its Markdown is made.
//!
//! Struck-out text stands between `~~` in the text as in Markdown: without the mark a withdrawn
//! price or word would be stated. A line break is a space in the text and a hard break in
//! Markdown.

use super::text::{is_invisible, is_space, push_collapsed, visible};

/// A link that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'l> {
    /// Its element; two links to one address stay two.
    pub(super) element: usize,
    /// Where it leads.
    pub(super) url: &'l str,
}

/// The markup of a run of text, as Markdown can show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style<'l> {
    /// `**strong**`
    pub(super) strong: bool,
    /// `*emphasis*`
    pub(super) emphasis: bool,
    /// `~~deleted~~`
    pub(super) deleted: bool,
    /// `` `code` ``, by the element that makes it code.
    pub(super) code: Option<usize>,
    /// `[text](url)`
    pub(super) link: Option<Target<'l>>,
}

/// What stands before a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nothing.
    #[default]
    None,
    /// White space.
    Space,
    /// A line break.
    Break,
}

/// What a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// An image, by its index; it has no text.
    Image(usize),
}

/// A piece of a block with one style.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'l> {
    /// Text or image.
    pub(super) kind: Kind,
    /// Where its text starts in the block's.
    pub(super) start: usize,
    /// Where its text ends.
    pub(super) end: usize,
    /// Its markup.
    pub(super) style: Style<'l>,
    /// What stands before it.
    pub(super) gap: Gap,
}

/// An image in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// What stands for it where it cannot be seen.
    pub(super) alternative: String,
    /// Its address.
    pub(super) url: String,
}

/// A block being read.
#[derive(Debug, Default)]
pub(super) struct Inline<'l> {
    /// Its text so far.
    pub(super) text: String,
    /// Its runs, in order.
    pub(super) runs: Vec<Run<'l>>,
    /// Its images.
    pub(super) images: Vec<Image>,
    gap: Gap,
    /// The text so far ends in struck-out text.
    struck: bool,
}

impl<'l> Inline<'l> {
    /// White space.
    pub(super) fn space(&mut self) {
        if self.gap == Gap::None {
            self.gap = Gap::Space;
        }
    }

    /// A line break.
    pub(super) fn line_break(&mut self) {
        self.gap = Gap::Break;
    }

    /// Text whose white space collapses.
    pub(super) fn text(&mut self, text: &str, style: Style<'l>) {
        let begun = text.trim_start_matches(|c: char| is_space(c) || is_invisible(c));
        if begun.len() < text.len() && text[..text.len() - begun.len()].contains(is_space) {
            self.space();
        }
        if begun.is_empty() {
            return;
        }
        let before = (self.text.len(), self.struck);
        self.before_run(style.deleted);
        let start = self.text.len();
        push_collapsed(&mut self.text, begun);
        let end = start + self.text[start..].trim_end_matches(' ').len();
        if end == start {
            self.text.truncate(before.0);
            self.struck = before.1;
            return;
        }
        let space_after = self.text.len() > end;
        self.text.truncate(end);
        self.add(Run { kind: Kind::Text, start, end, style, gap: self.gap });
        self.gap = if space_after { Gap::Space } else { Gap::None };
    }

    /// Text whose white space counts.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.text.extend(visible(text));
    }

    /// The text does not end in the middle of a line.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.text.is_empty() || self.text.ends_with('\n')
    }

    /// The word that what comes next touches: its letters and digits, or the sign it ends in.
    pub(super) fn last_word(&self) -> &str {
        if self.gap != Gap::None {
            return "";
        }
        let word = self.text.trim_end_matches(char::is_alphanumeric).len();
        if word < self.text.len() {
            return &self.text[word..];
        }
        let sign = self.text.chars().next_back().map_or(0, char::len_utf8);
        &self.text[self.text.len() - sign..]
    }

    /// An image; the words around it stand apart.
    pub(super) fn image(&mut self, image: Image, style: Style<'l>) {
        if self.images.last() == Some(&image) {
            return;
        }
        let at = self.text.len();
        self.images.push(image);
        let kind = Kind::Image(self.images.len() - 1);
        let style = Style { link: style.link, ..Style::default() };
        self.add(Run { kind, start: at, end: at, style, gap: self.gap });
        self.gap = Gap::Space;
    }

    /// Ends the block: its text is complete.
    pub(super) fn end(&mut self) {
        if self.struck {
            self.text.push_str("~~");
            self.struck = false;
        }
    }

    /// Begins the next block.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.runs.clear();
        self.images.clear();
        self.gap = Gap::None;
        self.struck = false;
    }

    /// Writes what stands between the run before and the next one.
    fn before_run(&mut self, deleted: bool) {
        if self.struck && !deleted {
            self.text.push_str("~~");
            self.struck = false;
        }
        if self.gap != Gap::None && !self.text.is_empty() {
            self.text.push(' ');
        }
        if deleted && !self.struck {
            self.text.push_str("~~");
            self.struck = true;
        }
    }

    fn add(&mut self, run: Run<'l>) {
        if let Some(last) = self.runs.last_mut()
            && last.kind == Kind::Text
            && run.kind == Kind::Text
            && last.style == run.style
            && run.gap != Gap::Break
        {
            last.end = run.end;
            return;
        }
        self.runs.push(run);
    }
}
