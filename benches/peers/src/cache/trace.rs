//! Requests that were recorded from programs, in files, and those that are made up.
//!
//! | extension | content |
//! | --- | --- |
//! | `lis` | a line is `start count …`: `count` keys from `start` on, as the traces of ARC have it |
//! | `be32` | keys of 32 bits, big-endian |
//! | `txt` | one decimal key a line; a line of other text is skipped |
//!
//! Each may be compressed by zstd, with `.zst` after the extension.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::str::{self, FromStr};

use super::synthetic::Synthetic;
use crate::error::Error;

/// The traces of the table, with the capacities that published figures are for.
const STANDARD: &[(&str, usize)] = &[
    ("OLTP.lis.zst", 1000),
    ("OLTP.lis.zst", 2000),
    ("web07.be32", 2000),
    ("multi3.txt", 600),
    ("gli.txt", 600),
];

/// A trace with more requests is refused: they are held in memory, eight bytes each.
const MOST_REQUESTS: usize = 100_000_000;

/// Requests, and the capacity of the cache that they are put to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trace {
    /// From a file.
    Recorded(TraceFile),
    /// Made up.
    Synthetic(Synthetic),
}

/// A file of requests, written `FILE:CAPACITY` on the command line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraceFile {
    path: PathBuf,
    capacity: usize,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Ranges,
    BigEndian,
    Decimal,
}

impl Trace {
    /// The name without the capacity.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Recorded(file) => file.stem(),
            Self::Synthetic(synthetic) => synthetic.name().to_owned(),
        }
    }

    /// Capacity of the cache.
    pub(crate) const fn capacity(&self) -> usize {
        match self {
            Self::Recorded(file) => file.capacity,
            Self::Synthetic(synthetic) => synthetic.capacity(),
        }
    }

    /// All requests in their order.
    pub(crate) fn keys(&self) -> Result<Vec<u64>, Error> {
        match self {
            Self::Recorded(file) => file.keys(),
            Self::Synthetic(synthetic) => Ok(synthetic.keys()),
        }
    }
}

impl TraceFile {
    /// The traces of the table in a folder.
    pub(crate) fn standard(folder: &Path) -> Vec<Self> {
        let file = |&(name, capacity): &(&str, _)| Self { path: folder.join(name), capacity };
        STANDARD.iter().map(file).collect()
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its extension is known.
    pub(crate) fn is_understood(&self) -> bool {
        self.format().is_some()
    }

    /// As it is written on the command line.
    pub(crate) fn argument(&self) -> String {
        format!("{}:{}", self.path.display(), self.capacity)
    }

    fn is_compressed(&self) -> bool {
        self.path.extension() == Some(OsStr::new("zst"))
    }

    /// The path without the extension of compression.
    fn plain_path(&self) -> PathBuf {
        if self.is_compressed() { self.path.with_extension("") } else { self.path.clone() }
    }

    fn stem(&self) -> String {
        let plain = self.plain_path();
        plain.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn format(&self) -> Option<Format> {
        match self.plain_path().extension()?.to_str()? {
            "lis" => Some(Format::Ranges),
            "be32" => Some(Format::BigEndian),
            "txt" => Some(Format::Decimal),
            _ => None,
        }
    }

    fn keys(&self) -> Result<Vec<u64>, Error> {
        let format = self.format().ok_or(io::ErrorKind::Unsupported.into());
        let keys = format.and_then(|format| {
            let file = File::open(&self.path)?;
            if self.is_compressed() {
                format.keys(BufReader::new(zstd::Decoder::new(file)?))
            } else {
                format.keys(BufReader::new(file))
            }
        });
        keys.map_err(Error::io(format!("read the trace {}", self.path.display())))
    }
}

impl FromStr for TraceFile {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let parts = word.rsplit_once(':').and_then(|(path, capacity)| {
            let capacity = capacity.parse().ok().filter(|capacity| *capacity > 0)?;
            (!path.is_empty()).then(|| Self { path: PathBuf::from(path), capacity })
        });
        parts.ok_or_else(|| Error::Usage(format!("{word:?} is not FILE:CAPACITY")))
    }
}

impl Format {
    fn keys(self, content: impl BufRead) -> io::Result<Vec<u64>> {
        match self {
            Self::Ranges => ranges(content),
            Self::BigEndian => big_endian(content),
            Self::Decimal => decimal(content),
        }
    }
}

/// `start count` and whatever follows, a line; empty lines are skipped.
fn ranges(content: impl BufRead) -> io::Result<Vec<u64>> {
    let mut keys = Vec::new();
    for (number, line) in (1_usize..).zip(content.lines()) {
        let line = line?;
        let mut words = line.split_ascii_whitespace().map(str::parse::<u64>);
        match (words.next(), words.next()) {
            (None, _) => {}
            (Some(Ok(start)), Some(Ok(count))) => {
                let room = (MOST_REQUESTS - keys.len()) as u64;
                let end = start.checked_add(count).filter(|_| count <= room);
                keys.extend(start..end.ok_or_else(too_many)?);
            }
            _ => return Err(invalid(format!("line {number} is not a start and a count"))),
        }
    }
    Ok(keys)
}

/// Four bytes a key.
fn big_endian(mut content: impl BufRead) -> io::Result<Vec<u64>> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    let (keys, []) = bytes.as_chunks() else {
        return Err(invalid(format!("{} bytes are not keys of four bytes", bytes.len())));
    };
    if keys.len() > MOST_REQUESTS {
        return Err(too_many());
    }
    Ok(keys.iter().map(|key| u64::from(u32::from_be_bytes(*key))).collect())
}

