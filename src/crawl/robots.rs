//! `robots.txt` by RFC 9309: a parser, and a matcher in linear time.
//!
//! - Lines end in CR, LF or both; a byte order mark is skipped; `#` begins a comment.
//! - Groups that name the crawler's product token are merged; the groups for `*` apply only if
//!   there are none.
//! - The rule with the longest pattern decides; `Allow` wins ties; no rule means allowed.
//! - `*` stands for any run of characters, `$` at the end for the end of the URL.
//! - Patterns and URLs are compared with their percent-encoding in one form.
//! - Lines that are neither rules nor user agents (`Sitemap`, `Crawl-delay`, unknown ones) do not
//!   end the list of user agents of a group.

use std::cmp::Reverse;
use std::time::Duration;

use crate::url::{Part, Url, cut, normalise};

/// Most bytes that are parsed; RFC 9309, section 2.5, asks for at least 500 KiB.
const MAX_ROBOTS_BYTES: usize = 512 * 1024;

/// Most sitemaps of one file that are kept.
const MAX_SITEMAPS: usize = 1000;

/// Longest `Crawl-delay` that is read; the schedule caps it further.
const MAX_CRAWL_DELAY: Duration = Duration::from_hours(24);

/// Longest piece of a line that a verdict quotes, in bytes.
const MAX_LINE_BYTES: usize = 200;

/// The rules of one `robots.txt` for one crawler.
#[derive(Clone, Debug, Default)]
pub struct Robots {
    /// In order of precedence: longest pattern first, `Allow` before `Disallow`.
    rules: Vec<Rule>,
    crawl_delay: Option<Duration>,
    sitemaps: Vec<String>,
    disallow_all: Option<String>,
}

/// Whether a URL may be fetched, and by which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It may be fetched.
    pub allowed: bool,
    /// The line that decided; `None` if no rule matches the URL.
    pub line: Option<String>,
}

#[derive(Clone, Debug)]
struct Rule {
    allow: bool,
    pattern: Pattern,
    line: String,
}

impl Robots {
    /// Reads a file for the crawler that calls itself `product_token` (letters, `-` and `_`; what
    /// follows, a version for instance, is ignored). Never fails: what is not understood is
    /// skipped, as the RFC asks.
    ///
    /// ```
    /// use gristmill::crawl::Robots;
    /// use gristmill::url::parse;
    ///
    /// let robots = Robots::parse(b"User-agent: *\nDisallow: /private/\n", "gristmill");
    /// assert!(!robots.check(&parse("https://a.example/private/x")?).allowed);
    /// assert!(robots.check(&parse("https://a.example/public")?).allowed);
    /// # Ok::<(), gristmill::url::UrlError>(())
    /// ```
    pub fn parse(bytes: &[u8], product_token: &str) -> Self {
        let mut groups = Groups::new(token_of(product_token.as_bytes()));
        let mut sitemaps = Vec::new();
        for line in lines(bytes) {
            let Some((key, value)) = key_and_value(line) else { continue };
            match Key::of(key) {
                Some(Key::UserAgent) => groups.user_agent(value),
                Some(Key::Rule { allow }) => groups.rule(allow, value, line),
                Some(Key::CrawlDelay) => groups.crawl_delay(value),
                Some(Key::Sitemap) if sitemaps.len() < MAX_SITEMAPS && !value.is_empty() => {
                    sitemaps.push(String::from_utf8_lossy(value).into_owned());
                }
                _ => {}
            }
        }
        let group = groups.decide();
        let mut rules = group.rules;
        rules.sort_by_key(|rule| (Reverse(rule.pattern.octets), !rule.allow));
        Self { rules, crawl_delay: group.crawl_delay, sitemaps, disallow_all: None }
    }

    /// No rules: everything may be fetched.
    pub fn allow_all() -> Self {
        Self::default()
    }

    /// Nothing may be fetched, for `reason`.
    pub fn disallow_all(reason: impl Into<String>) -> Self {
        Self { disallow_all: Some(reason.into()), ..Self::default() }
    }

