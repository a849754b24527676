//! The arguments of the command line, and how their values are parsed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gristmill::model::{Comments, Favour};
use gristmill::url::Url;

/// The default of `--data`.
const DATA: &str = "./gristmill-data";

/// Crawls politely, stores what it reads, and distils it into short facts that cite their passage.
#[derive(Debug, Parser)]
#[command(name = "gristmill", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Log more to standard error; may be repeated
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where data and settings are.
#[derive(Debug, Args)]
pub(crate) struct DataOptions {
    /// Data directory [default: ./gristmill-data; demo: a temporary one]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file in TOML; `gristmill config` prints every setting
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl DataOptions {
    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new(DATA))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole job on a bundled site, without network or API key
    Demo,
    /// Crawl sites, feeds, sitemaps or lists of URLs, and distil what they say
    Crawl(Box<Crawl>),
    /// List the facts found, with their sources
    Infos(Infos),
    /// List the stored pages
    Pages(Pages),
    /// Print a stored page
    Get(Get),
    /// Extract the main content of files, without crawling
    Extract(Extract),
    /// Explain why a URL was or was not fetched and kept
    Why(Why),
    /// Print the figures of the last or running crawl
    Stats(Stats),
    /// Verify every record of the store
    Check(Maintain),
    /// Make the store as small as possible
    Compact(Maintain),
    /// Copy the whole store into another directory
    Backup(Backup),
    /// Print the effective settings as TOML
    Config,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).multiple(true))]
pub(crate) struct Crawl {
    /// Pages to start from; links on their hosts are followed
    #[arg(value_name = "URL", value_parser = parse_url, group = "source")]
    pub(crate) sites: Vec<Url>,
    /// File with one URL per line
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) urls: Vec<PathBuf>,
    /// Feed (RSS, Atom, JSON Feed) whose entries are fetched
    #[arg(long, value_name = "URL", value_parser = parse_url, group = "source")]
    pub(crate) feed: Vec<Url>,
    /// Sitemap or sitemap index whose pages are fetched
    #[arg(long, value_name = "URL", value_parser = parse_url, group = "source")]
    pub(crate) sitemap: Vec<Url>,
    /// What to look for, in your own words; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) focus: Vec<String>,
    /// JSON Schema of the fields that a model fills beside each fact
    #[arg(long, value_name = "FILE", requires = "focus")]
    pub(crate) schema: Option<PathBuf>,
    /// Forget which URLs earlier runs knew; stored pages and facts stay
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Extract the pages of these sources' earlier runs again, from their stored bodies; nothing is
    /// requested
    #[arg(long, conflicts_with = "fresh")]
    pub(crate) reextract: bool,
    /// Fetch only URLs that match (`*`: any characters, `?`: one character); may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) include: Vec<String>,
    /// Do not fetch URLs that match; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Most links between a source and a page [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<u32>,
    #[command(flatten)]
    pub(crate) budget: Budget,
    #[command(flatten)]
    pub(crate) politeness: Politeness,
    #[command(flatten)]
    pub(crate) model: Model,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The limits of a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Budget")]
#[expect(clippy::struct_field_names, reason = "the fields are called as their flags are")]
pub(crate) struct Budget {
    /// Most pages to store, over all restarts of the run
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) max_pages: u64,
    /// Most body bytes to receive
    #[arg(long, value_name = "N")]
    pub(crate) max_bytes: Option<u64>,
    /// Most seconds to run
    #[arg(long, value_name = "N")]
    pub(crate) max_seconds: Option<u64>,
    /// Most tokens to exchange with the model
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u64>,
}

/// How servers are treated.
#[derive(Debug, Args)]
#[command(next_help_heading = "Politeness")]
pub(crate) struct Politeness {
    /// Most concurrent requests, over all hosts [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// Most concurrent requests to one host [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) per_host: Option<usize>,
    /// Shortest pause between two requests to a host, such as 500ms [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) delay: Option<Duration>,
    /// Allow private, loopback and link-local addresses
    #[arg(long)]
    pub(crate) allow_private: bool,
    /// Ignore robots.txt
    #[arg(long)]
    pub(crate) no_robots: bool,
    /// Proxy for all requests
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Additional request header, `Name: value`; may be repeated
    #[arg(long, value_name = "H", value_parser = parse_header)]
    pub(crate) header: Vec<(String, String)>,
    /// The User-Agent header; its first word is matched against robots.txt
    #[arg(long, value_name = "S")]
    pub(crate) user_agent: Option<String>,
}

/// The model, if one is used.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
#[expect(clippy::struct_field_names, reason = "the fields are called as their flags are")]
pub(crate) struct Model {
    /// Base URL of an OpenAI-compatible server, including its `/v1`
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) llm_url: Option<Url>,
    /// Name of the model
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Environment variable that holds the API key
    #[arg(long, value_name = "VAR")]
    pub(crate) api_key_env: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Infos {
    /// Only those of this focus
    #[arg(long, value_name = "TEXT")]
    pub(crate) focus: Option<String>,
    /// Only those accepted within this time, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) since: Option<Duration>,
    /// Those rejected because the page does not support them
    #[arg(long)]
    pub(crate) quarantined: bool,
    /// One JSON object per line
    #[arg(long, conflicts_with_all = ["markdown", "csv"])]
    pub(crate) json: bool,
    /// A Markdown document
    #[arg(long, conflicts_with = "csv")]
    pub(crate) markdown: bool,
    /// Comma-separated values with a header line
    #[arg(long)]
    pub(crate) csv: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// Only those of this host
    #[arg(long, value_name = "H")]
    pub(crate) host: Option<String>,
    /// Only those whose URL begins with this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Only those fetched within this time, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) since: Option<Duration>,
    /// In reverse order
    #[arg(long)]
    pub(crate) reverse: bool,
    /// At most this many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only those after this stored page, to continue an earlier list
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) after: Option<Url>,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The page
    #[arg(value_name = "URL", value_parser = parse_url)]
    pub(crate) url: Url,
    /// Form of the output
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t = Form::Markdown)]
    pub(crate) form: Form,
}

