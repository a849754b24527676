//! Which URLs belong to a job: hosts, patterns and depth.

use std::collections::HashSet;

use crate::model::{Reason, Scope};
use crate::url::{Host, Part, Url, cut, normalise, parse};

/// Most patterns of one kind, and most hosts, that a scope may list.
pub const MAX_SCOPE_ENTRIES: usize = 4096;

/// Longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// Why a scope cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// A pattern passes [`MAX_PATTERN_BYTES`].
    #[error("the pattern {pattern:?}… is longer than {MAX_PATTERN_BYTES} bytes")]
    LongPattern {
        /// Its beginning.
        pattern: String,
    },
    /// A list passes [`MAX_SCOPE_ENTRIES`].
    #[error("the scope lists {count} {what}, more than {MAX_SCOPE_ENTRIES}")]
    TooMany {
        /// What is listed.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A pattern is empty and so could match nothing.
    #[error("the scope has an empty pattern")]
    EmptyPattern,
}

/// The compiled scope of a job.
#[derive(Clone, Debug, Default)]
pub struct ScopeRules {
    /// `example.com`, `127.0.0.1:8080`: without a leading `www.`.
    hosts: HashSet<String>,
    /// Names that the user listed without a port: they stand for every port.
    names: HashSet<String>,
    /// `.example.com`, from `*.example.com`.
    suffixes: Vec<String>,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    max_depth: Option<u32>,
}

impl ScopeRules {
    /// The rules of `scope`. Where it lists no hosts, those of `seeds` belong to it.
    ///
    /// A leading `www.` and the scheme make no difference. An entry may be a name (then every port
    /// of it belongs), a name with a port, a URL, or `*.example.com` for a domain with all below.
    pub fn new<'a>(
        scope: &Scope,
        seeds: impl IntoIterator<Item = &'a Host>,
    ) -> Result<Self, ScopeError> {
        for (what, list) in
            [("hosts", &scope.hosts), ("patterns", &scope.include), ("patterns", &scope.exclude)]
        {
            if list.len() > MAX_SCOPE_ENTRIES {
                return Err(ScopeError::TooMany { what, count: list.len() });
            }
        }
        let globs = |list: &[String]| {
            list.iter().map(|text| Glob::new(text)).collect::<Result<Vec<_>, _>>()
        };
        let mut rules = Self {
            include: globs(&scope.include)?,
            exclude: globs(&scope.exclude)?,
            max_depth: scope.max_depth,
            ..Self::default()
        };
        for entry in &scope.hosts {
            rules.add_entry(entry);
        }
        if scope.hosts.is_empty() {
            for host in seeds {
                rules.allow_host(host);
            }
        }
        Ok(rules)
    }

    /// Adds a host, such as the target of a source's redirect. True if it is new.
    pub fn allow_host(&mut self, host: &Host) -> bool {
        self.hosts.insert(without_www(host.as_str()).to_owned())
    }

    /// Whether `url`, `depth` links away from a source, belongs to the job; if not, why.
    pub fn check(&self, url: &Url, depth: u32) -> Result<(), Reason> {
        self.check_depth(depth)?;
        let host = Host::of(url);
        if !self.has_host(&host) {
            return Err(out_of_scope(format!("host {host} is not part of the job")));
        }
        if !self.include.is_empty() && !self.include.iter().any(|glob| glob.matches(url.as_str())) {
            return Err(out_of_scope("no include pattern matches".to_owned()));
        }
        self.check_excluded(url)
    }

    /// Whether a source itself may be fetched. The user named it, so hosts and include patterns do
    /// not apply.
    pub fn check_seed(&self, url: &Url) -> Result<(), Reason> {
        self.check_excluded(url)
    }

    /// Whether a discovered sitemap or feed may be fetched. Include patterns and depth apply to
    /// pages, not to lists of them.
    pub fn check_listing(&self, url: &Url) -> Result<(), Reason> {
        let host = Host::of(url);
        if !self.has_host(&host) {
            return Err(out_of_scope(format!("host {host} is not part of the job")));
        }
        self.check_excluded(url)
    }

    fn check_depth(&self, depth: u32) -> Result<(), Reason> {
        match self.max_depth {
            Some(most) if depth > most => Err(Reason::TooDeep { depth }),
            _ => Ok(()),
        }
    }

    fn check_excluded(&self, url: &Url) -> Result<(), Reason> {
        match self.exclude.iter().find(|glob| glob.matches(url.as_str())) {
            Some(glob) => Err(out_of_scope(format!("excluded by {}", glob.text))),
            None => Ok(()),
        }
    }

    fn has_host(&self, host: &Host) -> bool {
        let authority = without_www(host.as_str());
        let name = without_www(host.name());
        self.hosts.contains(authority)
            || self.names.contains(name)
            || self.suffixes.iter().any(|s| name.ends_with(s.as_str()) || s.get(1..) == Some(name))
    }

    fn add_entry(&mut self, entry: &str) {
        let entry = entry.trim().to_ascii_lowercase();
        if let Some(suffix) = entry.strip_prefix('*').filter(|rest| rest.starts_with('.')) {
            self.suffixes.push(suffix.to_owned());
            return;
        }
        let has_scheme = entry.contains("://");
        let url = if has_scheme { parse(&entry) } else { parse(&format!("http://{entry}/")) };
        let host = url.map_or_else(|_| Host::from(entry.as_str()), |url| Host::of(&url));
        if has_scheme || host.name() != host.as_str() {
            self.allow_host(&host);
        } else {
            self.names.insert(without_www(host.name()).to_owned());
        }
    }
}

