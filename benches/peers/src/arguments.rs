//! The command line: positional words and `--name value` pairs.

use std::collections::VecDeque;
use std::str::FromStr;

use crate::error::Error;

/// What is left of the command line.
pub(crate) struct Arguments {
    words: VecDeque<String>,
}

impl Arguments {
    /// The arguments of this process; those that are not UTF-8 are replaced where they are not.
    pub(crate) fn from_process() -> Self {
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        Self { words: words.collect() }
    }

    /// These words.
    #[cfg(test)]
    pub(crate) fn of(words: &[&str]) -> Self {
        Self { words: words.iter().map(|&word| word.to_owned()).collect() }
    }

    /// Takes the first word, which must not be an option.
    pub(crate) fn positional(&mut self) -> Result<String, Error> {
        match self.words.pop_front() {
            Some(word) if !word.starts_with("--") => Ok(word),
            Some(word) => Err(Error::Usage(format!("expected a word before {word}"))),
            None => Err(Error::Usage("a word is missing".to_owned())),
        }
    }

    /// Takes `--name value` from anywhere; `None` if it is not there.
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Error> {
        let Some(at) = self.words.iter().position(|word| word == name) else { return Ok(None) };
        self.words.remove(at);
        let value =
            self.words.remove(at).ok_or_else(|| Error::Usage(format!("{name} needs a value")))?;
        let parsed = value.parse();
        parsed.map(Some).map_err(|_| Error::Usage(format!("{name} cannot be {value:?}")))
    }

    /// Takes `--engines A,B` from anywhere; all there are if it is not there.
    pub(crate) fn engines<E: Clone + FromStr<Err = Error>>(
        &mut self,
        all: &[E],
    ) -> Result<Vec<E>, Error> {
        match self.option::<String>("--engines")? {
            Some(names) => names.split(',').map(E::from_str).collect(),
            None => Ok(all.to_vec()),
        }
    }

    /// Takes `name` from anywhere; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.words.iter().position(|word| word == name);
        at.and_then(|at| self.words.remove(at)).is_some()
    }

    /// Fails if anything was not taken.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.words.front() {
            None => Ok(()),
            Some(word) => Err(Error::Usage(format!("{word} is not understood here"))),
        }
    }
}

/// The engine of that name among all that this binary was built with.
pub(crate) fn engine_called<E: Copy>(
    name: &str,
    all: &[E],
    name_of: fn(E) -> &'static str,
) -> Result<E, Error> {
    all.iter().copied().find(|engine| name_of(*engine) == name).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|engine| name_of(*engine)).collect();
        Error::Usage(format!("no engine {name:?} in this build, only {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_from_anywhere_and_leftovers_fail() {
        let mut line = Arguments::of(&["crawl", "--repeat", "5", "--what"]);
        assert_eq!(line.positional().unwrap(), "crawl");
        assert_eq!(line.option::<usize>("--repeat").unwrap(), Some(5));
        assert_eq!(line.option::<usize>("--connections").unwrap(), None);
        assert!(matches!(line.finish(), Err(Error::Usage(_))));
    }

    #[test]
    fn a_flag_is_taken_once() {
        let mut line = Arguments::of(&["pool", "--idle"]);
        assert!(line.flag("--idle"));
        assert!(!line.flag("--idle"));
        assert_eq!(line.positional().unwrap(), "pool");
        assert!(line.finish().is_ok());
    }

    #[test]
    fn a_value_that_does_not_parse_or_is_missing_is_a_usage_error() {
        assert!(Arguments::of(&["--repeat", "many"]).option::<usize>("--repeat").is_err());
        assert!(Arguments::of(&["--repeat"]).option::<usize>("--repeat").is_err());
        assert!(Arguments::of(&["--repeat"]).positional().is_err());
    }
}
