//! Where the pages come from: a folder of files, or made up.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::page::{self, Page};
use crate::arguments::Arguments;
use crate::crawl::site;
use crate::error::Error;
use crate::numbers::Numbers;

/// Larger files are passed over: with this, the files of the Rust documentation have 29 KB in the
/// mean.
const MOST_PAGE_BYTES: u64 = 256 << 10;

/// Deepest folder that is looked into.
const MOST_DEPTH: usize = 16;

/// Most files that are looked at.
const MOST_FILES: usize = 1_000_000;

/// Made-up pages have from this many bytes …
const LEAST_MADE_BYTES: u64 = 1000;
/// … to less than this many, 29 KB in the mean.
const END_OF_MADE_BYTES: u64 = 57_000;

/// Different words in made-up pages.
const WORDS: u64 = 2000;

const SEED: u64 = 42;

/// Where pages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The HTML files of some parts of the documentation in this folder.
    Documentation(PathBuf),
    /// All files in this folder.
    Folder(PathBuf),
    /// Words from a fixed seed.
    Made,
}

/// A file that may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    /// From the folder on.
    name: String,
    path: PathBuf,
    bytes: u64,
}

impl Source {
    /// That folder if one is given, else the documentation of the toolchain, else made up.
    pub(crate) fn choose(folder: Option<PathBuf>) -> Self {
        if let Some(folder) = folder {
            return Self::Folder(folder);
        }
        // Without a toolchain there is no documentation either.
        let documentation = site::toolchain_documents().ok();
        let documentation = documentation
            .filter(|folder| site::PARTS.iter().all(|part| folder.join(part).is_dir()));
        documentation.map_or(Self::Made, Self::Documentation)
    }

    /// What it is, in words, and the number and mean size of the pages that it will give.
    pub(crate) fn describe(&self, count: usize) -> Result<String, Error> {
        let what = match self {
            Self::Documentation(_) => "files of the Rust documentation".to_owned(),
            Self::Folder(folder) => format!("files of {}", folder.display()),
            Self::Made => "made-up pages, as there is no Rust documentation".to_owned(),
        };
        let sizes: Vec<u64> = match self {
            Self::Made => made(count).iter().map(|page| page.bytes.len() as u64).collect(),
            _ => self.sample(count)?.iter().map(|candidate| candidate.bytes).collect(),
        };
        let mean = sizes.iter().sum::<u64>() / (sizes.len() as u64).max(1);
        Ok(format!("{} {what}, mean {mean} bytes", sizes.len()))
    }

    /// The pages: at most `count`, the same ones in the same order every time.
    pub(crate) fn load(&self, count: usize) -> Result<Vec<Page>, Error> {
        if *self == Self::Made {
            return Ok(made(count));
        }
        let read = |candidate: Candidate| {
            let what = format!("read {}", candidate.path.display());
            let bytes = fs::read(&candidate.path).map_err(Error::io(what))?;
            Ok(Page::new(&candidate.name, bytes))
        };
        self.sample(count)?.into_iter().map(read).collect()
    }

    /// As arguments of a child, which [`read`](Self::read) takes.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        match self {
            Self::Documentation(folder) => vec!["--documentation".into(), folder.into()],
            Self::Folder(folder) => vec!["--pages".into(), folder.into()],
            Self::Made => vec!["--made".into()],
        }
    }

    /// What a child was told.
    pub(crate) fn read(arguments: &mut Arguments) -> Result<Self, Error> {
        if arguments.flag("--made") {
            return Ok(Self::Made);
        }
        let documentation = arguments.option("--documentation")?.map(Self::Documentation);
        match documentation.or(arguments.option("--pages")?.map(Self::Folder)) {
            Some(source) => Ok(source),
            None => Err(Error::Usage("it is not said where the pages come from".to_owned())),
        }
    }

    /// The files whose names have the smallest hashes.
    fn sample(&self, count: usize) -> Result<Vec<Candidate>, Error> {
        let mut found = Vec::new();
        match self {
            Self::Documentation(folder) => {
                for part in site::PARTS {
                    walk(&folder.join(part), part, MOST_DEPTH, &mut found)?;
                }
                found.retain(|candidate| {
                    candidate.path.extension().is_some_and(|extension| extension == "html")
                });
            }
            Self::Folder(folder) => walk(folder, "", MOST_DEPTH, &mut found)?,
            Self::Made => {}
        }
        found.retain(|candidate| (1..=MOST_PAGE_BYTES).contains(&candidate.bytes));
        found.sort_by_cached_key(|candidate| page::key(&candidate.name));
        found.truncate(count);
        if found.is_empty() {
            return Err(Error::Usage("there are no pages to store".to_owned()));
        }
        Ok(found)
    }
}

