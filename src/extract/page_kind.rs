//! What kind of page a document is, judged from general signs.
//!
//! Signs are what the page says of itself (types of JSON-LD, `og:type`), words of its URL, and
//! counts of what it holds: links, prices, dates, code, parts that are alike. Each sign that is
//! there adds its weights to the kinds; the largest sum wins, and its share after a softmax is the
//! confidence. The weights are those of a logistic regression over marked pages.

mod weights;

use std::borrow::Cow;

use url::Url;

use super::hints::Hints;
use super::tag::Tag;
use super::tree::{Node, Tree};
use crate::model::{PageKind, PageType};
use weights::{BIAS, WEIGHTS};

/// Shortest run of text outside links that counts as prose, in bytes.
const MIN_PROSE_BYTES: usize = 60;
/// Longest text that is looked at for a price, in bytes.
const MAX_PRICE_BYTES: usize = 40;

/// What a document says of itself.
#[derive(Debug)]
pub(super) struct Declared<'d> {
    /// Types of JSON-LD.
    pub(super) types: &'d [Cow<'d, str>],
    /// `og:type`.
    pub(super) open_graph: Option<&'d str>,
    /// Its addresses: where it was found, where it says that it is.
    pub(super) urls: [Option<&'d str>; 2],
}

/// Judges a document.
pub(super) fn judge(tree: &Tree<'_>, declared: &Declared<'_>) -> PageType {
    let signs = signs(tree, declared);
    let mut scores = BIAS;
    for (sign, weights) in WEIGHTS.iter().enumerate() {
        if signs >> sign & 1 == 1 {
            for (score, weight) in scores.iter_mut().zip(weights) {
                *score += weight;
            }
        }
    }
    let (best, score) = (0..KINDS.len())
        .map(|at| (at, scores[at]))
        .max_by_key(|(_, score)| *score)
        .unwrap_or_default();
    let share: f64 = scores.iter().map(|other| (f64::from(other - score) / 10.0).exp()).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 100")]
    let confidence = (100.0 / share).round() as u8;
    PageType { kind: KINDS[best], confidence }
}

const KINDS: [PageKind; 7] = [
    PageKind::Article,
    PageKind::Collection,
    PageKind::Documentation,
    PageKind::Forum,
    PageKind::Listing,
    PageKind::Product,
    PageKind::Service,
];

/// Types of JSON-LD, each set one sign.
const TYPES: [&[&str]; 9] = [
    &["Article", "NewsArticle", "BlogPosting", "ScholarlyArticle", "Report", "MedicalWebPage"],
    &["TechArticle", "APIReference", "HowTo"],
    &["DiscussionForumPosting", "SocialMediaPosting"],
    &["QAPage"],
    &["Product", "ProductGroup", "IndividualProduct"],
    &["CollectionPage", "ItemList", "OfferCatalog", "SearchResultsPage"],
    &["Service", "ProfessionalService", "LocalBusiness", "FinancialService"],
    &["FAQPage"],
    &["BreadcrumbList"],
];

/// Values of `og:type`, each set one sign.
const OPEN_GRAPH: [&[&str]; 4] =
    [&["article"], &["website"], &["product", "og:product"], &["product.group"]];

/// Words of URLs, each set one sign.
const WORDS: [&[&str]; 9] = [
    &[
        "docs",
        "doc",
        "documentation",
        "reference",
        "api",
        "manual",
        "handbook",
        "tutorial",
        "tutorials",
        "guide",
        "guides",
        "learn",
        "wiki",
        "developer",
        "developers",
        "latest",
        "stable",
    ],
    &[
        "forum",
        "forums",
        "thread",
        "threads",
        "topic",
        "t",
        "viewtopic",
        "showthread",
        "discuss",
        "discussion",
        "discussions",
        "boards",
        "questions",
        "community",
        "comments",
        "talk",
        "d",
    ],
    &["product", "products", "dp", "p", "item", "itm", "ip", "sku", "pd", "listing"],
    &["shop", "store"],
    &["collections", "collection", "c", "cat", "catalog", "catpage", "shop", "w", "browse"],
    &[
        "services",
        "service",
        "solutions",
        "consulting",
        "consultants",
        "platform",
        "pricing",
        "features",
        "capabilities",
        "agency",
    ],
    &[
        "category",
        "categories",
        "tag",
        "tags",
        "topics",
        "list",
        "directory",
        "search",
        "jobs",
        "courses",
        "programs",
        "subject",
        "archive",
        "events",
        "recipes",
    ],
    &[
        "blog",
        "blogs",
        "news",
        "article",
        "articles",
        "post",
        "posts",
        "story",
        "insights",
        "magazine",
        "learn",
        "resources",
    ],
    &["html", "htm", "php", "aspx"],
];

