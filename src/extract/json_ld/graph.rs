//! The values of a page's JSON-LD, and walking from one to another.

use std::borrow::Cow;
use std::collections::HashMap;

use super::json::{self, Kind, Node};
use crate::extract::entities::{self, Place};
use crate::extract::text::line;

/// How many fields of an object are looked at.
const MAX_FIELDS: usize = 256;
/// How many values of a field are looked at.
const MAX_VALUES: usize = 256;

/// All values, each knowing where those inside it end.
#[derive(Debug)]
pub(in crate::extract) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    /// Objects with more than an `@id`, by it.
    by_id: HashMap<&'a str, usize, foldhash::fast::FixedState>,
}

/// An object of a graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a, 'g> {
    graph: &'g Graph<'a>,
    at: usize,
}

/// A string as written, with its escapes and character references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::extract) struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Its characters. Character references are decoded, for many pages escape twice.
    pub(in crate::extract) fn decoded(self) -> Cow<'a, str> {
        match json::unescape(self.0) {
            Cow::Borrowed(text) => entities::decode(text, Place::Text),
            Cow::Owned(text) => Cow::Owned(entities::decode(&text, Place::Text).into_owned()),
        }
    }

    /// Its characters on one line, cut to the length of metadata; `None` for white space alone.
    pub(in crate::extract) fn line(self) -> Option<String> {
        line(&self.decoded())
    }
}

impl<'a> Graph<'a> {
    pub(super) fn new(nodes: Vec<Node<'a>>) -> Self {
        let mut graph = Self { nodes, by_id: HashMap::default() };
        let mut by_id = HashMap::default();
        let objects = graph.nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::Object);
        for (at, _) in objects {
            let mut id = None;
            let mut fields = 0;
            for field in graph.children(at) {
                let field = &graph.nodes[field];
                fields += 1;
                if field.key == "@id" && field.kind == Kind::String {
                    id = Some(field.text);
                }
            }
            if let Some(id) = id.filter(|_| fields > 1) {
                by_id.entry(id).or_insert(at);
            }
        }
        graph.by_id = by_id;
        graph
    }

    /// Indices of the values directly inside the one at `at`.
    fn children(&self, at: usize) -> impl Iterator<Item = usize> + use<'_, 'a> {
        let end = self.end(at);
        let first = (at + 1 < end).then_some(at + 1);
        std::iter::successors(first, move |child| {
            let next = self.end(*child);
            (next < end).then_some(next)
        })
    }

    fn end(&self, at: usize) -> usize {
        self.nodes.get(at).map_or(0, |node| node.end as usize)
    }

    /// The objects that stand at the top, in arrays there, and in the fields `inside` of those,
    /// breadth first; at most `limit` values are looked at.
    pub(super) fn roots(&self, inside: &[&str], limit: usize) -> Vec<Object<'a, '_>> {
        let mut queue: Vec<usize> =
            std::iter::successors(Some(0), |at| Some(self.end(*at)).filter(|next| next > at))
                .take_while(|at| *at < self.nodes.len())
                .take(limit)
                .collect();
        let mut roots = Vec::new();
        let mut next = 0;
        while let Some(&at) = queue.get(next) {
            next += 1;
            let room = limit.saturating_sub(queue.len());
            match self.nodes[at].kind {
                Kind::Array => queue.extend(self.children(at).take(room)),
                Kind::Object => {
                    roots.push(Object { graph: self, at });
                    let fields = self.children(at);
                    queue.extend(
                        fields.filter(|field| inside.contains(&self.nodes[*field].key)).take(room),
                    );
                }
                _ => {}
            }
        }
        roots
    }
}

impl<'a, 'g> Object<'a, 'g> {
    /// The values of the field `key`, with what is inside arrays and wrappers in their place.
    fn all_values(&self, key: &str) -> impl Iterator<Item = usize> + use<'a, 'g> {
        let graph = self.graph;
        let mut fields = graph.children(self.at).take(MAX_FIELDS);
        let field = fields.find(|field| graph.nodes[*field].key == key);
        let field = field.map(|at| unwrapped(graph, at));
        let (items, one) = match field {
            Some(at) if graph.nodes[at].kind == Kind::Array => (Some(graph.children(at)), None),
            other => (None, other),
        };
        items.into_iter().flatten().chain(one).map(|at| unwrapped(graph, at))
    }

