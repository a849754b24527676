//! The runs of a block as inline Markdown.
//!
//! Emphasis is written so that `CommonMark` reads it: between a letter outside and punctuation
//! inside, asterisks would stay asterisks, so there the emphasis begins and ends at a letter
//! (`**Price**:20`, not `**Price:**20`); what holds no letter loses its mark. Code is written in
//! one piece: a link that covers all of it stands around it, one inside it is dropped.

use super::escape::{self, Surroundings};
use super::inline::{Gap, Image, Inline, Kind, Run, Style, Target};

/// How many runs are looked at to see which of several marks ends last.
const LOOK_AHEAD: usize = 32;

/// Where a block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In lines of its own.
    Block,
    /// After the marks of a heading.
    Heading,
    /// In a cell of a table.
    Cell,
}

/// The Markdown of a block; `None` if its addresses make it longer than `room` bytes.
pub(super) fn markdown(block: &Inline<'_>, place: Place, room: usize) -> Option<String> {
    let mut runs = whole_code(&block.runs);
    if runs.iter().any(|run| run.style.strong || run.style.emphasis || run.style.deleted) {
        for mark in [Emphasis::Deleted, Emphasis::Strong, Emphasis::Plain] {
            runs = delimited(&block.text, &runs, mark);
        }
    }
    let tildes = block.text.bytes().filter(|byte| *byte == b'~').nth(1).is_some();
    let mut writer = Writer {
        text: &block.text,
        images: &block.images,
        place,
        tildes,
        room,
        overflowed: false,
        out: String::with_capacity(block.text.len() + block.text.len() / 8),
        open: Vec::new(),
        skipped: Vec::new(),
    };
    writer.write(&runs);
    let Writer { out, overflowed, .. } = writer;
    let out = if place == Place::Heading { closed_heading(out) } else { out };
    (!overflowed).then_some(out)
}

/// A heading's last `#` would be read as a mark of its end.
fn closed_heading(mut heading: String) -> String {
    let trimmed = heading.trim_end_matches('#');
    if heading.ends_with('#') && (trimmed.is_empty() || trimmed.ends_with(' ')) {
        heading.insert(heading.len() - 1, '\\');
    }
    heading
}

/// The marks that stand around words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emphasis {
    Deleted,
    Strong,
    Plain,
}

impl Emphasis {
    const fn is_on(self, style: &Style<'_>) -> bool {
        match self {
            Self::Deleted => style.deleted,
            Self::Strong => style.strong,
            Self::Plain => style.emphasis,
        }
    }

    const fn clear(self, style: &mut Style<'_>) {
        match self {
            Self::Deleted => style.deleted = false,
            Self::Strong => style.strong = false,
            Self::Plain => style.emphasis = false,
        }
    }

    const fn mark(self) -> &'static str {
        match self {
            Self::Deleted => "~~",
            Self::Strong => "**",
            Self::Plain => "*",
        }
    }
}

/// The runs of one element of code as one run each; code that touches other code joins it.
fn whole_code<'l>(runs: &[Run<'l>]) -> Vec<Run<'l>> {
    let mut whole: Vec<Run<'l>> = Vec::with_capacity(runs.len());
    for run in runs {
        let joins = |last: &&mut Run<'l>| {
            last.kind == Kind::Text
                && run.kind == Kind::Text
                && last.style.code.is_some()
                && run.style.code.is_some()
                && (last.style.code == run.style.code || run.gap == Gap::None)
        };
        if let Some(last) = whole.last_mut().filter(joins) {
            last.end = run.end;
            last.style.link = last.style.link.filter(|link| Some(*link) == run.style.link);
            last.style.strong &= run.style.strong;
            last.style.emphasis &= run.style.emphasis;
            last.style.deleted &= run.style.deleted;
        } else {
            whole.push(*run);
        }
    }
    whole
}