/// A number a line; what is none is skipped.
fn decimal(content: impl BufRead) -> io::Result<Vec<u64>> {
    let mut keys = Vec::new();
    for line in content.split(b'\n') {
        let line = line?;
        let Some(key) = str::from_utf8(&line).ok().and_then(|line| line.trim().parse().ok()) else {
            continue;
        };
        if keys.len() == MOST_REQUESTS {
            return Err(too_many());
        }
        keys.push(key);
    }
    Ok(keys)
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn too_many() -> io::Error {
    invalid(format!("more than {MOST_REQUESTS} requests"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(word: &str) -> TraceFile {
        word.parse().unwrap()
    }

    #[test]
    fn a_range_is_all_its_keys() {
        let read = |text: &str| ranges(text.as_bytes());
        assert_eq!(read("7 1 0 0\n\n3 3 0 1\r\n").unwrap(), [7, 3, 4, 5]);
        assert_eq!(read("7 0\n").unwrap(), [0; 0]);
        let error = read("7 1 0 0\n7 x 0 1\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2 "), "{error}");
        assert!(read("7\n").is_err());
    }

    #[test]
    fn a_range_that_memory_would_not_hold_is_refused() {
        assert!(ranges(&b"0 18446744073709551615"[..]).is_err());
        assert!(ranges(&b"2 18446744073709551615"[..]).is_err());
        assert!(ranges(format!("0 1\n0 {MOST_REQUESTS}").as_bytes()).is_err());
    }

    #[test]
    fn big_endian_keys_have_four_bytes() {
        assert_eq!(big_endian(&[0, 0, 0, 7, 1, 0, 0, 0][..]).unwrap(), [7, 1 << 24]);
        assert!(big_endian(&[0, 0, 0, 7, 1][..]).is_err());
    }

    #[test]
    fn lines_that_are_no_numbers_are_skipped() {
        assert_eq!(decimal(&b"5\n*\n\n 6\r\nkey 7\n\xFF\n8"[..]).unwrap(), [5, 6, 8]);
    }

    #[test]
    fn the_format_is_guessed_by_the_extension() {
        let guessed = |word| (file(word).format(), file(word).stem());
        assert_eq!(guessed("a/OLTP.lis:1"), (Some(Format::Ranges), "OLTP".to_owned()));
        assert_eq!(guessed("a/OLTP.lis.zst:1"), (Some(Format::Ranges), "OLTP".to_owned()));
        assert_eq!(guessed("web07.be32:1"), (Some(Format::BigEndian), "web07".to_owned()));
        assert_eq!(guessed("gli.txt:1"), (Some(Format::Decimal), "gli".to_owned()));
        assert_eq!(guessed("gli.csv:1").0, None);
        assert_eq!(guessed("gli.zst:1").0, None);
        assert!(file("gli:1").keys().is_err());
    }

    #[test]
    fn a_file_has_a_capacity() {
        assert_eq!(file("c:/a.txt:600").path(), Path::new("c:/a.txt"));
        assert_eq!(file("c:/a.txt:600").argument(), "c:/a.txt:600");
        for word in ["a.txt", "a.txt:", "a.txt:0", "a.txt:many", ":600"] {
            assert!(matches!(word.parse::<TraceFile>(), Err(Error::Usage(_))), "{word}");
        }
    }

    #[test]
    fn compressed_files_are_read_and_missing_ones_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tiny.lis.zst");
        fs::write(&path, zstd::encode_all(&b"1 2 0 0\n"[..], 1).unwrap()).unwrap();
        assert_eq!(TraceFile { path, capacity: 1 }.keys().unwrap(), [1, 2]);
        for missing in TraceFile::standard(dir.path()) {
            assert!(missing.is_understood() && missing.keys().is_err());
        }
    }
}