    fn values(&self, key: &str) -> impl Iterator<Item = usize> + use<'a, 'g> {
        self.all_values(key).take(MAX_VALUES)
    }

    /// The first text in the field `key`; a number is a text, too.
    pub(super) fn text(&self, key: &str) -> Option<Text<'a>> {
        self.texts(key).next()
    }

    /// The texts in the field `key`.
    pub(super) fn texts(&self, key: &str) -> impl Iterator<Item = Text<'a>> + use<'a, 'g> {
        let graph = self.graph;
        self.values(key).filter_map(|at| {
            let node = &graph.nodes[at];
            let text = matches!(node.kind, Kind::String | Kind::Number);
            (text && !node.text.trim().is_empty()).then_some(Text(node.text))
        })
    }

    /// The objects in the field `key`, found by their `@id` where only that is written.
    pub(super) fn objects(&self, key: &str) -> impl Iterator<Item = Self> + use<'a, 'g> {
        let graph = self.graph;
        self.values(key)
            .filter(|at| graph.nodes[*at].kind == Kind::Object)
            .map(|at| Object { graph, at }.resolved())
    }

    /// The objects that are written out in the field `key`, however many. A walk over these ends,
    /// unlike one over references, which may run in a circle.
    pub(super) fn objects_inside(&self, key: &str) -> impl Iterator<Item = Self> + use<'a, 'g> {
        let graph = self.graph;
        self.all_values(key)
            .filter(|at| graph.nodes[*at].kind == Kind::Object)
            .map(|at| Object { graph, at })
    }

    /// The texts in the field `key`, and the names of the objects in it, in the order they stand.
    pub(super) fn names(&self, key: &str) -> impl Iterator<Item = Text<'a>> + use<'a, 'g> {
        let graph = self.graph;
        self.values(key).filter_map(|at| match graph.nodes[at].kind {
            Kind::String => Some(Text(graph.nodes[at].text)),
            Kind::Object => {
                let object = Object { graph, at }.resolved();
                object
                    .text("name")
                    .or_else(|| object.objects("name").find_map(|name| name.text("name")))
            }
            _ => None,
        })
    }

    /// The object of the graph that this one refers to, if it is nothing but a reference.
    fn resolved(self) -> Self {
        let mut fields = self.graph.children(self.at).map(|field| &self.graph.nodes[field]);
        let at = match (fields.next(), fields.next()) {
            (Some(id), None) if id.key == "@id" => self.graph.by_id.get(id.text).copied(),
            _ => None,
        };
        Object { graph: self.graph, at: at.unwrap_or(self.at) }
    }

    /// Its types, without the address of their vocabulary.
    pub(super) fn types(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a, 'g> {
        self.texts("@type").map(|kind| match kind.decoded() {
            Cow::Borrowed(kind) => Cow::Borrowed(local(kind)),
            Cow::Owned(kind) => Cow::Owned(local(&kind).to_owned()),
        })
    }

    /// Whether one of its types is `kind`.
    pub(super) fn is_a(&self, kind: &str) -> bool {
        self.types().any(|found| found == kind)
    }
}

/// What is inside `@value`, `@list` and `@set`.
fn unwrapped(graph: &Graph<'_>, at: usize) -> usize {
    if graph.nodes[at].kind != Kind::Object {
        return at;
    }
    let wrapper = |field: &usize| matches!(graph.nodes[*field].key, "@value" | "@list" | "@set");
    graph.children(at).take(MAX_FIELDS).find(wrapper).unwrap_or(at)
}

/// `https://schema.org/Article` and `schema:Article` without what comes before the name.
fn local(kind: &str) -> &str {
    kind.rsplit(['/', '#', ':']).next().unwrap_or(kind)
}
