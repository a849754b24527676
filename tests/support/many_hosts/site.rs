//! The pages: where they are, what they link to, what they say.

use std::fmt::Write as _;

use super::plan::Plan;

/// Pages that each page of the tree leads to.
const BRANCHES: u32 = 8;
/// Links of each page across the tree.
const CROSS_LINKS: u32 = 2;
/// Paragraphs that are drawn from.
const PARAGRAPHS: usize = 256;
/// Words of a paragraph.
const WORDS: usize = 60;
/// What most pages have in front of their paragraphs, in bytes.
const HEAD: usize = 1024;

const VOCABULARY: &str = "the river carries grain to a mill below this weir and its wheel turns \
    slowly while water falls over old stones where two keepers count sacks of flour before barges \
    leave at dawn with letters from every village that pays a toll for each bushel ground between \
    harvest and first frost when ice stops all work until spring brings high water back again";

/// The path of a page.
pub(super) fn path(page: u32) -> String {
    if page == 0 { "/".to_owned() } else { format!("/page/{page}") }
}

/// The number of the page that a path names, whether the host has it or not.
pub(super) fn number(path: &str) -> Option<u32> {
    if path == "/" {
        return Some(0);
    }
    let digits = path.strip_prefix("/page/")?;
    let plain = !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| plain)
}

/// Numbers that look like chance: splitmix64.
struct Chance(u64);

impl Chance {
    /// A number below `end`, which is not zero.
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or_default();
        high % end
    }
}

/// What pages are made of.
pub(super) struct Site {
    paragraphs: Vec<String>,
}

impl Site {
    pub(super) fn new(seed: u64) -> Self {
        let words: Vec<&str> = VOCABULARY.split_whitespace().collect();
        let end = u32::try_from(words.len()).expect("a short list");
        let mut chance = Chance(seed);
        let mut paragraph = |_| {
            let words = (0..WORDS).map(|_| words[chance.below(end) as usize]);
            format!("<p>{}.</p>\n", words.collect::<Vec<_>>().join(" "))
        };
        Self { paragraphs: (0..PARAGRAPHS).map(&mut paragraph).collect() }
    }

    /// The page of this number: links first, then a paragraph of its own and such that others may
    /// have too, up to the length that the host's pages have.
    pub(super) fn page(&self, plan: &Plan, host: usize, page: u32) -> String {
        let place = (host as u64) << 32 | u64::from(page);
        let mut chance = Chance(plan.seed ^ place.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (name, settings) = (&plan.hosts[host].name, &plan.hosts[host].settings);
        let mut html = String::with_capacity(settings.page_bytes + HEAD);
        let title = format!("Page {page} of {name}");
        let _ = write!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}\
             </title></head>\n<body><nav><ul>\n"
        );
        let branches =
            (1..=BRANCHES).map(|branch| u64::from(page) * u64::from(BRANCHES) + u64::from(branch));
        let branches =
            branches.filter_map(|to| u32::try_from(to).ok()).filter(|to| *to < settings.pages);
        for to in branches {
            link(&mut html, "", &path(to));
        }
        for _ in 0..CROSS_LINKS {
            link(&mut html, "", &path(chance.below(settings.pages)));
        }
        let others = u32::try_from(plan.hosts.len()).unwrap_or(u32::MAX);
        for _ in 0..settings.links_out {
            let other = &plan.hosts[chance.below(others) as usize];
            let origin = format!("http://{}:{}", other.name, plan.port);
            link(&mut html, &origin, &path(chance.below(other.settings.pages)));
        }
        let _ = write!(
            html,
            "</ul></nav>\n<main><h1>{title}</h1>\n<p>This is page {page} of the {} that the host \
             {name} has.</p>\n",
            settings.pages
        );
        let mut next = chance.below(u32::MAX) as usize;
        while html.len() < settings.page_bytes {
            html.push_str(&self.paragraphs[next % PARAGRAPHS]);
            next = next.wrapping_add(1);
        }
        html.push_str("</main></body></html>\n");
        html
    }
}

fn link(html: &mut String, origin: &str, path: &str) {
    let _ = writeln!(html, "<li><a href=\"{origin}{path}\">{path}</a></li>");
}
