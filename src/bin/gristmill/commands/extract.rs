//! `gristmill extract`: the main content of files, without a crawl.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use gristmill::engine::extract_options;
use gristmill::extract::{Extractor, Input};
use gristmill::model::{Block, Content, Link, PageType, Truncated};
use gristmill::url::Url;
use rayon::prelude::*;
use serde::Serialize;

use crate::arguments::{DataOptions, Extract};
use crate::failure::{Failure, Outcome, line_of};
use crate::output::{Output, notice};
use crate::{progress, settings};

/// Extensions of the files that are read in a directory. Files named on the command line are read
/// whatever their extension.
const ENDINGS: [&str; 5] = ["html", "htm", "xhtml", "shtml", "xht"];
/// Documents that are read and extracted in parallel at a time. Their results are printed in order.
const BATCH: usize = 32;
/// Directories deeper than this are not entered.
const MAX_DEPTH: usize = 256;
/// Stands for standard input.
const STANDARD_INPUT: &str = "-";

/// A document to extract from.
struct Document {
    path: PathBuf,
    /// The base of its links.
    url: Url,
}

/// The JSON form of a result.
#[derive(Serialize)]
struct Line<'a> {
    path: String,
    url: &'a Url,
    title: &'a Option<String>,
    language: &'a Option<String>,
    author: &'a Option<String>,
    authors: &'a [String],
    description: &'a Option<String>,
    published_at: &'a Option<String>,
    modified_at: &'a Option<String>,
    image: &'a Option<Url>,
    site_name: &'a Option<String>,
    canonical: &'a Option<Url>,
    page_type: Option<PageType>,
    charset: &'a str,
    text: &'a str,
    markdown: &'a str,
    links: &'a [Link],
    blocks: &'a [Block],
    truncated: Truncated,
}

pub(crate) fn run(data: &DataOptions, arguments: &Extract) -> Result<Outcome, Failure> {
    let config = settings::with_wishes(settings::load(data)?, &arguments.wishes);
    let limit = config.crawl.max_body_bytes;
    let extractor = Extractor::new(extract_options(&config)?);
    let (documents, mut failed) = documents(arguments);
    let mut output = Output::stdout();
    let titled = documents.len() > 1 && !arguments.json;
    let progress = progress::documents(documents.len());
    for batch in documents.chunks(BATCH) {
        let contents: Vec<_> =
            batch.par_iter().map(|document| content(&extractor, document, limit)).collect();
        for (document, content) in batch.iter().zip(contents) {
            match content {
                Ok(content) if arguments.json => output.json(&line(document, &content))?,
                Ok(content) => {
                    if titled {
                        output.line(&title(&document.path, arguments))?;
                    }
                    print(&mut output, &content, arguments)?;
                }
                Err(failure) => {
                    failed += 1;
                    let line = format!("gristmill: {}", line_of(&failure));
                    progress.suspend(|| notice(&line));
                }
            }
        }
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    output.finish()?;
    match failed {
        0 => Ok(Outcome::Done),
        1 => Err(Failure::Failed("one path could not be extracted".to_owned())),
        _ => Err(Failure::Failed(format!("{failed} paths could not be extracted"))),
    }
}

/// The line above a document, if there are several.
fn title(path: &Path, arguments: &Extract) -> String {
    if arguments.text {
        format!("==> {} <==", path.display())
    } else {
        format!("<!-- {} -->", path.display())
    }
}

fn print(output: &mut Output, content: &Content, arguments: &Extract) -> Result<(), Failure> {
    if !arguments.text {
        return output.bytes(content.markdown.as_bytes());
    }
    if content.text.is_empty() { Ok(()) } else { output.line(&content.text) }
}

fn content(extractor: &Extractor, document: &Document, limit: u64) -> Result<Content, Failure> {
    let read = |source| Failure::Read { path: document.path.clone(), source };
    let mut body = Vec::new();
    // One byte more than allowed, to detect a body that is too long.
    if document.path == Path::new(STANDARD_INPUT) {
        std::io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut body)
    } else {
        fs::File::open(&document.path)
            .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut body))
    }
    .map_err(read)?;
    if body.len() as u64 > limit {
        return Err(read(std::io::Error::other(format!("larger than {limit} bytes"))));
    }
    extractor
        .extract(&Input { body: &body, url: &document.url, content_type: None })
        .map_err(|error| Failure::system(format!("extract {}", document.path.display()), error))
}

