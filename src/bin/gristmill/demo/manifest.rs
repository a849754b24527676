//! The files of the bundled site, in the binary.
//!
//! All of them are UTF-8 in the source tree. Those that imitate old pages are encoded when the site
//! starts.

use encoding_rs::{Encoding, GB18030, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};

const HTML: &str = "text/html";
const HTML_GB18030: &str = "text/html; charset=gb18030";
const HTML_ISO_8859_1: &str = "text/html; charset=ISO-8859-1";
const HTML_WINDOWS_1252: &str = "text/html; charset=windows-1252";
const RSS: &str = "application/rss+xml";
const ATOM: &str = "application/atom+xml";
const XML: &str = "application/xml";
const JSON_FEED: &str = "application/feed+json";
const PLAIN: &str = "text/plain; charset=utf-8";
const CSV: &str = "text/csv; charset=utf-8";
const CSS: &str = "text/css";

/// One file of the site.
pub(crate) struct Asset {
    /// Path under which it is served.
    pub(crate) path: &'static str,
    /// Value of its `Content-Type` header.
    pub(crate) content_type: &'static str,
    /// How it is encoded when it is served.
    pub(crate) charset: Charset,
    /// Its text. `{{origin}}` stands for scheme and authority of the server.
    pub(crate) text: &'static str,
}

