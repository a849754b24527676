//! Children of this binary: started by name, bounded in time, accounted by the kernel.

use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A child that takes longer is killed and its run fails.
const LONGEST_RUN: Duration = Duration::from_mins(10);

/// What the kernel accounts to a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Processor time, user and system, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Largest resident size in bytes.
    ///
    /// Linux starts a child's mark at what its parent held when it started it, so the parent must
    /// stay small: this binary's parent holds no pages.
    pub(crate) peak_bytes: f64,
}

/// What Linux calls the running binary, even after its file was replaced by a newer build.
const RUNNING_BINARY: &str = "/proc/self/exe";

/// This binary again, with other arguments; standard output is piped, errors pass through.
pub(crate) fn this_binary(arguments: &[&str]) -> Result<Command, Error> {
    let path = if cfg!(target_os = "linux") {
        PathBuf::from(RUNNING_BINARY)
    } else {
        std::env::current_exe().map_err(Error::io("find the path of this binary"))?
    };
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

/// Prints what a child has to answer, as [`run`] reads it.
pub(crate) fn answer(answer: &impl Serialize) {
    println!("{}", serde_json::to_string(answer).expect("invariant: finite numbers are JSON"));
}

/// Runs a child to its end: the line of JSON that it prints, and its usage from start to exit.
pub(crate) fn run<T: DeserializeOwned>(name: &str, command: Command) -> Result<(T, Usage), Error> {
    run_within(LONGEST_RUN, name, command)
}

/// The same for a child that may take another time.
pub(crate) fn run_within<T: DeserializeOwned>(
    longest: Duration,
    name: &str,
    mut command: Command,
) -> Result<(T, Usage), Error> {
    let mut child = command.spawn().map_err(Error::io(format!("start {name}")))?;
    let line = first_line(&mut child, longest);
    if line.is_err() {
        child.kill().map_err(Error::io(format!("stop {name}")))?;
    }
    let (status, usage) = wait(&child).map_err(Error::io(format!("wait for {name}")))?;
    let line = said(name, longest, line)?;
    if status != 0 {
        return Err(failed(name, format!("ended with wait status {status:#x}")));
    }
    Ok((understood(name, &line)?, usage))
}

/// Runs a child until it has printed its line of JSON, and kills it then (`SIGKILL`).
pub(crate) fn run_until_killed<T: DeserializeOwned>(
    name: &str,
    mut command: Command,
) -> Result<T, Error> {
    let mut child = command.spawn().map_err(Error::io(format!("start {name}")))?;
    let line = first_line(&mut child, LONGEST_RUN);
    child.kill().map_err(Error::io(format!("stop {name}")))?;
    child.wait().map_err(Error::io(format!("wait for {name}")))?;
    understood(name, &said(name, LONGEST_RUN, line)?)
}

fn failed(name: &str, problem: String) -> Error {
    Error::Child { name: name.to_owned(), problem }
}

/// The first line of a child's output; an error if there is none after `longest`.
fn first_line(
    child: &mut Child,
    longest: Duration,
) -> Result<io::Result<String>, mpsc::RecvTimeoutError> {
    let stdout = child.stdout.take().expect("invariant: `this_binary` pipes standard output");
    let (sender, lines) = mpsc::channel();
    // Not joined: it ends when the child closes its output, at the latest when it is killed.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line).map(|_| line);
        // The receiver is gone only after the deadline, when nobody asks any more.
        let _ = sender.send(read);
    });
    lines.recv_timeout(longest)
}

fn said(
    name: &str,
    longest: Duration,
    line: Result<io::Result<String>, mpsc::RecvTimeoutError>,
) -> Result<String, Error> {
    line.map_err(|_| failed(name, format!("not done after {} s", longest.as_secs())))?
        .map_err(Error::io(format!("read from {name}")))
}

fn understood<T: DeserializeOwned>(name: &str, line: &str) -> Result<T, Error> {
    serde_json::from_str(line).map_err(|error| {
        failed(name, format!("printed {line:?}, which is not its answer: {error}"))
    })
}

/// Usage of this process so far.
pub(crate) fn usage_of_this_process() -> io::Result<Usage> {
    // SAFETY: `rusage` is plain integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid for writes for the length of the call.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Usage::from(usage))
}

/// Waits for the child's end; the child must not have been waited for otherwise.
fn wait(child: &Child) -> io::Result<(i32, Usage)> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: `rusage` is plain integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are valid for writes for the length of the call.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if waited == pid {
            return Ok((status, Usage::from(usage)));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

impl From<libc::rusage> for Usage {
    #[expect(clippy::cast_precision_loss, reason = "seconds and bytes far below 2^52")]
    fn from(usage: libc::rusage) -> Self {
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        // Linux counts in KiB, macOS in bytes.
        let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
        Self {
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_bytes: usage.ru_maxrss as f64 * unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        command
    }

    #[test]
    fn a_child_answers_and_is_accounted() {
        let (answer, usage) = run::<Vec<u32>>("sh", shell("echo '[1,2]'")).unwrap();
        assert_eq!(answer, [1, 2]);
        assert!(usage.peak_bytes > 100_000.0 && usage.cpu_seconds >= 0.0);
    }

    #[test]
    fn a_child_that_would_go_on_is_killed_after_its_answer() {
        let answer: u32 = run_until_killed("sh", shell("echo 7; exec sleep 600")).unwrap();
        assert_eq!(answer, 7);
        let longest = Duration::from_millis(50);
        assert!(run_within::<u32>(longest, "sh", shell("exec sleep 600")).is_err());
    }

    #[test]
    fn a_child_that_fails_or_talks_nonsense_is_an_error() {
        assert!(run::<u32>("sh", shell("echo 1; exit 3")).is_err());
        assert!(run::<u32>("sh", shell("echo one")).is_err());
        assert!(run::<u32>("sh", shell("exit 0")).is_err());
    }
}