fn line<'a>(document: &'a Document, content: &'a Content) -> Line<'a> {
    Line {
        path: document.path.display().to_string(),
        url: &document.url,
        title: &content.title,
        language: &content.language,
        author: &content.author,
        authors: &content.authors,
        description: &content.description,
        published_at: &content.published_at,
        modified_at: &content.modified_at,
        image: &content.image,
        site_name: &content.site_name,
        canonical: &content.canonical,
        page_type: content.page_type,
        charset: &content.charset,
        text: &content.text,
        markdown: &content.markdown,
        links: &content.links,
        blocks: &content.blocks,
        truncated: content.truncated,
    }
}

/// The documents at the paths, and the number of paths that could not be read; these are reported.
fn documents(arguments: &Extract) -> (Vec<Document>, usize) {
    let (mut documents, mut failed) = (Vec::new(), 0);
    for path in &arguments.paths {
        if path != Path::new(STANDARD_INPUT) && path.is_dir() {
            let mut files = Vec::new();
            failed += walk(path, &mut files);
            documents.extend(files.into_iter().map(|file| {
                let url = match &arguments.url {
                    Some(base) => below(base, path, &file),
                    None => file_url(&file),
                };
                Document { path: file, url }
            }));
        } else {
            let url = arguments.url.clone().unwrap_or_else(|| file_url(path));
            documents.push(Document { path: path.clone(), url });
        }
    }
    (documents, failed)
}

/// Adds the documents below `root` in the order of their names. Links to directories are not
/// followed, so the walk terminates. Returns the number of directories that could not be read;
/// these are reported.
fn walk(root: &Path, files: &mut Vec<PathBuf>) -> usize {
    let mut failed = 0;
    let mut left = vec![(root.to_path_buf(), 0)];
    while let Some((path, depth)) = left.pop() {
        if depth > 0 && !path.is_dir() {
            files.push(path);
            continue;
        }
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match entries {
            Ok(mut entries) => {
                // A stack: the last one is taken first.
                entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
                let wanted = entries.into_iter().filter(|entry| is_wanted(entry, depth));
                left.extend(wanted.map(|entry| (entry.path(), depth + 1)));
            }
            Err(source) => {
                failed += 1;
                notice(&format!("gristmill: {}", line_of(&Failure::Read { path, source })));
            }
        }
    }
    failed
}

fn is_wanted(entry: &fs::DirEntry, depth: usize) -> bool {
    let path = entry.path();
    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        return depth < MAX_DEPTH;
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
    path.is_file() && ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// The URL of a file below `root`, if `root` itself is at `base`.
fn below(base: &Url, root: &Path, file: &Path) -> Url {
    let mut url = base.clone();
    if let (Ok(mut segments), Ok(rest)) = (url.path_segments_mut(), file.strip_prefix(root)) {
        segments.pop_if_empty();
        segments.extend(rest.iter().map(|part| part.to_string_lossy()));
    }
    url
}

/// The `file:` URL of a path; of the working directory for standard input.
fn file_url(path: &Path) -> Url {
    let url = std::path::absolute(path).ok().and_then(|path| Url::from_file_path(path).ok());
    url.unwrap_or_else(|| Url::parse("file:///").expect("invariant: a valid URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_directory_get_urls_below_the_base() {
        let base = Url::parse("https://example.com/site/").unwrap();
        let url = below(&base, Path::new("/data"), Path::new("/data/a b/c.html"));
        assert_eq!(url.as_str(), "https://example.com/site/a%20b/c.html");
    }

    #[test]
    fn a_walk_is_in_order_and_takes_documents_only() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.html", "a.HTM", "c.txt", "d/e.xhtml"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "<p>x").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let mut files = Vec::new();
        assert_eq!(walk(dir.path(), &mut files), 0);
        let names: Vec<_> =
            files.iter().map(|file| file.strip_prefix(dir.path()).unwrap().to_path_buf()).collect();
        assert_eq!(names, ["a.HTM", "b.html", "d/e.xhtml"].map(PathBuf::from));
        assert_eq!(walk(&dir.path().join("none"), &mut files), 1);
    }
}