    /// Whether `url` may be fetched. `/robots.txt` itself always may.
    pub fn check(&self, url: &Url) -> Verdict {
        if let Some(reason) = &self.disallow_all {
            return Verdict { allowed: false, line: Some(reason.clone()) };
        }
        if self.rules.is_empty() || url.path() == "/robots.txt" {
            return Verdict { allowed: true, line: None };
        }
        let target = target_of(url);
        match self.rules.iter().find(|rule| rule.pattern.matches(&target)) {
            Some(rule) => Verdict { allowed: rule.allow, line: Some(rule.line.clone()) },
            None => Verdict { allowed: true, line: None },
        }
    }

    /// Seconds that the file asks to wait between requests, if it does.
    pub const fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// The sitemaps it names, as written.
    pub fn sitemaps(&self) -> &[String] {
        &self.sitemaps
    }

    /// Drops the sitemaps, which are needed only once, unlike the rules.
    pub(super) fn drop_sitemaps(&mut self) {
        self.sitemaps = Vec::new();
    }

    /// Approximate size in memory, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let strings = |texts: &[String]| {
            texts.iter().map(|text| size_of::<String>() + text.capacity()).sum::<usize>()
        };
        let rule = |rule: &Rule| {
            let Pattern { head, pieces, .. } = &rule.pattern;
            size_of::<Rule>() + rule.line.capacity() + head.capacity() + strings(pieces)
        };
        let rules: usize = self.rules.iter().map(rule).sum();
        let reason = self.disallow_all.as_ref().map_or(0, String::capacity);
        (size_of::<Self>() + rules + strings(&self.sitemaps) + reason) as u64
    }
}

enum Key {
    UserAgent,
    Rule { allow: bool },
    CrawlDelay,
    Sitemap,
}

impl Key {
    fn of(key: &[u8]) -> Option<Self> {
        let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
        if is("user-agent") || is("useragent") || is("user agent") {
            Some(Self::UserAgent)
        } else if is("disallow") {
            Some(Self::Rule { allow: false })
        } else if is("allow") {
            Some(Self::Rule { allow: true })
        } else if is("crawl-delay") || is("crawldelay") {
            Some(Self::CrawlDelay)
        } else if is("sitemap") || is("site-map") {
            Some(Self::Sitemap)
        } else {
            None
        }
    }
}

#[derive(Debug, Default)]
struct Group {
    named: bool,
    rules: Vec<Rule>,
    crawl_delay: Option<Duration>,
}

/// The two merged groups, and those of them that the current lines belong to.
struct Groups {
    token: Vec<u8>,
    own: Group,
    any: Group,
    in_own: bool,
    in_any: bool,
    agents_ended: bool,
}

impl Groups {
    fn new(token: &[u8]) -> Self {
        Self {
            token: token.to_vec(),
            own: Group::default(),
            any: Group::default(),
            in_own: false,
            in_any: false,
            agents_ended: false,
        }
    }

    fn user_agent(&mut self, value: &[u8]) {
        if self.agents_ended {
            (self.in_own, self.in_any, self.agents_ended) = (false, false, false);
        }
        if is_star(value) {
            self.in_any = true;
        } else if !self.token.is_empty() && token_of(value).eq_ignore_ascii_case(&self.token) {
            self.in_own = true;
            self.own.named = true;
        }
    }

    fn rule(&mut self, allow: bool, value: &[u8], line: &[u8]) {
        self.agents_ended = true;
        // "Disallow:" without a path means that nothing is disallowed.
        if value.is_empty() {
            return;
        }
        for group in self.current() {
            let line = quoted(line);
            group.rules.push(Rule { allow, pattern: Pattern::new(value), line });
        }
    }

    fn crawl_delay(&mut self, value: &[u8]) {
        let seconds = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
        let Some(delay) = seconds.filter(|s| *s >= 0.0).map(|s| {
            Duration::try_from_secs_f64(s).unwrap_or(MAX_CRAWL_DELAY).min(MAX_CRAWL_DELAY)
        }) else {
            return;
        };
        for group in self.current() {
            group.crawl_delay = group.crawl_delay.max(Some(delay));
        }
    }

