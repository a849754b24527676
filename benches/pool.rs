//! The pool: throughput, latency, urgency under load, many tasks that wait, and idleness.
//!
//! The same rows beside the peers: `benches/peers`, part `pool`. Latencies are printed as
//! percentiles too, since a mean hides what matters in them.

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gristmill::pool::{Pool, Priority, ShutdownMode};

const LONG: Duration = Duration::from_mins(1);
/// Tasks of one throughput round.
const BURST: u64 = 20_000;
/// Tasks of 200 µs queued before the urgent ones.
const BACKLOG: usize = 4000;
/// Urgent tasks for one filling of the backlog: it is far from empty when the last one runs.
const URGENT: usize = 50;
/// Tasks that wait at the same time.
const WAITING: usize = 1000;

fn cores() -> usize {
    thread::available_parallelism().map_or(2, usize::from)
}

fn fixed(workers: usize) -> Pool {
    Pool::builder().min(workers).max(workers).build().expect("the pool starts")
}

fn detached(criterion: &mut Criterion) {
    let pool = fixed(cores());
    let caller = thread::current().id();
    let mut group = criterion.benchmark_group("pool");
    group.throughput(Throughput::Elements(BURST));
    group.bench_function("detached_empty_tasks", |bencher| {
        bencher.iter(|| {
            // Disconnects when the last closure is gone.
            let (sender, receiver) = mpsc::channel::<()>();
            for _ in 0..BURST {
                let sender = sender.clone();
                pool.spawn(Priority::Normal, move || {
                    assert_ne!(thread::current().id(), caller);
                    drop(sender);
                });
            }
            drop(sender);
            receiver.recv_timeout(LONG).expect_err("nothing is sent");
        });
    });
    group.finish();
    pool.shutdown(ShutdownMode::Drain, LONG).expect("the pool ends");
}

/// Prints percentiles of what was measured.
fn print_percentiles(name: &str, mut samples: Vec<Duration>) {
    samples.sort_unstable();
    let at = |percent: usize| samples.get((samples.len() * percent / 100).min(samples.len() - 1));
    if let (Some(p50), Some(p99), Some(max)) = (at(50), at(99), samples.last()) {
        println!("{name}: p50 {p50:?}, p99 {p99:?}, max {max:?} of {}", samples.len());
    }
}

fn round_trip(criterion: &mut Criterion) {
    let pool = fixed(cores());
    let mut samples = Vec::new();
    criterion.bench_function("pool/submit_to_result", |bencher| {
        bencher.iter_custom(|rounds| {
            let first = samples.len();
            for _ in 0..rounds {
                let begun = Instant::now();
                pool.spawn(Priority::Normal, || black_box(1)).join().expect("it runs");
                samples.push(begun.elapsed());
            }
            samples.iter().skip(first).sum()
        });
    });
    print_percentiles("pool/submit_to_result", samples);
    pool.shutdown(ShutdownMode::Drain, LONG).expect("the pool ends");
}

/// Computes for about `time`.
fn busy(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        black_box(0);
    }
}

fn urgent_behind_backlog(criterion: &mut Criterion) {
    let pool = fixed(cores());
    let mut samples = Vec::new();
    criterion.bench_function("pool/urgent_behind_4000_tasks_of_200us", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                let backlog: Vec<_> = (0..BACKLOG)
                    .map(|_| pool.spawn(Priority::Normal, || busy(Duration::from_micros(200))))
                    .collect();
                let begun = Instant::now();
                for _ in 0..URGENT {
                    let submitted = Instant::now();
                    let urgent = pool.spawn(Priority::Urgent, Instant::now);
                    let started = urgent.join().expect("it runs");
                    samples.push(started.saturating_duration_since(submitted));
                }
                total += begun.elapsed() / u32::try_from(URGENT).expect("few");
                backlog.iter().for_each(gristmill::pool::Task::cancel);
            }
            total
        });
    });
    print_percentiles("pool/urgent_behind_4000_tasks_of_200us", samples);
    pool.shutdown(ShutdownMode::Drain, LONG).expect("the pool ends");
}

/// Processor time so far of all threads of this process but the one that asks, as the scheduler
/// counts it.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let own = std::process::id().to_string();
    let threads = std::fs::read_dir("/proc/self/task").expect("the kernel lists the threads");
    let nanos = threads.filter_map(|thread| {
        let thread = thread.ok().filter(|thread| *thread.file_name() != *own)?;
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// What an idle second costs.
#[cfg(target_os = "linux")]
fn idle(criterion: &mut Criterion) {
    let pool = fixed(cores());
    wait_all(&pool);
    let mut group = criterion.benchmark_group("pool");
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    group.bench_function("processor_time_of_an_idle_second", |bencher| {
        bencher.iter_custom(|rounds| {
            let before = processor_time();
            for _ in 0..rounds {
                thread::sleep(Duration::from_secs(1));
            }
            // Never nothing: that could not be compared.
            processor_time().saturating_sub(before).max(Duration::from_nanos(1))
        });
    });
    group.finish();
    pool.shutdown(ShutdownMode::Drain, LONG).expect("the pool ends");
}

#[cfg(not(target_os = "linux"))]
fn idle(_: &mut Criterion) {}

/// Time until `WAITING` tasks that wait 50 ms each have all ended.
fn wait_all(pool: &Pool) -> Duration {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..WAITING)
        .map(|_| pool.spawn(Priority::Normal, || thread::sleep(Duration::from_millis(50))))
        .collect();
    for task in tasks {
        task.join().expect("it runs");
    }
    begun.elapsed()
}

fn waiting(criterion: &mut Criterion) {
    let build = || Pool::builder().min(2).max(1024).build().expect("the pool starts");
    let mut group = criterion.benchmark_group("pool/1000_tasks_of_50ms");
    group.sample_size(10);
    group.bench_function("cold", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    let pool = build();
                    let took = wait_all(&pool);
                    pool.shutdown(ShutdownMode::Drain, LONG).expect("the pool ends");
                    took
                })
                .sum()
        });
    });
    let pool = build();
    wait_all(&pool);
    group.bench_function("warm", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| wait_all(&pool)).sum());
    });
    group.finish();
    pool.shutdown(ShutdownMode::Drain, LONG).expect("the pool ends");
}

criterion_group!(benches, detached, round_trip, urgent_behind_backlog, waiting, idle);
criterion_main!(benches);