/// Encodings that a file is served in.
#[derive(Clone, Copy)]
pub(crate) enum Charset {
    /// As it is.
    Utf8,
    /// UTF-16, little endian, with byte order mark.
    Utf16,
    /// One of the encodings of the WHATWG's Encoding Standard that have an encoder.
    Legacy(&'static Encoding),
}

/// The only file that is not text: an image, which a crawler skips.
pub(crate) const PICTURE: &[u8] = include_bytes!("../../../../examples/site/images/seal.png");

const fn asset(path: &'static str, content_type: &'static str, text: &'static str) -> Asset {
    Asset { path, content_type, charset: Charset::Utf8, text }
}

const fn encoded(
    path: &'static str,
    content_type: &'static str,
    charset: Charset,
    text: &'static str,
) -> Asset {
    Asset { path, content_type, charset, text }
}

macro_rules! site {
    ($file:literal) => {
        include_str!(concat!("../../../../examples/site/", $file))
    };
}

/// All text files of the site.
#[rustfmt::skip]
pub(crate) static ASSETS: &[Asset] = &[
    asset("/about.html", HTML, site!("about.html")),
    asset("/archive/auction.html", HTML, site!("archive/auction.html")),
    asset("/archive/behind-nofollow.html", HTML, site!("archive/behind-nofollow.html")),
    asset("/archive/friends.html", HTML, site!("archive/friends.html")),
    asset("/archive/", HTML, site!("archive/index.html")),
    asset("/archive/letters.html", HTML, site!("archive/letters.html")),
    asset("/archive/shelf-marks.html", HTML, site!("archive/shelf-marks.html")),
    asset("/archive/sitemap-only.html", HTML, site!("archive/sitemap-only.html")),
    asset("/bridge/", HTML, site!("bridge/index.html")),
    asset("/bridge/rebuilding.html", HTML, site!("bridge/rebuilding.html")),
    asset("/data/api.html", HTML, site!("data/api.html")),
    asset("/data/gauges.csv", CSV, site!("data/gauges.csv")),
    encoded("/de/hochwasser-1784.html", HTML_ISO_8859_1, Charset::Legacy(WINDOWS_1252), site!("de/hochwasser-1784.html")),
    asset("/de/muehlen.html", HTML, site!("de/muehlen.html")),
    asset("/el/mylos.html", HTML, site!("el/mylos.html")),
    encoded("/es/harina.html", HTML_ISO_8859_1, Charset::Legacy(WINDOWS_1252), site!("es/harina.html")),
    asset("/faq.html", HTML, site!("faq.html")),
    asset("/feeds/atom.xml", ATOM, site!("feeds/atom.xml")),
    asset("/feeds/news.json", JSON_FEED, site!("feeds/news.json")),
    asset("/feeds/rss.xml", RSS, site!("feeds/rss.xml")),
    encoded("/fr/meules.html", HTML, Charset::Legacy(WINDOWS_1252), site!("fr/meules.html")),
    asset("/fr/pont.html", HTML, site!("fr/pont.html")),
    asset("/glossary.html", HTML, site!("glossary.html")),
    asset("/", HTML, site!("index.html")),
    encoded("/ja/suisha.html", HTML, Charset::Legacy(SHIFT_JIS), site!("ja/suisha.html")),
    asset("/mills/ashgate-wheel.html", HTML, site!("mills/ashgate-wheel.html")),
    asset("/mills/ashgate.html", HTML, site!("mills/ashgate.html")),
    asset("/mills/", HTML, site!("mills/index.html")),
    asset("/mills/kestrel.html", HTML, site!("mills/kestrel.html")),
    asset("/mills/millstones.html", HTML, site!("mills/millstones.html")),
    asset("/mills/roster.html", HTML, site!("mills/roster.html")),
    asset("/mills/sandholt.html", HTML, site!("mills/sandholt.html")),
    asset("/mills/tollen.html", HTML, site!("mills/tollen.html")),
    encoded("/mills/upper-lode.html", HTML_WINDOWS_1252, Charset::Legacy(WINDOWS_1252), site!("mills/upper-lode.html")),
    asset("/mirror/flood-1784.html", HTML, site!("mirror/flood-1784.html")),
    asset("/museum/collection.html", HTML, site!("museum/collection.html")),
    asset("/museum/", HTML, site!("museum/index.html")),
    asset("/museum/visit.html", HTML, site!("museum/visit.html")),
    asset("/news/eel-count.html", HTML, site!("news/eel-count.html")),
    asset("/news/gate-day.html", HTML, site!("news/gate-day.html")),
    asset("/news/ice-watch.html", HTML, site!("news/ice-watch.html")),
    asset("/news/", HTML, site!("news/index.html")),
    asset("/news/sluice-repair.html", HTML, site!("news/sluice-repair.html")),
    asset("/news/wheel-birthday.html", HTML, site!("news/wheel-birthday.html")),
    asset("/news/yearbook.html", HTML, site!("news/yearbook.html")),
    asset("/notes.txt", PLAIN, site!("notes.txt")),
    asset("/people/caldbeck.html", HTML, site!("people/caldbeck.html")),
    asset("/people/renwick.html", HTML, site!("people/renwick.html")),
    encoded("/pl/mlyn.html", HTML, Charset::Utf16, site!("pl/mlyn.html")),
    asset("/private/board.html", HTML, site!("private/board.html")),
    asset("/private/ledger-draft.html", HTML, site!("private/ledger-draft.html")),
    asset("/private/opening-day.html", HTML, site!("private/opening-day.html")),
    asset("/river/fish-ladder.html", HTML, site!("river/fish-ladder.html")),
    asset("/river/floods/1784.html", HTML, site!("river/floods/1784.html")),
    asset("/river/floods/1926.html", HTML, site!("river/floods/1926.html")),
    asset("/river/gauges.html", HTML, site!("river/gauges.html")),
    asset("/river/", HTML, site!("river/index.html")),
    asset("/river/weirs.html", HTML, site!("river/weirs.html")),
    asset("/robots.txt", PLAIN, site!("robots.txt")),
    encoded("/ru/melnitsa.html", HTML, Charset::Legacy(WINDOWS_1251), site!("ru/melnitsa.html")),
    encoded("/ru/muzey.html", HTML, Charset::Legacy(WINDOWS_1251), site!("ru/muzey.html")),
    asset("/ru/navodnenie.html", HTML, site!("ru/navodnenie.html")),
    asset("/short.html", HTML, site!("short.html")),
    asset("/sitemap.xml", XML, site!("sitemap.xml")),
    asset("/style.css", CSS, site!("style.css")),
    asset("/timeline.html", HTML, site!("timeline.html")),
    asset("/trade/flour.html", HTML, site!("trade/flour.html")),
    encoded("/trade/guild.html", HTML, Charset::Legacy(WINDOWS_1252), site!("trade/guild.html")),
    asset("/trade/orrel-red.html", HTML, site!("trade/orrel-red.html")),
    asset("/trade/railway.html", HTML, site!("trade/railway.html")),
    asset("/trail/", HTML, site!("trail/index.html")),
    asset("/trail/stages/one.html", HTML, site!("trail/stages/one.html")),
    asset("/trail/stages/three.html", HTML, site!("trail/stages/three.html")),
    asset("/trail/stages/two.html", HTML, site!("trail/stages/two.html")),
    asset("/trail/stations.html", HTML, site!("trail/stations.html")),
    asset("/visitors/comments.html", HTML, site!("visitors/comments.html")),
    asset("/zh/hongshui.html", HTML, site!("zh/hongshui.html")),
    encoded("/zh/shuimo.html", HTML_GB18030, Charset::Legacy(GB18030), site!("zh/shuimo.html")),
];
