//! Failures of commands, and their one-line messages.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use gristmill::ConfigError;
use gristmill::engine::Error;

/// Exit status of a command that failed.
pub(crate) const FAILED: u8 = 1;
/// Exit status of invalid usage.
pub(crate) const USAGE: u8 = 2;
/// Exit status after a clean stop on request: 128 plus the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It succeeded.
    Done,
    /// It stopped cleanly on request.
    Interrupted,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// A flag sets an invalid value.
    #[error("a flag is out of range")]
    Flag(#[source] ConfigError),
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The results could not be written.
    #[error("cannot write the results")]
    Output(#[source] io::Error),
    /// A file or directory given by the user could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file given by the user is not JSON.
    #[error("{} is not JSON", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The system refused something that a command needs.
    #[error("cannot {action}")]
    System {
        /// The action, as a verb phrase.
        action: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Any other failure, as one sentence.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// A failure of an action of the system.
    pub(crate) fn system(
        action: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::System { action: action.into(), source: source.into() }
    }

    /// Exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Flag(_) => USAGE,
            // The reader has seen enough, as in `gristmill infos | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            _ => FAILED,
        }
    }

    /// One line with all causes; `None` if there is nothing to report.
    pub(crate) fn line(&self) -> Option<String> {
        (self.status() != 0).then(|| line_of(self))
    }
}

/// An error and its causes on one line. A cause whose message is there already is omitted.
pub(crate) fn line_of(error: &dyn StdError) -> String {
    let mut line = flat(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let words = flat(&cause.to_string());
        if !line.contains(&words) {
            line.push_str(": ");
            line.push_str(&words);
        }
        source = cause.source();
    }
    line
}

/// The text on one line, without the source excerpts that parsers add (`3 | key = 1`) and without
/// control characters.
fn flat(text: &str) -> String {
    let drawn = |line: &&str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|')
    };
    let lines: Vec<_> =
        text.lines().filter(|line| !drawn(line)).map(str::trim).filter(|l| !l.is_empty()).collect();
    lines.join(": ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_told_on_one_line_with_its_place() {
        let error = gristmill::Config::parse("[crawl]\n\ndelai = 1\n", "mill.toml").unwrap_err();
        let line = Failure::Config(error).line().unwrap();
        assert!(!line.contains(['\n', '|']), "{line}");
        for part in ["mill.toml", "line 3", "delai"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("write x: {source}")]
        struct Twice {
            source: io::Error,
        }
        let line = line_of(&Twice { source: io::Error::other("disk gone") });
        assert_eq!(line, "write x: disk gone");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((closed.status(), closed.line()), (0, None));
        let full = Failure::Output(io::ErrorKind::StorageFull.into());
        assert_eq!(full.status(), FAILED);
        assert!(full.line().unwrap().starts_with("cannot write the results: "));
    }
}
