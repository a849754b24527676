//! One block while it is read: its text and its Markdown, with the markers that are open in it.

use super::text::visible;
use super::text::{is_space, push_collapsed};

/// An inline element that Markdown can show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// `**strong**`
    Strong,
    /// `*emphasis*`
    Emphasis,
    /// `` `code` ``
    Code,
    /// `~~deleted~~`
    Deleted,
    /// `[text](url)`
    Link(String),
}

impl Marker {
    const fn opening(&self) -> &'static str {
        match self {
            Self::Strong => "**",
            Self::Emphasis => "*",
            Self::Code => "`",
            Self::Deleted => "~~",
            Self::Link(_) => "[",
        }
    }

    fn close(&self, out: &mut String) {
        if let Self::Link(url) = self {
            out.push_str("](");
            push_url(out, url);
            out.push(')');
        } else {
            out.push_str(self.opening());
        }
    }
}

/// A block being read. Markers are written only around text: an element without any leaves none.
#[derive(Debug, Default)]
pub(super) struct Inline {
    text: String,
    markdown: String,
    /// White space stands before what comes next.
    space: bool,
    open: Vec<Marker>,
    /// How many of `open` have been written.
    written: usize,
}

impl Inline {
    /// White space.
    pub(super) fn space(&mut self) {
        self.space = true;
    }

    /// Text whose white space collapses.
    pub(super) fn text(&mut self, text: &str) {
        let mut piece = String::new();
        push_collapsed(&mut piece, text);
        let trimmed = piece.trim_end();
        self.space |= text.starts_with(is_space);
        if trimmed.is_empty() {
            self.space |= text.contains(is_space);
            return;
        }
        self.before_word();
        self.text.push_str(trimmed);
        if self.open.contains(&Marker::Code) {
            self.markdown.extend(trimmed.chars().filter(|c| *c != '`'));
        } else {
            escape(&mut self.markdown, trimmed);
        }
        self.space = text.ends_with(is_space);
    }

    /// Text whose white space counts.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.text.extend(visible(text));
    }

    /// An image: in Markdown only.
    pub(super) fn image(&mut self, alternative: &str, url: &str) {
        if self.space && !self.markdown.is_empty() {
            self.markdown.push(' ');
        }
        self.markdown.push_str("![");
        let mut piece = String::new();
        push_collapsed(&mut piece, alternative);
        escape(&mut self.markdown, piece.trim());
        self.markdown.push_str("](");
        push_url(&mut self.markdown, url);
        self.markdown.push(')');
        // The next word stands apart from the image, in Markdown as in text.
        self.space = true;
    }

    /// An inline element begins.
    pub(super) fn open(&mut self, marker: Marker) {
        // Markers of the same kind do not nest in Markdown.
        self.open.push(marker);
    }

    /// An inline element ends.
    pub(super) fn close(&mut self, marker: &Marker) {
        let Some(at) = self.open.iter().rposition(|open| open == marker) else { return };
        // Those inside it end with it and begin again after it.
        for written in self.open[..self.written].iter().skip(at).rev() {
            written.close(&mut self.markdown);
        }
        self.written = self.written.min(at);
        self.open.remove(at);
    }

    /// The text and the Markdown read so far, trimmed; what is open stays open.
    pub(super) fn take(&mut self) -> (String, String) {
        for written in self.open[..self.written].iter().rev() {
            written.close(&mut self.markdown);
        }
        self.written = 0;
        self.space = false;
        (std::mem::take(&mut self.text), std::mem::take(&mut self.markdown))
    }

    /// Writes the space and the markers that stand before a word.
    fn before_word(&mut self) {
        if self.space {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            if !self.markdown.is_empty() {
                self.markdown.push(' ');
            }
        }
        for marker in &self.open[self.written..] {
            self.markdown.push_str(marker.opening());
        }
        self.written = self.open.len();
    }
}

/// Appends `text` with backslashes before what Markdown would read as markup.
fn escape(out: &mut String, text: &str) {
    let at_start = out.is_empty();
    if at_start {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at(digits);
        if digits > 0 && rest.starts_with(['.', ')']) {
            out.push_str(number);
            out.push('\\');
            escape_inside(out, rest);
            return;
        }
        if text.starts_with(['#', '+', '-', '>', '=', '|']) {
            out.push('\\');
        }
    }
    escape_inside(out, text);
}

fn escape_inside(out: &mut String, text: &str) {
    for character in text.chars() {
        if matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<') {
            out.push('\\');
        }
        out.push(character);
    }
}

/// Appends a URL with the parentheses that would end it escaped.
fn push_url(out: &mut String, url: &str) {
    for character in url.chars() {
        match character {
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            other => out.push(other),
        }
    }
}