/// Forms of a stored page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// The body as received
    Raw,
    /// The main content as Markdown
    Markdown,
    /// The main text, which the spans of infos refer to
    Text,
    /// Its metadata, as JSON
    Meta,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The URL
    #[arg(value_name = "URL", value_parser = parse_url)]
    pub(crate) url: Url,
}

#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// Files, directories, or - for standard input
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// URL that relative links are resolved against
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) url: Option<Url>,
    /// One JSON object per document, with its blocks
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    /// The content as Markdown; the default
    #[arg(long, group = "form")]
    pub(crate) markdown: bool,
    /// The content as plain text
    #[arg(long, group = "form")]
    pub(crate) text: bool,
    #[command(flatten)]
    pub(crate) wishes: Wishes,
}

/// What is taken for content; the settings `[extract]` hold otherwise.
#[derive(Debug, Args)]
#[command(next_help_heading = "Content")]
pub(crate) struct Wishes {
    /// Leave out parts in doubt (precision) or keep them (recall)
    #[arg(long, value_name = "WHICH", value_parser = parse_favour)]
    pub(crate) favour: Option<Favour>,
    /// What becomes of readers' comments: `keep`, `drop` or `by_page`
    #[arg(long, value_name = "WHAT", value_parser = parse_comments)]
    pub(crate) comments: Option<Comments>,
    /// Leave out tables of data
    #[arg(long)]
    pub(crate) no_tables: bool,
    /// Leave images out of the Markdown
    #[arg(long)]
    pub(crate) no_images: bool,
    /// Leave the targets of links out of the Markdown
    #[arg(long)]
    pub(crate) no_links: bool,
    /// Content is what this matches: tag, #id, .class, [attr=value]; may be repeated
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) keep: Vec<String>,
    /// What this matches is not content; may be repeated
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) remove: Vec<String>,
}

/// Arguments of the maintenance commands.
#[derive(Debug, Args)]
pub(crate) struct Maintain {
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Directory of the copy; created if needed, must not hold a store
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// As one JSON object
    #[arg(long, conflicts_with = "prometheus")]
    pub(crate) json: bool,
    /// In the text format of Prometheus
    #[arg(long)]
    pub(crate) prometheus: bool,
}

fn parse_favour(text: &str) -> Result<Favour, String> {
    match text {
        "balance" => Ok(Favour::Balance),
        "precision" => Ok(Favour::Precision),
        "recall" => Ok(Favour::Recall),
        _ => Err("not balance, precision or recall".to_owned()),
    }
}

fn parse_comments(text: &str) -> Result<Comments, String> {
    match text {
        "by_page" => Ok(Comments::ByPage),
        "keep" => Ok(Comments::Keep),
        "drop" => Ok(Comments::Drop),
        _ => Err("not by_page, keep or drop".to_owned()),
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        // `localhost:8080` parses as the scheme `localhost`; the last arm handles it.
        if error == url::ParseError::RelativeUrlWithoutBase {
            format!("no scheme; did you mean https://{text} ?")
        } else {
            error.to_string()
        }
    })?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme if text.starts_with(&format!("{scheme}://")) => {
            Err(format!("only http and https can be fetched, not {scheme}"))
        }
        _ => Err(format!("not an http or https URL; did you mean https://{text} ?")),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 500ms, 10s or \"2h 30m\""))
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be `Name: value`")?;
    let (name, value) = (name.trim(), value.trim());
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(format!("{name:?} is not the name of a header"));
    }
    if value.contains(|c: char| c.is_control() && c != '\t') {
        return Err("the value holds control characters".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn urls_without_scheme_get_a_hint() {
        assert!(parse_url("https://example.com/a").is_ok());
        assert!(parse_url("example.com").unwrap_err().contains("https://example.com"));
        assert!(parse_url("localhost:80/a").unwrap_err().contains("https://localhost:80/a"));
        assert!(parse_url("ftp://example.com/").unwrap_err().contains("not ftp"));
        assert!(parse_url("http://").is_err());
    }

    #[test]
    fn headers_are_split_and_checked() {
        let header = parse_header("X-Token: a:b ").unwrap();
        assert_eq!(header, ("X-Token".to_owned(), "a:b".to_owned()));
        assert!(parse_header("no colon").is_err());
        assert!(parse_header("a b: c").is_err());
        assert!(parse_header("a: b\r\nc: d").is_err());
    }

    #[test]
    fn durations_are_human() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert!(parse_duration("soon").unwrap_err().contains("500ms"));
    }
}
