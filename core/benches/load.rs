//! Loading a stripped plugin: into a process that has not seen it, with what the probe found in the cache and without;
//! and `trainer-probe` from start to end. A library stays in a process, so each load has a process of its own, which
//! measures nothing but the load.

mod common;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, criterion_group};
use tempfile::TempDir;
use trainer_loader::LoadOptions;

/// The word that makes this program load a plugin once and print the nanoseconds.
const ONCE: &str = "--load-once";

/// A stripped copy of a plugin in a folder that goes with it.
fn stripped(dir: &TempDir) -> PathBuf {
    let copy = dir.path().join("label_smooth.so");
    let done = Command::new("strip").arg("-o").arg(&copy).arg(common::built("liblabel_smooth.so")).status();
    assert!(done.is_ok_and(|status| status.success()), "strip, of the binutils, is needed here");
    copy
}

fn load_once(file: &Path, cache: &Path) {
    trainer::torch::install();
    let found = trainer_loader::resolve(file, &[]).expect("the bench has made it");
    let options = LoadOptions {
        cache: Some(cache.into()),
        lock: Some(cache.join("plugins.lock")),
        probe: Some(common::built("trainer-probe")),
        ..LoadOptions::default()
    };
    let start = Instant::now();
    let plugin = trainer_loader::load(&found, &options).unwrap_or_else(|reason| panic!("{reason}"));
    println!("{}", start.elapsed().as_nanos());
    drop(plugin);
}

fn in_a_process(file: &Path, cache: &Path) -> Duration {
    let own = env::current_exe().expect("a process knows its own file");
    let output = Command::new(own).arg(ONCE).args([file, cache]).stderr(Stdio::inherit()).output();
    let output = output.expect("this program can be started again");
    let said = String::from_utf8_lossy(&output.stdout);
    Duration::from_nanos(said.trim().parse().unwrap_or_else(|_| panic!("it wrote no time: {said}")))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("there is room for files")
}

fn load(criterion: &mut Criterion) {
    let dir = folder();
    let file = stripped(&dir);
    let mut group = criterion.benchmark_group("load a plugin");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).measurement_time(Duration::from_secs(10));
    let kept = folder();
    in_a_process(&file, kept.path());
    group.bench_function("probe cached", |b| {
        b.iter_custom(|times| (0..times).map(|_| in_a_process(&file, kept.path())).sum());
    });
    group.bench_function("never seen", |b| {
        b.iter_custom(|times| (0..times).map(|_| in_a_process(&file, folder().path())).sum());
    });
    group.finish();

    let mut group = criterion.benchmark_group("trainer-probe");
    group.bench_function("start to end", |b| {
        b.iter(|| {
            let status = Command::new(common::built("trainer-probe")).arg(&file).stdout(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "the plugin is a good one");
        });
    });
    group.finish();
}

criterion_group!(benches, load);

fn main() {
    let words = env::args().collect::<Vec<_>>();
    if let [_, once, file, cache] = words.as_slice()
        && once == ONCE
    {
        return load_once(Path::new(file), Path::new(cache));
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
