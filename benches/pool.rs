//! The pool: throughput, latency, urgency under load, and many tasks that wait.

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gristmill::pool::{Pool, Priority, ShutdownMode};

const LONG: Duration = Duration::from_mins(1);
/// Tasks of one throughput round.
const BURST: u64 = 20_000;
/// Tasks queued before the urgent one.
const BACKLOG: usize = 400;
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

fn round_trip(criterion: &mut Criterion) {
    let pool = fixed(cores());
    criterion.bench_function("pool/submit_to_result", |bencher| {
        bencher.iter(|| pool.spawn(Priority::Normal, || black_box(1)).join().expect("it runs"));
    });
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
    criterion.bench_function("pool/urgent_behind_400_tasks_of_200us", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                let backlog: Vec<_> = (0..BACKLOG)
                    .map(|_| pool.spawn(Priority::Normal, || busy(Duration::from_micros(200))))
                    .collect();
                let begun = Instant::now();
                pool.spawn(Priority::Urgent, || ()).join().expect("it runs");
                total += begun.elapsed();
                backlog.iter().for_each(gristmill::pool::Task::cancel);
            }
            total
        });
    });
    pool.shutdown(ShutdownMode::Drain, LONG).expect("the pool ends");
}

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
    let build = || Pool::builder().min(2).max(WAITING).build().expect("the pool starts");
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

criterion_group!(benches, detached, round_trip, urgent_behind_backlog, waiting);
criterion_main!(benches);