    fn current(&mut self) -> impl Iterator<Item = &mut Group> {
        let own = self.in_own.then_some(&mut self.own);
        own.into_iter().chain(self.in_any.then_some(&mut self.any))
    }

    fn decide(self) -> Group {
        if self.own.named { self.own } else { self.any }
    }
}

/// A path pattern cut at its stars.
#[derive(Clone, Debug)]
struct Pattern {
    /// Must stand at the start.
    head: String,
    /// Must follow in this order, anywhere.
    pieces: Vec<String>,
    /// The last piece (or the head, without stars) must stand at the end.
    anchored: bool,
    /// Length of the normalised pattern, which decides precedence.
    octets: usize,
}

impl Pattern {
    fn new(value: &[u8]) -> Self {
        let (body, anchored) = match value.strip_suffix(b"$") {
            Some(body) => (body, true),
            None => (value, false),
        };
        let mut normal = String::with_capacity(body.len() + 1);
        // Files that omit the leading slash mean it.
        if !body.starts_with(b"/") && !body.starts_with(b"*") {
            normal.push('/');
        }
        let (path, query) = split_at_query(body);
        push_target(&mut normal, path, query, |out| out.push('*'));
        let octets = normal.len() + usize::from(anchored);
        let mut parts = normal.split('*').map(str::to_owned);
        let head = parts.next().unwrap_or_default();
        Self { head, pieces: parts.collect(), anchored, octets }
    }

    /// The leftmost match for each piece leaves the most room for the following ones, so no
    /// backtracking is needed.
    fn matches(&self, target: &str) -> bool {
        let Some(mut rest) = target.strip_prefix(self.head.as_str()) else { return false };
        let Some((last, inner)) = self.pieces.split_last() else {
            return !self.anchored || rest.is_empty();
        };
        for piece in inner {
            match rest.find(piece.as_str()).and_then(|at| rest.get(at + piece.len()..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        if self.anchored { rest.ends_with(last.as_str()) } else { rest.contains(last.as_str()) }
    }
}

/// What patterns are matched against: path and query, normalised like the patterns.
fn target_of(url: &Url) -> String {
    let mut target = String::with_capacity(url.path().len() + 16);
    let query = url.query().map(str::as_bytes);
    push_target(&mut target, url.path().as_bytes(), query, |out| out.push_str("%2A"));
    target
}

/// Writes path and query in one form. A plain `*` becomes what `star` writes; a plain `$` is
/// encoded, so that both sides agree (one that anchors has been taken off before).
fn push_target(out: &mut String, path: &[u8], query: Option<&[u8]>, star: fn(&mut String)) {
    push_part(out, path, Part::Path, star);
    if let Some(query) = query {
        out.push('?');
        push_part(out, query, Part::MatchedQuery, star);
    }
}

fn push_part(out: &mut String, text: &[u8], part: Part, star: fn(&mut String)) {
    let special = |b: &u8| matches!(*b, b'*' | b'$');
    let mut rest = text;
    while let Some(at) = rest.iter().position(special) {
        let (head, tail) = rest.split_at(at);
        normalise(out, head, part);
        match tail.split_first() {
            Some((b'*', after)) => {
                star(out);
                rest = after;
            }
            Some((_, after)) => {
                out.push_str("%24");
                rest = after;
            }
            None => rest = tail,
        }
    }
    normalise(out, rest, part);
}

fn split_at_query(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    match value.iter().position(|b| *b == b'?') {
        Some(at) => (value.split_at(at).0, value.get(at + 1..)),
        None => (value, None),
    }
}

/// The lines of the file, of at most [`MAX_ROBOTS_BYTES`]; a line that the limit cuts is left out,
/// as half a pattern would say something else.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let is_end = |b: &u8| matches!(*b, b'\n' | b'\r');
    let read = match bytes.get(..MAX_ROBOTS_BYTES) {
        Some(head) if bytes.len() > MAX_ROBOTS_BYTES => {
            let end = head.iter().rposition(is_end).unwrap_or(0);
            head.split_at(end).0
        }
        _ => bytes,
    };
    read.split(is_end)
}

fn key_and_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.split(|b| *b == b'#').next()?;
    let colon = line.iter().position(|b| *b == b':')?;
    Some((line.split_at(colon).0.trim_ascii(), line.get(colon + 1..)?.trim_ascii()))
}

/// The product token at the start of a user agent: letters, `-` and `_`.
fn token_of(value: &[u8]) -> &[u8] {
    let is_token = |b: &u8| b.is_ascii_alphabetic() || matches!(*b, b'-' | b'_');
    let end = value.iter().position(|b| !is_token(b)).unwrap_or(value.len());
    value.split_at(end).0
}

fn is_star(value: &[u8]) -> bool {
    match value.split_first() {
        Some((b'*', rest)) => rest.first().is_none_or(u8::is_ascii_whitespace),
        _ => false,
    }
}

fn quoted(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.trim_ascii());
    cut(&text, MAX_LINE_BYTES).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(robots: &str, path: &str) -> bool {
        let url = Url::parse(&format!("http://a.example{path}")).unwrap();
        Robots::parse(robots.as_bytes(), "gristmill").check(&url).allowed
    }

