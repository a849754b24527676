//! Works, posts and products.

use super::graph::{Object, Text};

/// How many authors of one work are kept.
const MAX_AUTHORS: usize = 32;
/// How many posts are kept.
const MAX_POSTS: usize = 2000;

/// Something written.
#[derive(Debug)]
pub(in crate::extract) struct Work<'a> {
    /// How telling its type is; less is more.
    pub(super) rank: Rank,
    pub(in crate::extract) headline: Option<Text<'a>>,
    /// Names of its authors.
    pub(in crate::extract) authors: Vec<Text<'a>>,
    pub(in crate::extract) published: Option<Text<'a>>,
    pub(in crate::extract) modified: Option<Text<'a>>,
    pub(in crate::extract) description: Option<Text<'a>>,
    pub(in crate::extract) language: Option<Text<'a>>,
    /// `articleBody`, or the body of another kind of work.
    pub(in crate::extract) body: Option<Text<'a>>,
    /// Address of its image.
    pub(in crate::extract) image: Option<Text<'a>>,
}

/// How telling the type of a work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// An article, a posting, a recipe: what a page is for.
    Piece,
    /// A product, a question, a review.
    Thing,
    /// The page itself.
    Page,
}

impl Rank {
    fn of(kind: &str) -> Option<Self> {
        let ends_with = |ends: &[&str]| ends.iter().any(|end| kind.ends_with(end));
        if ends_with(&["Article", "Posting", "Report", "Recipe", "HowTo", "Thesis"]) {
            Some(Self::Piece)
        } else if ends_with(&[
            "Work",
            "Product",
            "Question",
            "Book",
            "Review",
            "VideoObject",
            "Course",
            "Event",
        ]) {
            Some(Self::Thing)
        } else if ends_with(&["Page"]) {
            Some(Self::Page)
        } else {
            None
        }
    }
}

impl<'a> Work<'a> {
    /// What `object` says, if its type is that of a work.
    pub(super) fn of(object: &Object<'a, '_>) -> Option<Self> {
        let rank = object.types().filter_map(|kind| Rank::of(&kind)).min()?;
        let first = |keys: &[&str]| keys.iter().find_map(|key| object.text(key));
        let mut authors: Vec<_> = object.names("author").take(MAX_AUTHORS).collect();
        if authors.is_empty() {
            authors.extend(object.names("creator").take(MAX_AUTHORS));
        }
        let image = object
            .objects("image")
            .find_map(|image| image.text("url").or_else(|| image.text("contentUrl")));
        Some(Self {
            rank,
            headline: object.text("headline"),
            authors,
            published: first(&["datePublished", "dateCreated", "uploadDate"]),
            modified: object.text("dateModified"),
            description: first(&["description", "abstract"]),
            language: object.names("inLanguage").next(),
            body: first(&["articleBody", "reviewBody", "text"]),
            image: object.text("image").or(image).or_else(|| object.text("thumbnailUrl")),
        })
    }
}

/// A post of a discussion, a comment, a question or an answer.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the choice of the content reads these next"))]
pub(in crate::extract) struct Post<'a> {
    pub(in crate::extract) headline: Option<Text<'a>>,
    pub(in crate::extract) author: Option<Text<'a>>,
    pub(in crate::extract) published: Option<Text<'a>>,
    /// What it says, maybe with markup.
    pub(in crate::extract) text: Text<'a>,
    /// How many posts it answers: 0 for the first one.
    pub(in crate::extract) level: usize,
}

/// Appends the post that `root` is, and those inside it, in the order they stand.
pub(super) fn collect_posts<'a>(root: &Object<'a, '_>, posts: &mut Vec<Post<'a>>) {
    if !root.is_a("DiscussionForumPosting")
        && !root.is_a("Question")
        && !root.is_a("SocialMediaPosting")
    {
        return;
    }
    let mut stack = vec![(*root, 0)];
    while let Some((object, level)) = stack.pop() {
        if posts.len() >= MAX_POSTS {
            return;
        }
        if let Some(text) = object.text("text").or_else(|| object.text("articleBody")) {
            posts.push(Post {
                headline: object.text("headline").or_else(|| object.text("name")),
                author: object.names("author").next(),
                published: object.text("datePublished").or_else(|| object.text("dateCreated")),
                text,
                level,
            });
        }
        let inside = stack.len();
        for key in ["acceptedAnswer", "suggestedAnswer", "comment"] {
            let left = MAX_POSTS.saturating_sub(stack.len());
            stack.extend(object.objects_inside(key).take(left).map(|post| (post, level + 1)));
        }
        stack[inside..].reverse();
    }
}

/// A product on sale.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the choice of the content reads these next"))]
pub(in crate::extract) struct Product<'a> {
    pub(in crate::extract) name: Option<Text<'a>>,
    pub(in crate::extract) description: Option<Text<'a>>,
    pub(in crate::extract) brand: Option<Text<'a>>,
    /// Number of the article at its seller.
    pub(in crate::extract) sku: Option<Text<'a>>,
    /// Price of the first offer, or the lowest.
    pub(in crate::extract) price: Option<Text<'a>>,
    /// Its currency.
    pub(in crate::extract) currency: Option<Text<'a>>,
}

impl<'a> Product<'a> {
    /// What `object` says.
    pub(super) fn of(object: &Object<'a, '_>) -> Self {
        let offer = |keys: &[&str]| {
            object.objects("offers").find_map(|offer| {
                let inside = |key: &&str| {
                    let specification = offer.objects("priceSpecification").next();
                    offer.text(key).or_else(|| specification?.text(key))
                };
                keys.iter().find_map(inside)
            })
        };
        Self {
            name: object.text("name"),
            description: object.text("description"),
            brand: object.names("brand").next(),
            sku: object.text("sku"),
            price: offer(&["price", "lowPrice"]),
            currency: offer(&["priceCurrency"]),
        }
    }
}
