//! One operator, a product of two tensors: tch's own method, and the SDK's through the dispatcher.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use tch::{Device, Kind, Tensor};
use trainer::torch::to_sdk;

fn dispatch(criterion: &mut Criterion) {
    for (count, size) in [(4, "4"), (1_000_000, "1e6")] {
        for (has_gradients, suffix) in [(false, ""), (true, " with gradients")] {
            let mut group = criterion.benchmark_group(format!("mul of {size} floats{suffix}"));
            group.measurement_time(Duration::from_secs(4)).sample_size(50);
            let make = || Tensor::ones([count], (Kind::Float, Device::Cpu)).set_requires_grad(has_gradients);
            let (a, b) = (make(), make());
            let (c, d) = (to_sdk(&a), to_sdk(&b));
            group.bench_function("tch", |bench| bench.iter(|| black_box(&a).f_mul(black_box(&b))));
            group.bench_function("SDK", |bench| bench.iter(|| black_box(&c).mul(black_box(&d))));
        }
    }
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
