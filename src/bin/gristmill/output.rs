//! Standard output: buffered, and without a panic when its reader has gone.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Where results go.
pub(crate) struct Output {
    to: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Standard output, taken for this command.
    pub(crate) fn stdout() -> Self {
        Self { to: BufWriter::new(io::stdout().lock()) }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes).map_err(Failure::Output)
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value)
            .map_err(|error| Failure::system("write a result as JSON", error))?;
        self.line(&line)
    }

    /// Flushes the buffer. Must be called at the end, because dropping would hide errors.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.to.flush().map_err(Failure::Output)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Text from a page for people to read: on one line, and without control characters, which could
/// steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.extend(word.chars().filter(|c| !is_direction(*c)));
        }
    }
    plain
}

/// Characters that change the direction of the text around them (Unicode TR 9). A page could use
/// them to disguise a line.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a line to standard error. Errors are ignored: a closed standard error is no reason to
/// stop.
pub(crate) fn notice(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_text_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n c\u{9b}d\u{202e}e "), "a [2Jb c de");
    }
}
