//! A crawl of many slow hosts: how near does it come to what their latency allows?
//!
//! `cargo bench --bench many_hosts -- [--hosts 500] [--pages 40] [--latency-ms 200]
//! [--page-bytes 8192] [--concurrency 500] [--extract] [--repeat 1] [--log FILE]`
//!
//! Every host answers after its latency and is asked for one page at a time without a delay, so the
//! most that can be is hosts / latency: 2,500 exchanges a second with 500 hosts at 200 ms. What is
//! missing is time that the crawler needs between the end of an answer and the next request to that
//! host, which the server measures too (turnaround). The server runs in a process of its own, this
//! program again, and shares the machine. Pages are stored durably, and their links are followed;
//! with `--extract` text and Markdown are stored as well.
//!
//! - Total: exchanges (robots.txt of every host included) by the time from before the engine is
//!   opened until it is closed.
//! - Steady: between the ends of the exchanges at 10 % and at 90 % of all, by the server's log. So
//!   neither the start, when every name is looked up and every connection opened, nor the end, when
//!   hosts run dry, counts. Hosts that answer together make this uncertain by up to one latency in
//!   all; the mean time from one request to the next of the same host (its cycle) in the same part
//!   of the run is exact, so hosts / cycle is printed too.
//! - With `--log` the server writes down each exchange: host, path, connection, and start and end
//!   in microseconds.

#[cfg(target_os = "linux")]
#[path = "../tests/support/many_hosts/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests need more of it")]
mod many_hosts;
#[cfg(target_os = "linux")]
#[path = "../tests/support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
fn main() {
    crawl::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("needs Linux: loopback addresses beyond 127.0.0.1");
}

#[cfg(target_os = "linux")]
mod crawl {
    use std::collections::{BTreeMap, HashMap};
    use std::fs::File;
    use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use gristmill::{Config, Engine, Job, Report};
    use rustix::time::{ClockId, clock_gettime};

    use super::many_hosts::{Answer, Exchange, Host, Log, ManyHosts, Names};

    /// The argument that makes this program the server.
    const SERVE: &str = "--serve";

    /// What is measured.
    #[derive(Clone, Copy)]
    struct Setting {
        hosts: usize,
        pages: u32,
        latency: Duration,
        page_bytes: usize,
        concurrency: usize,
        extract: bool,
        repeat: usize,
    }

