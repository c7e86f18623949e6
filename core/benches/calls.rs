//! A call of a component that does nothing, of each kind: built in, and through the ABI.

mod common;
#[path = "../../tests/plugins/idle/src/lib.rs"]
mod idle;

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use trainer_image::{Image, Size};
use trainer_sdk::{
    AugmentContext, Augmentation, Exporter, Loss, LossContext, Predictions, Progress, Rates, Rng, Scheduler, Targets,
    component::Maker, parameter_store, sample_store, store,
};

use common::{Named, NoParameters};

const FILE: &str = "libidle.so";

/// Both forms of the idle component of a kind.
macro_rules! forms {
    ($variant:ident, $kind:ident) => {{
        let Maker::$variant(make) = common::built_in(stringify!($kind), "idle") else { unreachable!("asked by kind") };
        let loaded = common::loaded(FILE, stringify!($kind), "idle").$kind("{}");
        [("built in", make("{}").expect("it takes no options")), ("ABI", loaded.expect("it takes no options"))]
    }};
}

fn scheduler(group: &mut BenchmarkGroup<WallTime>, name: &str, it: &mut dyn Scheduler) {
    let at = Progress { step: 3, epoch: 0, steps_per_epoch: 10, epochs: 2, metrics: &[] };
    let mut groups = ["bias", "norm", "weight"].map(|name| Rates::new(name, 0.01, 0.9));
    group.bench_function(name, |b| b.iter(|| it.rates(black_box(&at), black_box(&mut groups))));
}

fn loss(group: &mut BenchmarkGroup<WallTime>, name: &str, it: &mut dyn Loss) {
    let (mut fields, mut parameters, mut targets) = (Named(Vec::new()), NoParameters, Named(Vec::new()));
    let cx = LossContext {
        epoch: 0,
        epochs: 1,
        step: 0,
        is_training: true,
        height: 640,
        width: 640,
        num_classes: 80,
        image_ids: &[0; 16],
        predictions: Predictions(store::view(&mut fields)),
        parameters: parameter_store::view(&mut parameters),
    };
    let mut targets = Targets(store::view(&mut targets));
    group.bench_function(name, |b| b.iter(|| it.targets(black_box(&mut targets), black_box(&cx))));
}

fn augmentation(group: &mut BenchmarkGroup<WallTime>, name: &str, it: &mut dyn Augmentation) {
    let size = Size { width: 64, height: 64 };
    let image = Image::rgb(size, vec![0; 64 * 64 * 3]).expect("64 x 64 pixels of three bytes");
    let mut sample = trainer_image::Sample::new(Arc::new(image), size);
    let mut sample = sample_store::view(&mut sample);
    let mut rng = Rng::from_seed(0);
    let mut cx = AugmentContext { rng: &mut rng, epoch: 0, epochs: 1, imgsz: 64 };
    group.bench_function(name, |b| b.iter(|| it.apply(black_box(&mut sample), &mut [], black_box(&mut cx))));
}

fn exporter(group: &mut BenchmarkGroup<WallTime>, name: &str, it: &mut dyn Exporter) {
    group.bench_function(name, |b| b.iter(|| black_box(it.formats())));
}

fn calls(criterion: &mut Criterion) {
    macro_rules! kind {
        ($variant:ident, $kind:ident, $title:literal) => {
            let mut group = criterion.benchmark_group($title);
            for (name, mut component) in forms!($variant, $kind) {
                $kind(&mut group, name, component.as_mut());
            }
            group.finish();
        };
    }
    kind!(Scheduler, scheduler, "scheduler, rates");
    kind!(Loss, loss, "loss, targets");
    kind!(Augmentation, augmentation, "augmentation, apply");
    kind!(Exporter, exporter, "exporter, formats");
}

criterion_group!(benches, calls);
criterion_main!(benches);
