//! Formulas, each once.
//!
//! A formula is its TeX source where the page has it (an `annotation`, `alttext`), else its `MathML`
//! in one line (`a/b`, `x²`, `√(x)`). TeX stands as code in Markdown. What a page shows beside it
//! for the eye alone (an `aria-hidden` twin, an image that stands in) is left out.

use super::entities::{self, Place};
use super::scripts::{lowered, raised};
use super::tag::Tag;
use super::text::push_collapsed;
use super::tree::Tree;

/// Most nodes of a formula that is brought into one line by its structure.
const MAX_NODES: usize = 2000;

/// A formula as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Formula {
    /// Its characters.
    pub(super) text: String,
    /// They are TeX.
    pub(super) tex: bool,
}

/// The formula of the `math` element at `math`.
pub(super) fn of(tree: &Tree<'_>, math: usize) -> Formula {
    let tex = annotation(tree, math).or_else(|| {
        let alttext = tree.attributes(&tree.nodes[math]).get("alttext")?;
        (!alttext.trim().is_empty()).then(|| alttext.into_owned())
    });
    match tex {
        Some(tex) => Formula { text: bare(&tex).to_owned(), tex: true },
        None => Formula { text: in_line(tree, math), tex: false },
    }
}

/// Whether the element at `at` is there for the eye alone, beside the source of a formula;
/// `formulas` are the elements `math` in order.
pub(super) fn is_twin(tree: &Tree<'_>, formulas: &[usize], at: usize) -> bool {
    let node = &tree.nodes[at];
    let parent = node.parent();
    let holder = &tree.nodes[parent];
    if formulas.is_empty() || holder.tag.is_block() || node.tag.is_block() {
        return false;
    }
    let before = |end: usize| formulas.partition_point(|math| *math < end);
    before(holder.end()) - before(parent) > before(node.end()) - before(at)
        && tree
            .attributes(node)
            .get("aria-hidden")
            .is_some_and(|hidden| hidden.trim().eq_ignore_ascii_case("true"))
}

/// TeX without the wrapping that sets its size alone.
fn bare(tex: &str) -> &str {
    let tex = tex.trim();
    let inside = tex.strip_prefix('{').and_then(|tex| tex.strip_suffix('}')).unwrap_or(tex);
    ["\\displaystyle", "\\textstyle"]
        .iter()
        .find_map(|size| inside.strip_prefix(size))
        .map_or(tex, str::trim)
}

fn annotation(tree: &Tree<'_>, math: usize) -> Option<String> {
    let at = (math + 1..tree.nodes[math].end()).find(|at| {
        let node = &tree.nodes[*at];
        node.tag == Tag::Annotation
            && tree
                .attributes(node)
                .get("encoding")
                .is_some_and(|encoding| encoding.to_ascii_lowercase().contains("tex"))
    })?;
    let mut tex = String::new();
    for node in &tree.nodes[at + 1..tree.nodes[at].end()] {
        if node.is_text() {
            push_collapsed(&mut tex, &entities::decode(tree.text(node), Place::Text));
        }
    }
    (!tex.trim().is_empty()).then_some(tex)
}

/// An open element of a formula.
struct Open {
    tag: Tag,
    node: usize,
    end: usize,
    /// Where each of its children starts in what is written.
    children: Vec<usize>,
}

/// The `MathML` of a formula in one line.
fn in_line(tree: &Tree<'_>, math: usize) -> String {
    let end = tree.nodes[math].end();
    let structured = end - math <= MAX_NODES;
    let mut out = String::new();
    let mut open: Vec<Open> = Vec::new();
    let mut at = math + 1;
    while at < end {
        close(&mut open, &mut out, at);
        let node = &tree.nodes[at];
        if let Some(parent) = open.last_mut().filter(|parent| parent.node == node.parent()) {
            parent.children.push(out.len());
        }
        if matches!(node.tag, Tag::Annotation | Tag::AnnotationXml) {
            at = node.end();
            continue;
        }
        if node.is_text() {
            let text = entities::decode(tree.text(node), Place::Text);
            push_collapsed(&mut out, text.trim());
        } else if structured {
            open.push(Open { tag: node.tag, node: at, end: node.end(), children: Vec::new() });
        }
        at += 1;
    }
    close(&mut open, &mut out, end);
    out
}

/// Writes the structure of the elements that end before `at`.
fn close(open: &mut Vec<Open>, out: &mut String, at: usize) {
    while open.last().is_some_and(|open| open.end <= at) {
        let Some(ended) = open.pop() else { return };
        let mut parts: Vec<String> =
            ended.children.iter().skip(1).rev().map(|start| out.split_off(*start)).collect();
        parts.reverse();
        let first = ended.children.first().map(|start| out.split_off(*start)).unwrap_or_default();
        let second = parts.first().map_or("", String::as_str);
        let third = parts.get(1).map_or("", String::as_str);
        match ended.tag {
            Tag::Mfrac => out.push_str(&[grouped(&first).as_str(), "/", &grouped(second)].concat()),
            Tag::Msup | Tag::Mover => out.push_str(&(grouped(&first) + &above(second))),
            Tag::Msub | Tag::Munder => out.push_str(&(first + &below(second))),
            Tag::Msubsup | Tag::Munderover => {
                out.push_str(&(first + &below(second) + &above(third)));
            }
            Tag::Msqrt => out.push_str(&["√(", first.as_str(), &parts.concat(), ")"].concat()),
            Tag::Mroot => {
                let degree: String = second.chars().map(raised).collect();
                out.push_str(&[degree.as_str(), "√(", &first, ")"].concat());
            }
            tag => {
                out.push_str(&first);
                out.push_str(&parts.concat());
                match tag {
                    Tag::Mtd => out.push_str(", "),
                    Tag::Mtr => out.push_str("; "),
                    _ => {}
                }
            }
        }
    }
}

/// In parentheses, unless it is one name or number.
fn grouped(part: &str) -> String {
    if part.chars().all(char::is_alphanumeric) { part.to_owned() } else { format!("({part})") }
}

fn above(part: &str) -> String {
    if !part.is_empty() && part.chars().all(|c| raised(c) != c) {
        return part.chars().map(raised).collect();
    }
    script('^', part)
}

fn below(part: &str) -> String {
    if !part.is_empty() && part.chars().all(|c| lowered(c) != c) {
        return part.chars().map(lowered).collect();
    }
    script('_', part)
}

fn script(mark: char, part: &str) -> String {
    match part.chars().count() {
        0 => String::new(),
        1 => format!("{mark}{part}"),
        _ => format!("{mark}({part})"),
    }
}