    /// What follows the name of an option.
    fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).map(String::as_str)
    }

    impl Setting {
        fn of_arguments(arguments: &[String]) -> Self {
            let number = |name: &str, default: usize| {
                option(arguments, name)
                    .map_or(default, |value| value.parse().expect("options take a number"))
            };
            let hosts = number("--hosts", 500);
            Self {
                hosts,
                pages: u32::try_from(number("--pages", 40)).expect("a number of pages"),
                latency: Duration::from_millis(number("--latency-ms", 200) as u64),
                page_bytes: number("--page-bytes", 8192),
                concurrency: number("--concurrency", hosts),
                extract: arguments.iter().any(|argument| argument == "--extract"),
                repeat: number("--repeat", 1),
            }
        }

        /// Exchanges a second, if the crawler took no time.
        fn ideal(&self) -> f64 {
            count(self.hosts.min(self.concurrency)) / self.latency.as_secs_f64()
        }
    }

    pub(super) fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let setting = Setting::of_arguments(&arguments);
        if arguments.iter().any(|argument| argument == SERVE) {
            return serve(&setting, &arguments);
        }
        println!(
            "{} hosts of {} pages of {} bytes, {} ms latency, {} exchanges at once, {}",
            setting.hosts,
            setting.pages,
            setting.page_bytes,
            setting.latency.as_millis(),
            setting.concurrency,
            if setting.extract { "text and Markdown" } else { "raw pages and links" }
        );
        for _ in 0..setting.repeat {
            measure(&setting, &arguments);
        }
    }

    /// The server's process: prints its port, serves until its input ends, prints its figures.
    fn serve(setting: &Setting, arguments: &[String]) {
        let host = Host::new().pages(setting.pages).page_bytes(setting.page_bytes);
        let host = host.latency(setting.latency);
        let server = ManyHosts::builder().seed(1).hosts(setting.hosts, &host);
        let server = server.start().expect("the server starts");
        println!("port {}", server.address("site0.test").port());
        std::io::stdin().read_to_end(&mut Vec::new()).expect("the parent holds the other end");
        let log = server.stop();
        if let Some(path) = option(arguments, "--log") {
            write_down(&log, path).expect("the log can be written");
        }
        for (name, figure) in figures(setting, &log) {
            println!("{name} {figure}");
        }
    }

    /// One line an exchange: host, path, connection, start and end in microseconds.
    fn write_down(log: &Log, path: &str) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for exchange in log.all() {
            let (started, ended) = (exchange.started.as_micros(), exchange.ended.as_micros());
            let (host, connection) = (&exchange.host, exchange.connection);
            writeln!(file, "{host} {} {connection} {started} {ended}", exchange.path)?;
        }
        file.flush()
    }

    /// What the log shows.
    fn figures(setting: &Setting, log: &Log) -> BTreeMap<&'static str, f64> {
        let hosts = log.by_host();
        let mut asked: HashMap<(&str, &str), u32> = HashMap::new();
        for exchange in log.all() {
            *asked.entry((&exchange.host, &exchange.path)).or_default() += 1;
        }
        let sent = log.all().iter().filter(|exchange| exchange.answer == Answer::Sent(200)).count();
        let faultless = sent == setting.hosts * setting.pages as usize
            && asked.values().all(|times| *times == 1)
            && hosts.keys().all(|host| log.peak(host) == 1);
        let mut gaps: Vec<Duration> =
            hosts.keys().flat_map(|host| log.gaps(host)).map(|(gap, _)| gap).collect();
        gaps.sort_unstable();
        let gap = |percent: usize| millis(gaps[(gaps.len() * percent / 100).min(gaps.len() - 1)]);
        let took: Duration = log.all().iter().map(Exchange::took).sum();
        let (from, to) = (log.ended_by(10), log.ended_by(90));
        let total = log.all().len();
        BTreeMap::from([
            ("exchanges", count(total)),
            ("faultless", f64::from(u8::from(faultless))),
            ("steady", count(total) * 0.8 / (to.saturating_sub(from)).as_secs_f64()),
            ("cycle", cycle(log, from, to)),
            ("latency", millis(took) / count(total)),
            ("turnaround", millis(gaps.iter().sum()) / count(gaps.len())),
            ("turnaround_50", gap(50)),
            ("turnaround_95", gap(95)),
            ("turnaround_99", gap(99)),
            ("peak", count(log.total_peak())),
            ("cpu", cpu().as_secs_f64()),
        ])
    }

    /// The mean time in milliseconds from one request to the next of the same host, over those that
    /// began between two times.
    fn cycle(log: &Log, from: Duration, to: Duration) -> f64 {
        let mut cycles = Vec::new();
        for exchanges in log.by_host().values() {
            let within = exchanges.windows(2).filter(|pair| (from..to).contains(&pair[0].started));
            cycles.extend(within.map(|pair| pair[1].started.saturating_sub(pair[0].started)));
        }
        millis(cycles.iter().sum()) / count(cycles.len())
    }

    fn measure(setting: &Setting, arguments: &[String]) {
        let mut server = Server::start(arguments);
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let started = (Instant::now(), cpu());
        let report = crawl(setting, dir.path(), server.port);
        let (took, busy) = (started.0.elapsed(), cpu().saturating_sub(started.1));
        let figures = server.stop();
        let figure = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
        let pages = count(setting.hosts) * f64::from(setting.pages);
        assert!(figure("faultless") > 0.5, "not every page once, one at a time: {figures:?}");
        assert_eq!((report.failed, report.retries), (0, 0), "{report:?}");
        let (steady, ideal) = (figure("steady"), setting.ideal());
        println!(
            "total: {} exchanges, {} pages in {:.2} s: {:.0} exchanges/s",
            figure("exchanges"),
            report.pages,
            took.as_secs_f64(),
            figure("exchanges") / took.as_secs_f64()
        );
        println!(
            "steady: {steady:.0} exchanges/s, {:.1} % of the ideal {ideal:.0}; by the hosts' cycles \
             {:.1} %",
            steady / ideal * 100.0,
            count(setting.hosts) / figure("cycle") * 1e3 / ideal * 100.0
        );
        println!(
            "  server's latency: mean {:.2} ms; turnaround of the crawler: mean {:.2} ms, half {:.2}, \
             95 % {:.2}, 99 % {:.2}",
            figure("latency"),
            figure("turnaround"),
            figure("turnaround_50"),
            figure("turnaround_95"),
            figure("turnaround_99")
        );
        println!(
            "  at once: {} of {}; processor: crawler {:.3} ms a page, server {:.3} ms an exchange; \
             peak memory {} MB",
            figure("peak"),
            setting.concurrency,
            busy.as_secs_f64() * 1e3 / pages,
            figure("cpu") * 1e3 / figure("exchanges"),
            peak_memory()
        );
    }

    /// The whole run, with the engine's opening and closing.
    fn crawl(setting: &Setting, dir: &std::path::Path, port: u16) -> Report {
        let mut config = Config::default();
        config.crawl.allow_private = true;
        config.crawl.delay = Duration::ZERO;
        config.crawl.concurrency = setting.concurrency;
        config.crawl.extract = setting.extract;
        let names = Arc::new(Names::numbered(setting.hosts));
        let engine = Engine::builder(dir).config(config).resolver(names).build();
        let engine = engine.expect("the engine opens");
        let seeds = (0..setting.hosts).map(|host| format!("http://site{host}.test:{port}/"));
        let run = engine.run(seeds.fold(Job::new("hosts"), Job::site)).expect("the run starts");
        run.wait().expect("the run ends well")
    }

    /// The server's process as its parent sees it.
    struct Server {
        child: Child,
        output: BufReader<std::process::ChildStdout>,
        port: u16,
    }

    impl Server {
        fn start(arguments: &[String]) -> Self {
            let program = std::env::current_exe().expect("this program has a path");
            let mut command = Command::new(program);
            command.arg(SERVE).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().expect("this program starts again");
            let mut output = BufReader::new(child.stdout.take().expect("the output is piped"));
            let mut line = String::new();
            output.read_line(&mut line).expect("the server tells its port");
            let port = line.trim().strip_prefix("port ").and_then(|port| port.parse().ok());
            Self { child, output, port: port.expect("the server tells its port") }
        }

        /// Ends the server and reads its figures.
        fn stop(&mut self) -> BTreeMap<String, f64> {
            drop(self.child.stdin.take());
            let mut text = String::new();
            self.output.read_to_string(&mut text).expect("the server tells its figures");
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.filter_map(|(name, figure)| Some((name.into(), figure.parse().ok()?))).collect()
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            // It ends by itself when its input does; a failed measurement leaves it no time to.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Processor time of this process so far.
    fn cpu() -> Duration {
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
    }

    /// The most that was resident, in units of 10^6 bytes; 0 where it is not told.
    fn peak_memory() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kilobytes.unwrap_or(0_u64) * 1024 / 1_000_000
    }

    fn millis(duration: Duration) -> f64 {
        duration.as_secs_f64() * 1e3
    }

    fn count(number: usize) -> f64 {
        f64::from(u32::try_from(number).unwrap_or(u32::MAX))
    }
}