/// The runs with every span of `mark` narrowed to where its delimiters work.
fn delimited<'l>(text: &str, runs: &[Run<'l>], mark: Emphasis) -> Vec<Run<'l>> {
    let mut out: Vec<Run<'l>> = Vec::with_capacity(runs.len() + 2);
    let mut at = 0;
    while at < runs.len() {
        if !mark.is_on(&runs[at].style) {
            out.push(runs[at]);
            at += 1;
            continue;
        }
        let length = runs[at..].iter().take_while(|run| mark.is_on(&run.style)).count();
        let mut span = Span { text, mark, runs: runs[at..at + length].to_vec(), outside: vec![] };
        let link = span.runs[0].style.link;
        let inside_link = link.is_some() && span.runs.iter().all(|run| run.style.link == link);
        let before = at.checked_sub(1).map(|before| &runs[before]);
        span.begin(before, inside_link);
        let heads = span.outside.len();
        span.end(runs.get(at + length), inside_link);
        let heads = span.balance(heads);
        out.extend(span.outside.drain(..heads));
        out.append(&mut span.runs);
        span.outside.reverse();
        out.append(&mut span.outside);
        at += length;
    }
    out
}

/// Successive runs with the same mark.
struct Span<'t, 'l> {
    text: &'t str,
    mark: Emphasis,
    runs: Vec<Run<'l>>,
    /// Those that have lost it.
    outside: Vec<Run<'l>>,
}

impl<'l> Span<'_, 'l> {
    /// Narrows the start, so that the mark can open after the run `before`.
    fn begin(&mut self, before: Option<&Run<'l>>, inside_link: bool) {
        let mut outer = before.map_or(' ', |run| {
            let new_link = inside_link && run.style.link != self.runs[0].style.link;
            if new_link { '[' } else { self.last(run) }
        });
        let mut done = 0;
        while let Some(run) = self.runs.get_mut(done) {
            let structural = run.kind != Kind::Text
                || run.style.code.is_some()
                || run.style.link.is_some() && !inside_link;
            let words = &self.text[run.start..run.end];
            if run.gap != Gap::None
                || is_open_side(outer)
                || !structural && words.starts_with(char::is_alphanumeric)
            {
                break;
            }
            let mut moved = *run;
            self.mark.clear(&mut moved.style);
            if !structural && let Some(first) = words.find(char::is_alphanumeric) {
                moved.end = run.start + first;
                run.start = moved.end;
                run.gap = trailing_space(self.text, &mut moved);
                self.outside.push(moved);
                break;
            }
            outer = if structural { ')' } else { words.chars().next_back().unwrap_or(' ') };
            self.outside.push(moved);
            done += 1;
        }
        self.runs.drain(..done);
    }

    /// Narrows the end, so that the mark can close before the run `after`.
    fn end(&mut self, after: Option<&Run<'l>>, inside_link: bool) {
        let mut outer = after.map_or(' ', |run| {
            let other_link =
                inside_link && self.runs.last().map(|r| r.style.link) != Some(run.style.link);
            if run.gap != Gap::None {
                ' '
            } else if other_link {
                ']'
            } else {
                self.first(run)
            }
        });
        while let Some(run) = self.runs.last_mut() {
            let structural = run.kind != Kind::Text
                || run.style.code.is_some()
                || run.style.link.is_some() && !inside_link;
            let words = &self.text[run.start..run.end];
            if is_open_side(outer) || !structural && words.ends_with(char::is_alphanumeric) {
                break;
            }
            let mut moved = *run;
            self.mark.clear(&mut moved.style);
            if !structural && let Some(last) = words.rfind(char::is_alphanumeric) {
                let width = words[last..].chars().next().map_or(1, char::len_utf8);
                run.end = run.start + last + width;
                moved.start = run.end;
                moved.gap = leading_space(self.text, &mut moved);
                self.outside.push(moved);
                break;
            }
            outer = match moved.gap {
                Gap::None if structural => '(',
                Gap::None => words.chars().next().unwrap_or(' '),
                _ => ' ',
            };
            self.outside.push(moved);
            self.runs.pop();
        }
    }

    /// Takes the bracket at the start out, too, whose partner has been taken out at the end; the
    /// first `heads` of those outside stand before the span.
    fn balance(&mut self, heads: usize) -> usize {
        let text = self.text;
        let tails = &self.outside[heads..];
        let (Some(tail), Some(run)) = (tails.last(), self.runs.first_mut()) else { return heads };
        let opener = match text[tail.start..tail.end].chars().next() {
            Some(')') => '(',
            Some('」') => '「',
            Some('』') => '『',
            Some('】') => '【',
            Some('》') => '《',
            Some('”') => '“',
            Some('»') => '«',
            Some('"') => '"',
            _ => return heads,
        };
        let words = &text[run.start..run.end];
        let rest =
            words.strip_prefix(opener).filter(|rest| rest.starts_with(char::is_alphanumeric));
        if run.kind != Kind::Text
            || run.style.code.is_some()
            || run.style.link.is_some()
            || rest.is_none()
        {
            return heads;
        }
        let mut moved = *run;
        self.mark.clear(&mut moved.style);
        moved.end = run.start + opener.len_utf8();
        run.start = moved.end;
        run.gap = Gap::None;
        self.outside.insert(heads, moved);
        heads + 1
    }

    fn last(&self, run: &Run<'_>) -> char {
        if run.kind != Kind::Text || run.style.code.is_some() {
            return ')';
        }
        self.text[run.start..run.end].chars().next_back().unwrap_or(' ')
    }

    fn first(&self, run: &Run<'_>) -> char {
        if run.kind != Kind::Text || run.style.code.is_some() {
            return '(';
        }
        self.text[run.start..run.end].chars().next().unwrap_or(' ')
    }
}

