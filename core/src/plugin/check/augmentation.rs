//! Check 11, augmentations: boxes stay on the canvas, classes in range, on samples of all sizes and from many threads.

use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use trainer_image::Sample;

use super::{
    samples::{CLASSES, apply, sample},
    subject::Subject,
};

const SAMPLES: u64 = 200;
const THREADS: u64 = 8;
/// The largest side that a canvas may have, in pixels.
const LARGEST: u32 = 16384;
/// Boxes may end this much outside the canvas, by rounding.
const ROUNDING: f32 = 1e-2;

pub fn check(subject: &Subject) -> Result<()> {
    let augmentation = subject.augmentation()?;
    let (first, second) = (augmentation.partners(), augmentation.partners());
    ensure!(first == second, "`partners` says {first}, then {second}; it is always the same number");
    ensure!(first <= 64, "`partners` asks for {first} samples; the trainer keeps no more than 64 at hand");
    for number in 0..SAMPLES {
        let place = || place(number, subject);
        let changed = apply(&*augmentation, number, subject.seed).with_context(place)?;
        sane(&changed).with_context(place)?;
    }
    let augmentation = &*augmentation;
    thread::scope(|scope| {
        let work = |thread: u64| {
            let mut numbers = (thread..SAMPLES / 4).step_by(THREADS as usize);
            numbers.try_for_each(|number| apply(augmentation, number, subject.seed).map(drop))
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        let ended = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
        ended.collect::<Result<Vec<_>>>().context("from 8 threads at once")
    })?;
    Ok(())
}

/// The sample's number and what it is, for messages.
pub fn place(number: u64, subject: &Subject) -> String {
    let sample = sample(number, &mut trainer_sdk::Rng::from_key(&[subject.seed, number]));
    let (size, count) = (sample.size(), sample.objects.len());
    format!("on a {} x {} sample with {count} objects (number {number})", size.width, size.height)
}

fn sane(sample: &Sample) -> Result<()> {
    let size = sample.size();
    let is_canvas = |side| (1..=LARGEST).contains(&side);
    ensure!(
        is_canvas(size.width) && is_canvas(size.height),
        "the canvas is {} x {} afterwards; its sides are 1 to {LARGEST} pixels",
        size.width,
        size.height
    );
    for object in &sample.objects {
        let bbox = &object.bbox;
        let edges = [(bbox.x1, size.width), (bbox.x2, size.width), (bbox.y1, size.height), (bbox.y2, size.height)];
        let inside = |&(edge, side): &(f32, u32)| edge >= -ROUNDING && edge <= side as f32 + ROUNDING;
        ensure!(
            edges.iter().all(inside) && bbox.x1 <= bbox.x2 && bbox.y1 <= bbox.y2,
            "a box is {:?} on a canvas of {} x {} afterwards; move boxes by `warp`, or cut them off at the canvas",
            (bbox.x1, bbox.y1, bbox.x2, bbox.y2),
            size.width,
            size.height
        );
        ensure!(
            object.class < CLASSES,
            "class {} afterwards, of a data set of {CLASSES}; keep the classes",
            object.class
        );
        let is_weight = object.weight.is_finite() && object.weight >= 0.0;
        ensure!(is_weight, "an object's weight is {} afterwards; it is finite and not negative", object.weight);
    }
    Ok(())
}