/// How many signs come from counts.
const COUNTS: usize = 21;
/// How many signs there are; each is one bit of a number.
const SIGNS: usize = TYPES.len() + OPEN_GRAPH.len() + WORDS.len() + 2 + COUNTS;

/// The signs of a document, one bit each.
fn signs(tree: &Tree<'_>, declared: &Declared<'_>) -> u64 {
    let mut all = Vec::with_capacity(SIGNS);
    let has_type = |set: &[&str]| declared.types.iter().any(|kind| set.contains(&&**kind));
    all.extend(TYPES.iter().map(|set| has_type(set)));
    let open_graph = declared.open_graph.map(str::trim).unwrap_or_default();
    all.extend(OPEN_GRAPH.iter().map(|set| set.contains(&open_graph)));
    let urls: Vec<Url> =
        declared.urls.iter().flatten().filter_map(|url| Url::parse(url).ok()).collect();
    let has_word = |set: &[&str]| {
        urls.iter().any(|url| {
            let host = url.host_str().unwrap_or_default();
            host.split('.')
                .chain(url.path().split(['/', '.', '-', '_']))
                .any(|word| set.contains(&word))
        })
    };
    all.extend(WORDS.iter().map(|set| has_word(set)));
    let paths = || urls.iter().map(|url| url.path().trim_matches('/'));
    all.push(!urls.is_empty() && paths().all(str::is_empty));
    all.push(paths().any(|path| path.split('/').any(is_year)));
    all.extend(Counts::of(tree).signs());
    all.iter().rev().fold(0, |bits, sign| bits << 1 | u64::from(*sign))
}

fn is_year(part: &str) -> bool {
    part.len() == 4
        && (part.starts_with("19") || part.starts_with("20"))
        && part.bytes().all(|b| b.is_ascii_digit())
}

/// How much of what a document holds.
#[derive(Debug, Default)]
struct Counts {
    text: usize,
    linked: usize,
    prose: usize,
    prices: usize,
    comments: usize,
    code: usize,
    times: usize,
    articles: usize,
    links: usize,
    headings: usize,
    images: usize,
    paragraphs: usize,
}

impl Counts {
    fn of(tree: &Tree<'_>) -> Self {
        let mut counts = Self::default();
        for node in &tree.nodes {
            if node.is_text() {
                counts.text(node, tree.text(node));
            } else {
                counts.element(node);
            }
        }
        counts
    }

    fn text(&mut self, node: &Node, text: &str) {
        self.text += text.len();
        if node.is_in_link() {
            self.linked += text.len();
        } else if text.len() >= MIN_PROSE_BYTES {
            self.prose += text.len();
        }
        self.prices += usize::from(text.len() <= MAX_PRICE_BYTES && is_price(text));
    }

    fn element(&mut self, node: &Node) {
        self.comments += usize::from(node.hints.has(Hints::COMMENTS));
        match node.tag {
            Tag::Pre => self.code += 1,
            Tag::Time => self.times += 1,
            Tag::Article => self.articles += 1,
            Tag::A => self.links += 1,
            Tag::Img => self.images += 1,
            Tag::P => self.paragraphs += 1,
            tag if tag.heading_level().is_some() => self.headings += 1,
            _ => {}
        }
    }

    fn signs(&self) -> [bool; COUNTS] {
        [
            self.code > 0,
            self.code > 3,
            self.prices > 0,
            self.prices > 5,
            self.prices > 20,
            self.times > 0,
            self.times > 5,
            self.comments > 0,
            self.comments > 10,
            self.articles > 0,
            self.articles > 3,
            self.links > 100,
            self.links > 300,
            self.headings > 10,
            self.headings > 30,
            self.linked * 2 > self.text,
            self.linked * 5 > self.text,
            self.prose * 2 > self.text,
            self.prose * 4 > self.text,
            self.images > 40,
            self.paragraphs > 15,
        ]
    }
}