fn walk(folder: &Path, name: &str, depth: usize, found: &mut Vec<Candidate>) -> Result<(), Error> {
    let context = || format!("read {}", folder.display());
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(Error::io(context()))? {
        let entry = entry.map_err(Error::io(context()))?;
        let kind = entry.file_type().map_err(Error::io(context()))?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if kind.is_dir() {
            walk(&entry.path(), &name, depth - 1, found)?;
        } else if kind.is_file() && found.len() < MOST_FILES {
            let bytes = entry.metadata().map_err(Error::io(context()))?.len();
            found.push(Candidate { name, path: entry.path(), bytes });
        }
    }
    Ok(())
}

/// Pages made of words, which compress as text does.
fn made(count: usize) -> Vec<Page> {
    let mut numbers = Numbers::from_seed(SEED);
    let words: Vec<String> = (0..WORDS).map(|_| format!("{:x} ", numbers.next() >> 44)).collect();
    let mut page = |number: usize| {
        let length = LEAST_MADE_BYTES + numbers.below(END_OF_MADE_BYTES - LEAST_MADE_BYTES);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = b"<html>".to_vec();
        while bytes.len() < length {
            let word = usize::try_from(numbers.below(WORDS)).ok().and_then(|at| words.get(at));
            bytes.extend_from_slice(word.map_or(b" ", |word| word.as_bytes()));
        }
        bytes.truncate(length);
        Page::new(&format!("made/{number}"), bytes)
    };
    (0..count).map(&mut page).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn files_are_chosen_by_the_hash_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        for number in 0..40 {
            let folder = if number % 2 == 0 { "." } else { "below" };
            fs::write(dir.path().join(folder).join(number.to_string()), number.to_string())
                .unwrap();
        }
        fs::write(dir.path().join("empty"), "").unwrap();
        let large = fs::File::create(dir.path().join("large")).unwrap();
        large.set_len(MOST_PAGE_BYTES + 1).unwrap();
        let source = Source::choose(Some(dir.path().to_path_buf()));
        let all = source.load(1000).unwrap();
        assert_eq!(all.len(), 40);
        assert!(all.is_sorted_by_key(|page| page.key));
        assert_eq!(source.load(7).unwrap(), all[..7]);
        assert!(source.describe(7).unwrap().starts_with("7 files of "));
    }

    #[test]
    fn a_child_is_told_the_source() {
        let folder = || PathBuf::from("some/folder");
        for source in [Source::Made, Source::Folder(folder()), Source::Documentation(folder())] {
            let words: Vec<_> =
                source.arguments().into_iter().map(|word| word.into_string().unwrap()).collect();
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let mut arguments = Arguments::of(&words);
            assert_eq!(Source::read(&mut arguments).unwrap(), source);
            assert!(arguments.finish().is_ok());
        }
        assert!(Source::read(&mut Arguments::of(&[])).is_err());
    }

    #[test]
    fn a_folder_without_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Source::Folder(dir.path().to_path_buf()).load(1).is_err());
        assert!(Source::Folder(dir.path().join("missing")).load(1).is_err());
    }

    #[test]
    fn made_pages_are_the_same_each_time_and_as_large_as_real_ones() {
        let pages = Source::Made.load(2000).unwrap();
        assert_eq!(Source::Made.load(2000).unwrap(), pages);
        let keys: HashSet<_> = pages.iter().map(|page| page.key).collect();
        assert_eq!(keys.len(), 2000);
        let mean = pages.iter().map(|page| page.bytes.len()).sum::<usize>() / pages.len();
        assert!((28_000..30_000).contains(&mean), "{mean}");
        assert!(Source::Made.describe(10).unwrap().contains("made-up"));
    }
}
