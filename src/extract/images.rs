//! The image that an `img` element shows.
//!
//! Pages that load images late leave a placeholder in `src`; the address is then in a `data-`
//! attribute, in a `srcset`, in a `source` of the same `picture`, or in a `noscript` after it. An
//! image whose alternative text is empty is decoration, as the standard says, and is left out.

use std::borrow::Cow;

use super::tag::Tag;
use super::token::Attributes;
use super::tree::Tree;

/// Longest address of an image, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// Attributes in which pages keep the address for later.
const LATE: [&str; 7] = [
    "data-src",
    "data-lazy-src",
    "data-original",
    "data-original-src",
    "data-lazy",
    "data-full-src",
    "data-image",
];
/// Candidates of several sizes.
const SETS: [&str; 3] = ["data-srcset", "data-lazy-srcset", "srcset"];
/// Words in the names of files that stand for an image not loaded yet.
const PLACEHOLDERS: [&str; 7] =
    ["blank.", "placeholder", "spacer.", "pixel.", "1x1", "loading.", "lazy."];

/// The alternative text and the address, as written, of the image at `image`.
pub(super) fn of<'a>(tree: &Tree<'a>, image: usize) -> Option<(Cow<'a, str>, String)> {
    let attributes = tree.attributes(&tree.nodes[image]);
    let in_noscript = noscript_twin(tree, image);
    let twin = |name| in_noscript.and_then(|twin: Attributes<'a>| twin.get(name));
    let alternative = attributes.get("alt").filter(|alt| !alt.trim().is_empty());
    let alternative = alternative.or_else(|| twin("alt")).unwrap_or_default();
    if alternative.trim().is_empty() {
        return None;
    }
    let address = late(attributes)
        .or_else(|| attributes.get("src").filter(|src| is_real(src)).map(Cow::into_owned))
        .or_else(|| from_sets(attributes))
        .or_else(|| in_noscript.and_then(late))
        .or_else(|| twin("src").filter(|src| is_real(src)).map(Cow::into_owned))
        .or_else(|| from_picture(tree, image))?;
    (address.len() <= MAX_URL_BYTES).then_some((alternative, address))
}

fn late(attributes: Attributes<'_>) -> Option<String> {
    LATE.iter()
        .find_map(|name| attributes.get(name))
        .filter(|src| is_real(src))
        .map(Cow::into_owned)
}

/// The largest candidate of a set.
fn from_sets(attributes: Attributes<'_>) -> Option<String> {
    SETS.iter().find_map(|name| attributes.get(name).and_then(|set| largest(&set)))
}

/// The largest of `a.jpg 1x, b.jpg 2x` or `a.jpg 300w, b.jpg 600w`.
fn largest(set: &str) -> Option<String> {
    let mut best: Option<(f64, &str)> = None;
    for candidate in set.split([',', '\n']).map(str::trim) {
        let mut parts = candidate.split_ascii_whitespace();
        let Some(address) = parts.next().filter(|address| is_real(address)) else { continue };
        let size =
            parts.next().and_then(|size| size.trim_end_matches(['w', 'x', 'h']).parse().ok());
        let size = size.unwrap_or(1.0);
        if best.is_none_or(|(largest, _)| size > largest) {
            best = Some((size, address));
        }
    }
    best.map(|(_, address)| address.to_owned())
}

fn is_real(address: &str) -> bool {
    let address = address.trim();
    let name = address.split(['?', '#']).next().unwrap_or(address);
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    !address.is_empty()
        && !address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        && !address.starts_with("about:")
        && !PLACEHOLDERS.iter().any(|placeholder| name.contains(placeholder))
}

/// The attributes of the image in a `noscript` that follows.
fn noscript_twin<'a>(tree: &Tree<'a>, image: usize) -> Option<Attributes<'a>> {
    let next = tree.nodes.get(image + 1).filter(|next| next.tag == Tag::Noscript)?;
    let inside = &tree.nodes[image + 2..next.end()];
    inside.iter().find(|node| node.tag == Tag::Img).map(|twin| tree.attributes(twin))
}

/// The address in a `source` of the same `picture`.
fn from_picture(tree: &Tree<'_>, image: usize) -> Option<String> {
    let parent = tree.nodes[image].parent();
    if tree.nodes[parent].tag != Tag::Picture {
        return None;
    }
    let mut sources = tree.nodes[parent + 1..image].iter().filter(|node| node.tag == Tag::Source);
    sources.find_map(|source| from_sets(tree.attributes(source)))
}