/// Whether a short text is an amount of money.
fn is_price(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.contains(['$', '€', '£', '¥', '₹'])
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::io::Read;
    use std::path::PathBuf;

    use super::super::json_ld::{LinkedData, Scripts};
    use super::super::metadata::Metadata;
    use super::super::token::Tokens;
    use super::super::tree::TreeBuilder;
    use super::*;

    /// The signs of a page at `url`, and what is judged from them.
    fn judged(html: &str, url: &str) -> (u64, PageType) {
        let mut builder = TreeBuilder::new(html, 512, 1 << 20);
        let (mut metadata, mut scripts) = (Metadata::default(), Scripts::default());
        for token in Tokens::new(html, false) {
            metadata.token(&token);
            scripts.token(&token);
            builder.token(&token).unwrap();
        }
        let graph = scripts.read();
        let declared = Declared {
            types: &LinkedData::of(&graph).types,
            open_graph: metadata.open_graph_type(),
            urls: [Some(url), metadata.canonical().or_else(|| metadata.open_graph_url())],
        };
        let tree = builder.finish();
        (signs(&tree, &declared), judge(&tree, &declared))
    }

    #[test]
    fn pages_tell_their_kind() {
        let prose =
            "<p>The mill stands by the river and has ground the grain of the valley.".repeat(20);
        let linked = |kind: &str| {
            format!("<script type=application/ld+json>{{\"@type\":\"{kind}\"}}</script>")
        };
        for (html, url, expected) in [
            (
                format!("<meta property=og:type content=article>{}{prose}", linked("BlogPosting")),
                "https://example.org/2024/mills",
                PageKind::Article,
            ),
            (
                format!("{}{prose}", linked("DiscussionForumPosting")),
                "https://example.org/threads/mills",
                PageKind::Forum,
            ),
            (
                format!("{prose}<pre>a</pre><pre>b</pre><pre>c</pre><pre>d</pre>"),
                "https://docs.example.org/reference/mills",
                PageKind::Documentation,
            ),
            (
                format!("<meta property=og:type content=product>{}$ 5", linked("Product")),
                "https://example.org/products/mill",
                PageKind::Product,
            ),
        ] {
            let (_, found) = judged(&html, url);
            assert_eq!(found.kind, expected, "{url}: {found:?}");
            assert!((50..=100).contains(&found.confidence), "{url}: {found:?}");
        }
        assert!(judged("", "https://example.org/x").1.confidence < 90, "nothing is no sign");
    }

    /// Also writes what `benches/page_kind/train.py` reads.
    #[test]
    fn most_marked_pages_are_judged_right() {
        let Some(set) = std::env::var_os("GRISTMILL_EXTRACT_DEV").map(PathBuf::from) else {
            eprintln!("skipped: GRISTMILL_EXTRACT_DEV does not name the development pages");
            return;
        };
        let (mut lines, mut right, mut all) = (String::new(), 0, 0);
        for truth in std::fs::read_dir(set.join("truth")).unwrap() {
            let path = truth.unwrap().path();
            let truth: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let file = std::fs::File::open(set.join(format!("html/{name}.html.gz"))).unwrap();
            let mut page = Vec::new();
            flate2::read::MultiGzDecoder::new(file).read_to_end(&mut page).unwrap();
            let (html, _) = super::super::charset::decode(&page, None);
            let url = truth["url"].as_str().unwrap_or("https://example.org/page");
            let expected = &truth["_internal"]["page_type"]["primary"];
            let (signs, found) = judged(&html, url);
            right += usize::from(serde_json::to_value(found.kind).unwrap() == *expected);
            all += 1;
            writeln!(lines, "{expected}\t{url}\t{signs}").unwrap();
        }
        if let Some(file) = std::env::var_os("GRISTMILL_PAGE_SIGNS") {
            std::fs::write(file, lines).unwrap();
        }
        assert!(right * 100 > all * 75, "{right} of {all}");
    }
}