    #[test]
    fn groups_by_the_rfc() {
        let own = "User-agent: *\nDisallow: /\n\nUser-agent: GristMill/2.0\nDisallow: /p\n";
        assert!(allowed(own, "/q") && !allowed(own, "/p/x"));
        let merged = "user-agent: gristmill\ndisallow: /a\nuser-agent: x\ndisallow: /c\n\
                      user-agent: gristmill\ndisallow: /b\n";
        assert!(!allowed(merged, "/a") && !allowed(merged, "/b") && allowed(merged, "/c"));
        let shared = "user-agent: x\nuser-agent: gristmill\ndisallow: /a\n";
        assert!(!allowed(shared, "/a"));
        let interrupted = "user-agent: x\nSitemap: http://a/s\nuser-agent: *\ndisallow: /a\n";
        assert!(!allowed(interrupted, "/a"));
        let empty_own = "user-agent: *\ndisallow: /\nuser-agent: gristmill\ndisallow:\n";
        assert!(allowed(empty_own, "/a"));
        assert!(allowed("disallow: /a\n", "/a"), "a rule before any group says nothing");
        assert!(allowed("user-agent: gristmill-news\ndisallow: /\n", "/a"));
        assert!(allowed("user-agent: grist\ndisallow: /\n", "/a"));
        assert!(allowed("", "/a") && allowed("<html>not found</html>", "/a"));
    }

    #[test]
    fn the_longest_match_decides_and_allow_wins_ties() {
        let robots = |rules: &str| format!("user-agent: *\n{rules}\n");
        for (rules, path, expected) in [
            (
                "allow: /example/page/\ndisallow: /example/page/disallowed.gif",
                "/example/page/disallowed.gif",
                false,
            ),
            ("allow: /p\ndisallow: /", "/page", true),
            ("disallow: /folder\nallow: /folder", "/folder/page", true),
            ("allow: /page\ndisallow: /*.htm", "/page.htm", false),
            ("allow: /$\ndisallow: /", "/", true),
            ("allow: /$\ndisallow: /", "/page.htm", false),
            ("disallow: /fish", "/catfish", true),
            ("disallow: /fish", "/Fish.asp", true),
            ("disallow: /fish*", "/fishheads/y.html?id=1", false),
            ("disallow: /fish/", "/fish", true),
            ("disallow: /*.php$", "/index.php?p=1", true),
            ("disallow: /*.php$", "/filename.php", false),
            ("disallow: /fish*.php", "/fishheads/catfish.php?parameters", false),
            ("disallow: *", "/x", false),
            ("disallow: private", "/private/x", false),
            ("disallow: /a$b", "/a$b", false),
            ("disallow: /*$", "/x", false),
            ("disallow: /a*b*c$", "/abcbc", false),
            ("disallow: /a*b*c$", "/abcbd", true),
            ("disallow: /", "/robots.txt", true),
            ("disallow: /x # why", "/x", false),
            ("disallow: /*?", "/a?b", false),
            ("disallow: /*?", "/a", true),
        ] {
            assert_eq!(allowed(&robots(rules), path), expected, "{rules} | {path}");
        }
    }