fn out_of_scope(rule: String) -> Reason {
    Reason::OutOfScope { rule }
}

fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").filter(|rest| rest.contains('.')).unwrap_or(host)
}

/// A pattern over a whole URL: `*` for any run of characters, `?` for one.
#[derive(Clone, Debug)]
struct Glob {
    text: String,
    head: String,
    pieces: Vec<String>,
}

impl Glob {
    fn new(text: &str) -> Result<Self, ScopeError> {
        if text.is_empty() {
            return Err(ScopeError::EmptyPattern);
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(ScopeError::LongPattern { pattern: cut(text, 60).to_owned() });
        }
        // URLs are ASCII: other characters are percent-encoded in them.
        let mut ascii = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_ascii() {
                ascii.push(c);
            } else {
                normalise(&mut ascii, c.encode_utf8(&mut [0; 4]).as_bytes(), Part::Path);
            }
        }
        let mut parts = ascii.split('*').map(str::to_owned);
        let head = parts.next().unwrap_or_default();
        Ok(Self { text: text.to_owned(), head, pieces: parts.collect() })
    }

    /// Takes the leftmost match for each piece, so each piece walks the URL at most once. Time is
    /// bounded by the product of the lengths of URL and pattern, which are both bounded.
    fn matches(&self, url: &str) -> bool {
        let url = url.as_bytes();
        if !starts_with(url, self.head.as_bytes()) {
            return false;
        }
        let mut rest = url.get(self.head.len()..).unwrap_or_default();
        let Some((last, inner)) = self.pieces.split_last() else { return rest.is_empty() };
        for piece in inner.iter().filter(|piece| !piece.is_empty()) {
            let piece = piece.as_bytes();
            let Some(at) = rest.windows(piece.len()).position(|w| starts_with(w, piece)) else {
                return false;
            };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.len()
            .checked_sub(last.len())
            .and_then(|at| rest.get(at..))
            .is_some_and(|tail| starts_with(tail, last.as_bytes()))
    }
}

