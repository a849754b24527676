//! The command line. It uses the public interface of the library alone.

mod arguments;
mod commands;
mod demo;
mod failure;
mod interrupt;
mod output;
mod progress;
mod settings;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use tracing::level_filters::LevelFilter;

use arguments::{Arguments, Command};
use failure::{Failure, INTERRUPTED, Outcome, USAGE};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misunderstood(&error),
    };
    listen(arguments.verbose);
    match run(&arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => INTERRUPTED.into(),
        Err(failure) => {
            if let Some(line) = failure.line() {
                output::notice(&format!("gristmill: {line}"));
            }
            failure.status().into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let data = &arguments.data;
    match &arguments.command {
        Command::Demo => commands::demo::run(data, arguments.verbose),
        Command::Crawl(crawl) => commands::crawl::run(data, crawl, arguments.verbose),
        Command::Infos(infos) => commands::infos::run(data, infos),
        Command::Pages(pages) => commands::pages::run(data, pages),
        Command::Get(get) => commands::get::run(data, get),
        Command::Extract(extract) => commands::extract::run(data, extract),
        Command::Why(why) => commands::why::run(data, why),
        Command::Stats(stats) => commands::stats::run(data, stats),
        Command::Check(check) => commands::check::run(data, check),
        Command::Compact(compact) => commands::compact::run(data, compact),
        Command::Backup(backup) => commands::backup::run(data, backup),
        Command::Config => commands::config::run(data),
    }
}

/// Reports invalid arguments on one line; prints help and version as requested.
fn misunderstood(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = write!(std::io::stdout(), "{}", error.render());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(std::io::stderr(), "{}", error.render());
            USAGE.into()
        }
        _ => {
            let text = error.render().to_string();
            output::notice(&format!("gristmill: {}", usage_line(&text)));
            USAGE.into()
        }
    }
}

/// The message and the tip of a usage error of `clap`, without its usage text.
fn usage_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let message: Vec<_> = lines.clone().take_while(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    match lines.clone().find_map(|line| line.strip_prefix("tip: ")) {
        Some(tip) => format!("{message} ({tip})"),
        None => message.to_owned(),
    }
}

/// Sends events to standard error: errors, and more for each `-v`.
fn listen(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::ERROR,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_for(arguments: &[&str]) -> String {
        usage_line(&Arguments::try_parse_from(arguments).unwrap_err().render().to_string())
    }

    #[test]
    fn usage_errors_are_one_line() {
        let typo = line_for(&["gristmill", "crawl", "https://example.com", "--dely", "1s"]);
        assert!(typo.contains("--dely") && typo.contains("--delay"), "{typo}");
        let none = line_for(&["gristmill", "crawl"]);
        assert!(none.contains("required") && none.contains("URL"), "{none}");
        let value = line_for(&["gristmill", "get", "example.com"]);
        assert!(value.contains("did you mean https://example.com"), "{value}");
        for line in [typo, none, value] {
            assert!(!line.contains('\n') && !line.starts_with("error"), "{line}");
        }
    }
}