    #[test]
    fn percent_encoding_is_compared_in_one_form() {
        for (rule, path, expected) in [
            ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", false),
            ("/foo/bar?baz=https%3a%2f%2ffoo.bar", "/foo/bar?baz=https://foo.bar", false),
            ("/foo/bar/ツ", "/foo/bar/%E3%83%84", false),
            ("/foo/bar/%e3%83%84", "/foo/bar/ツ", false),
            ("/foo/bar/%62%61%7A", "/foo/bar/baz", false),
            ("/foo/bar/baz", "/foo/bar/%62%61%7A", false),
            ("/a%2Fb", "/a/b", true),
            ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", false),
            ("/path/file-with-a-%2A.html", "/path/file-with-a-x.html", true),
            ("/path/foo-%24", "/path/foo-$", false),
            ("/~joe/", "/%7Ejoe/index.html", false),
        ] {
            let robots = format!("user-agent: *\ndisallow: {rule}\n");
            assert_eq!(allowed(&robots, path), expected, "{rule} | {path}");
        }
    }

    #[test]
    fn all_line_ends_a_mark_and_long_files_are_read() {
        for text in ["\u{feff}user-agent: *\rdisallow: /a", "user-agent:*\r\ndisallow:/a\r\n"] {
            assert!(!allowed(text, "/a"), "{text:?}");
        }
        let filler = format!("#{}\n", "x".repeat(98)).repeat(5119);
        assert!(!allowed(&format!("user-agent: *\n{filler}disallow: /a\n"), "/a"));
        let cut = format!("user-agent: *\n{}disallow: /ab", "#\n".repeat(262_131));
        assert_eq!(cut.len(), 14 + 524_262 + 13);
        assert!(allowed(&cut, "/abc"), "a rule that the limit cuts is not applied");
    }

    #[test]
    fn verdicts_quote_the_line_and_delays_and_sitemaps_are_read() {
        let text = "Sitemap: http://a/s1.xml\nUser-agent: *\nCrawl-delay: 2.5\nDisallow: /x #no\n\
                    sitemap: /s2.xml\nCrawl-delay: nan\nCrawl-delay: -3\n";
        let robots = Robots::parse(text.as_bytes(), "gristmill");
        let verdict = robots.check(&Url::parse("http://a/x").unwrap());
        assert_eq!(verdict.line.as_deref(), Some("Disallow: /x #no"));
        assert_eq!(robots.crawl_delay(), Some(Duration::from_millis(2500)));
        assert_eq!(robots.sitemaps(), ["http://a/s1.xml", "/s2.xml"]);
        let huge = Robots::parse(b"user-agent: *\ncrawl-delay: 1e300", "g");
        assert_eq!(huge.crawl_delay(), Some(MAX_CRAWL_DELAY));
        let none = Robots::disallow_all("robots.txt answered 503");
        assert!(!none.check(&Url::parse("http://a/x").unwrap()).allowed);
    }

    #[test]
    fn many_stars_take_linear_time() {
        // Backtracking would try more ways here than there are atoms.
        let robots = format!("user-agent: *\ndisallow: /{}b\n", "a*".repeat(2000));
        assert!(allowed(&robots, &format!("/{}", "a".repeat(4000))));
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300),
                          path in "/[ -~]{0,30}") {
            let mut text = b"user-agent: *\ndisallow: ".to_vec();
            text.extend(bytes);
            if let Ok(url) = Url::parse(&format!("http://h{path}")) {
                let _ = Robots::parse(&text, "gristmill").check(&url);
            }
        }
    }
}