fn starts_with(text: &[u8], piece: &[u8]) -> bool {
    text.len() >= piece.len() && text.iter().zip(piece).all(|(t, p)| *p == b'?' || t == p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(scope: &Scope, seeds: &[&str]) -> ScopeRules {
        let hosts: Vec<Host> = seeds.iter().map(|s| Host::of(&Url::parse(s).unwrap())).collect();
        ScopeRules::new(scope, &hosts).unwrap()
    }

    fn within(rules: &ScopeRules, url: &str) -> bool {
        rules.check(&Url::parse(url).unwrap(), 0).is_ok()
    }

    #[test]
    fn hosts_of_the_seeds_belong_with_and_without_www() {
        let rules = rules(&Scope::default(), &["http://www.example.com/", "http://127.0.0.1:81/"]);
        for url in ["https://example.com/x", "http://www.example.com/", "http://127.0.0.1:81/y"] {
            assert!(within(&rules, url), "{url}");
        }
        for url in ["http://docs.example.com/", "http://127.0.0.1:82/", "http://ample.com/"] {
            assert!(!within(&rules, url), "{url}");
        }
    }

    #[test]
    fn listed_hosts_replace_those_of_the_seeds() {
        let hosts = ["b.org", "*.c.org", "d.org:8080", "https://e.org/"].map(String::from).to_vec();
        let mut rules = rules(&Scope { hosts, ..Scope::default() }, &["http://a.org/"]);
        for url in [
            "http://b.org:99/",
            "http://c.org/",
            "http://x.y.c.org/",
            "http://d.org:8080/",
            "http://www.e.org/",
        ] {
            assert!(within(&rules, url), "{url}");
        }
        for url in ["http://a.org/", "http://d.org/", "http://notc.org/"] {
            assert!(!within(&rules, url), "{url}");
        }
        assert!(rules.allow_host(&Host::from("a.org")));
        assert!(within(&rules, "http://a.org/"));
    }

    #[test]
    fn patterns_are_held_against_the_whole_url() {
        let scope = Scope {
            include: vec!["*/docs/*".into(), "http://a.org/p?ge".into()],
            exclude: vec!["*.pdf".into(), "*/müll/*".into()],
            ..Scope::default()
        };
        let rules = rules(&scope, &["http://a.org/"]);
        assert!(within(&rules, "http://a.org/docs/x") && within(&rules, "http://a.org/page"));
        assert!(!within(&rules, "http://a.org/pages") && !within(&rules, "http://a.org/docs"));
        assert!(!within(&rules, "http://a.org/docs/x.pdf"));
        assert!(!within(&rules, "http://a.org/docs/m%C3%BCll/x"));
        let seed = Url::parse("http://z.org/").unwrap();
        assert!(rules.check_seed(&seed).is_ok());
        assert!(rules.check_seed(&Url::parse("http://z.org/a.pdf").unwrap()).is_err());
    }

    #[test]
    fn depth_is_bounded_and_bad_patterns_are_errors() {
        let scope = Scope { max_depth: Some(2), ..Scope::default() };
        let rules = rules(&scope, &["http://a.org/"]);
        let url = Url::parse("http://a.org/x").unwrap();
        assert!(rules.check(&url, 2).is_ok());
        assert_eq!(rules.check(&url, 3), Err(Reason::TooDeep { depth: 3 }));
        let scope = |pattern: String| Scope { include: vec![pattern], ..Scope::default() };
        assert!(ScopeRules::new(&scope(String::new()), []).is_err());
        assert!(ScopeRules::new(&scope("x".repeat(MAX_PATTERN_BYTES + 1)), []).is_err());
    }

    #[test]
    fn many_stars_end_in_time() {
        let glob = Glob::new(&format!("http://{}b", "a*".repeat(500))).unwrap();
        assert!(!glob.matches(&format!("http://{}", "a".repeat(8000))));
        let glob = Glob::new("*a*a").unwrap();
        assert!(glob.matches("aa") && !glob.matches("a"), "pieces may not overlap");
    }
}