/// Takes the space from the end of a run, for the run after it.
fn trailing_space(text: &str, run: &mut Run<'_>) -> Gap {
    let trimmed = text[run.start..run.end].trim_end_matches(' ').len();
    let gap = if run.start + trimmed < run.end { Gap::Space } else { Gap::None };
    run.end = run.start + trimmed;
    gap
}

/// Takes the space from the start of a run.
fn leading_space(text: &str, run: &mut Run<'_>) -> Gap {
    let trimmed = text[run.start..run.end].trim_start_matches(' ').len();
    let gap = if run.end - trimmed > run.start { Gap::Space } else { Gap::None };
    run.start = run.end - trimmed;
    gap
}

/// Whether a delimiter beside `outer` works whatever is on its other side: every reader of Markdown
/// takes it for white space or punctuation.
const fn is_open_side(outer: char) -> bool {
    outer == ' '
        || outer.is_ascii_punctuation()
        || matches!(outer, '\u{2010}'..='\u{2027}' | '\u{3001}' | '\u{3002}' | '\u{3008}'..='\u{3011}' | '«' | '»')
}

/// A mark that has been opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark<'l> {
    Link(Target<'l>),
    Emphasis(Emphasis),
}

impl<'l> Mark<'l> {
    fn is_on(self, style: &Style<'l>) -> bool {
        match self {
            Self::Link(link) => style.link == Some(link),
            Self::Emphasis(emphasis) => emphasis.is_on(style),
        }
    }
}

struct Writer<'t, 'l> {
    text: &'t str,
    images: &'t [Image],
    place: Place,
    tildes: bool,
    room: usize,
    /// An address did not fit.
    overflowed: bool,
    out: String,
    open: Vec<Mark<'l>>,
    /// Marks that could not be opened where they begin.
    skipped: Vec<Emphasis>,
}

