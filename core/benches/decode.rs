//! Decoding a folder of images (`TRAINER_IMAGES`, or the demo's) in one thread: our decoder at their own size and at
//! 320 pixels, and `image` for comparison. The throughput is in images.

use std::{env, fs, hint::black_box, path::PathBuf, time::Duration};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use trainer::data::{decode, demo};

/// So many images are decoded a round.
const MAX_IMAGES: usize = 100;

fn files() -> Vec<PathBuf> {
    let folder = env::var_os("TRAINER_IMAGES").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| demo::cached().expect("the demo data can be made").with_file_name("images/train"));
    let entries = fs::read_dir(&folder).unwrap_or_else(|reason| panic!("{}: {reason}", folder.display()));
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.truncate(MAX_IMAGES);
    files
}

fn bench(criterion: &mut Criterion) {
    let files = files();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(files.len() as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(20).measurement_time(Duration::from_secs(10));
    for (name, side) in [("640 pixels", 640), ("320 pixels", 320)] {
        group.bench_function(name, |b| {
            b.iter(|| files.iter().for_each(|file| drop(black_box(decode::decode(file, side)))));
        });
    }
    group.bench_function("by image, as they are", |b| {
        b.iter(|| files.iter().for_each(|file| drop(black_box(image::open(file).map(image::DynamicImage::into_rgb8)))));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
