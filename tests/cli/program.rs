//! Running the binary.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::PATIENCE;

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary with these arguments, without settings from the environment.
pub(crate) fn gristmill<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GRISTMILL_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that is killed when the test ends.
pub(crate) struct Running {
    child: Child,
    stdout: Option<mpsc::Receiver<String>>,
    stderr: Option<mpsc::Receiver<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(reader);
        let stderr = child.stderr.take().map(reader);
        Self { child, stdout, stderr }
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; the process has to end by itself.
    pub(crate) fn finish(mut self) -> Finished {
        // Both pipes end when the process does, and have a deadline, which waiting for a process
        // has not.
        let text = |pipe: Option<mpsc::Receiver<String>>| {
            pipe.map_or_else(String::new, |pipe| {
                pipe.recv_timeout(PATIENCE).expect("the process did not end in time")
            })
        };
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        Finished { status: self.child.wait().unwrap().code(), stdout, stderr }
    }

    /// Ends it the hard way.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reader(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Runs the binary to its end.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Finished {
    Running::start(gristmill(arguments)).finish()
}

impl Finished {
    /// Asserts success and gives what was printed.
    #[track_caller]
    pub(crate) fn output(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.stdout
    }

    /// Asserts a failure with this status and one line on standard error; gives the line.
    #[track_caller]
    pub(crate) fn complaint(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        let line = self.stderr.trim_end_matches('\n').to_owned();
        assert!(line.starts_with("gristmill: ") && !line.contains('\n'), "{self:?}");
        line
    }

    /// What was printed, one JSON value a line.
    #[track_caller]
    pub(crate) fn json(self) -> Vec<serde_json::Value> {
        self.output().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// A data directory, with the arguments that name it.
pub(crate) struct Data {
    dir: tempfile::TempDir,
}

impl Data {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in the temporary directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.file("data")
    }

    /// The command with its arguments on this directory.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = gristmill(line);
        command.arg("--data").arg(self.path());
        command
    }

    /// Runs the command on this directory.
    pub(crate) fn run(&self, line: &[&str]) -> Finished {
        Running::start(self.command(line)).finish()
    }

    /// Crawls `url` on the loopback interface without a pause.
    pub(crate) fn crawl(&self, url: &str, more: &[&str]) -> Finished {
        self.run(&crawl_line(url, more))
    }
}

/// The arguments of a crawl on the loopback interface without a pause.
pub(crate) fn crawl_line<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["crawl", url, "--allow-private", "--delay", "0s"], more].concat()
}

/// A page with these links.
pub(crate) fn page(title: &str, text: &str, links: &[String]) -> String {
    let links = links.iter().fold(String::new(), |list, link| {
        list + "<li><a href=\"" + link + "\">" + link + "</a></li>"
    });
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><title>{title}</title></head><body><main>\
         <h1>{title}</h1><p>{text}</p><ul>{links}</ul></main></body></html>"
    )
}

/// Whether a path is there.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The time that a slow answer takes: far longer than any test waits.
pub(crate) const NEVER: Duration = Duration::from_hours(1);