impl<'l> Writer<'_, 'l> {
    fn write(&mut self, runs: &[Run<'l>]) {
        for (at, run) in runs.iter().enumerate() {
            if self.overflowed {
                return;
            }
            let kept = self.open.iter().take_while(|mark| mark.is_on(&run.style)).count();
            let closed = self.out.len();
            self.close(kept);
            let stars = self.out[closed..].ends_with('*') && run.gap == Gap::None;
            self.gap(run.gap);
            self.open_marks(&runs[at..], stars);
            match run.kind {
                Kind::Image(image) => self.image(&self.images[image]),
                Kind::Text if run.style.code.is_some() => self.code(run),
                Kind::Text => self.words(run, runs.get(at + 1)),
            }
        }
        self.close(0);
    }

    /// An address, which is the only part that may be longer than what stands for it in the page.
    fn address(&mut self, url: &str) {
        self.overflowed |= url.len() > self.room.saturating_sub(self.out.len());
        if !self.overflowed {
            push_url(&mut self.out, url, self.place);
        }
    }

    fn gap(&mut self, gap: Gap) {
        if self.out.is_empty() {
            return;
        }
        match gap {
            Gap::None => {}
            Gap::Break if self.place == Place::Block => self.out.push_str("  \n"),
            Gap::Space | Gap::Break => self.out.push(' '),
        }
    }

    /// Closes the marks after the first `kept`.
    fn close(&mut self, kept: usize) {
        while self.open.len() > kept {
            match self.open.pop() {
                Some(Mark::Link(link)) => {
                    self.out.push_str("](");
                    self.address(link.url);
                    self.out.push(')');
                }
                Some(Mark::Emphasis(emphasis)) => self.out.push_str(emphasis.mark()),
                None => {}
            }
        }
    }

    /// Opens the marks of the first of `runs`, the one that ends last before the others. Asterisks
    /// do not open where others have just closed: they would run together.
    fn open_marks(&mut self, runs: &[Run<'l>], stars: bool) {
        let style = &runs[0].style;
        self.skipped.retain(|emphasis| emphasis.is_on(style));
        let mut marks = [None; 4];
        marks[0] = style.link.map(Mark::Link);
        for (slot, emphasis) in
            marks[1..].iter_mut().zip([Emphasis::Deleted, Emphasis::Strong, Emphasis::Plain])
        {
            let mark = Mark::Emphasis(emphasis);
            if mark.is_on(style) && !self.open.contains(&mark) {
                if stars && emphasis != Emphasis::Deleted && !self.skipped.contains(&emphasis) {
                    self.skipped.push(emphasis);
                }
                *slot = Some(mark).filter(|_| !self.skipped.contains(&emphasis));
            }
        }
        let mut marks: [Option<(usize, Mark<'l>)>; 4] = marks.map(|mark| {
            let mark = mark.filter(|mark| !self.open.contains(mark))?;
            let extent =
                runs.iter().take(LOOK_AHEAD).take_while(|run| mark.is_on(&run.style)).count();
            Some((extent, mark))
        });
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.map_or(0, |(extent, _)| extent)));
        for (_, mark) in marks.into_iter().flatten() {
            match mark {
                Mark::Link(_) => self.out.push('['),
                Mark::Emphasis(emphasis) => self.out.push_str(emphasis.mark()),
            }
            self.open.push(mark);
        }
    }

    fn words(&mut self, run: &Run<'l>, next: Option<&Run<'l>>) {
        let close = next.filter(|next| next.gap == Gap::None);
        let in_link = run.style.link.is_some();
        let line_start =
            self.place == Place::Block && (self.out.is_empty() || self.out.ends_with('\n'));
        let around = Surroundings {
            line_start,
            after_line: line_start && !self.out.is_empty(),
            followed: close.is_some() || !self.open.is_empty(),
            before_link: close
                .is_some_and(|next| next.style.link.is_some() && next.style.link != run.style.link),
            in_link,
            in_cell: self.place == Place::Cell,
            tildes: self.tildes,
        };
        escape::push(&mut self.out, &self.text[run.start..run.end], around);
    }

    /// A span of code, its fence longer than any run of backticks inside.
    fn code(&mut self, run: &Run<'_>) {
        let code = &self.text[run.start..run.end];
        let fence = "`".repeat(longest_run(code) + 1);
        let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
        self.out.push_str(&fence);
        self.out.push_str(pad);
        if self.place == Place::Cell {
            self.out.push_str(&code.replace('|', "\\|"));
        } else {
            self.out.push_str(code);
        }
        self.out.push_str(pad);
        self.out.push_str(&fence);
    }

    fn image(&mut self, image: &Image) {
        self.out.push_str("![");
        let around = Surroundings {
            in_link: true,
            in_cell: self.place == Place::Cell,
            tildes: true,
            followed: true,
            ..Surroundings::default()
        };
        escape::push(&mut self.out, &image.alternative, around);
        self.out.push_str("](");
        self.address(&image.url);
        self.out.push(')');
    }
}

/// Length of the longest run of backticks in `text`.
pub(super) fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for byte in text.bytes() {
        run = if byte == b'`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Appends a URL with what would end it or read otherwise encoded.
fn push_url(out: &mut String, url: &str, place: Place) {
    for (at, character) in url.char_indices() {
        match character {
            '&' if escape::is_reference(&url[at..]) => out.push_str("&amp;"),
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '\\' => out.push_str("%5C"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '|' if place == Place::Cell => out.push_str("%7C"),
            other => out.push(other),
        }
    }
}
