//! Tests of the pipeline: order, keys of randomness, partners.

use std::cell::RefCell;

use anyhow::{Result, bail};
use trainer_sdk::{AugmentContext, Augmentation, Sample};

use super::testing::{IMGSZ, sample};
use super::{EpochContext, OnError, Pipeline, Stage};

/// Notes the next random number in the class of the sample's object, after those of the partners.
struct Trace(usize);

impl Augmentation for Trace {
    fn partners(&self) -> usize {
        self.0
    }

    fn apply(&self, sample: &mut Sample, partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        let noted = |sample: &Sample| sample.objects()[0].class;
        let partners = partners.iter().fold(0_u32, |sum, partner| sum.wrapping_mul(31).wrapping_add(noted(partner)));
        let mut objects = sample.objects();
        let own = objects[0].class.wrapping_mul(31).wrapping_add(partners);
        objects[0].class = own.wrapping_add(cx.rng.next_u64() as u32);
        sample.set_objects(&objects)
    }
}

fn stage(augmentation: impl Augmentation + 'static) -> Stage {
    Stage::new("test", Box::new(augmentation), OnError::Fail)
}

/// The ids that `pipeline` gives to the samples of an epoch, and the positions that were decoded for the last one.
fn ids(pipeline: &Pipeline, seed: u64, epoch: usize, unreadable: &[usize]) -> (Vec<u64>, Vec<usize>) {
    let order = [3, 0, 2, 1, 4];
    let seen = RefCell::new(Vec::new());
    let decoded = |position: usize| {
        seen.borrow_mut().push(position);
        if unreadable.contains(&position) {
            bail!("unreadable");
        }
        Ok(sample(32 + position as u32, 20))
    };
    let epoch = EpochContext {
        seed,
        epoch,
        epochs: 3,
        imgsz: IMGSZ,
        canvas: None,
        order: &order,
        window: 2,
        decoded: &decoded,
    };
    let positions = (0..order.len()).filter(|position| !unreadable.contains(position));
    let run = |position| {
        seen.borrow_mut().clear();
        u64::from(pipeline.run(sample(32, 20), position, &epoch).unwrap().objects[0].class)
    };
    let ids = positions.map(run).collect();
    (ids, seen.into_inner())
}

#[test]
fn an_empty_pipeline_letterboxes() {
    let order = [0];
    let epoch = EpochContext {
        seed: 0,
        epoch: 0,
        epochs: 1,
        imgsz: IMGSZ,
        canvas: None,
        order: &order,
        window: 0,
        decoded: &|_| bail!("no partner is needed"),
    };
    let out = Pipeline::default().run(sample(32, 20), 0, &epoch).unwrap();
    assert_eq!((out.size().width, out.size().height), (IMGSZ, IMGSZ));
    assert_eq!(out.from_original().apply([32.0, 20.0]), [64.0, 52.0]); // twice the size, 12 rows above
}

#[test]
fn randomness_is_a_function_of_seed_epoch_sample_and_stage() {
    let pipeline = Pipeline { stages: vec![stage(Trace(0)), stage(Trace(0))] };
    let (first, _) = ids(&pipeline, 1, 0, &[]);
    assert_eq!(first, ids(&pipeline, 1, 0, &[]).0);
    let mut all = [first, ids(&pipeline, 2, 0, &[]).0, ids(&pipeline, 1, 1, &[]).0].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 15, "no two alike");
}

#[test]
fn partners_come_from_the_window_of_the_outgoing_sample() {
    let pipeline = Pipeline { stages: vec![stage(Trace(3)), stage(Trace(0)), stage(Trace(2))] };
    assert!(pipeline.has_partners());
    let (_, seen) = ids(&pipeline, 1, 0, &[]);
    assert_eq!(seen.len(), 3 + 2 + 2 * 3, "two partners of the last stage, which had three each");
    assert!(seen.iter().all(|position| (2..=4).contains(position)), "{seen:?}");
}

#[test]
fn an_unreadable_partner_is_replaced() {
    let pipeline = Pipeline { stages: vec![stage(Trace(3))] };
    let (ids_a, seen) = ids(&pipeline, 1, 0, &[2, 3]);
    assert_eq!(ids_a, ids(&pipeline, 1, 0, &[2, 3]).0);
    assert_eq!(ids_a.len(), 3);
    assert!(seen.contains(&4), "of the window 2..=4 only the sample itself can be read");
}

#[test]
fn a_failure_names_stage_and_picture() {
    struct Fails;
    impl Augmentation for Fails {
        fn apply(&self, _: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
            bail!("out of paint")
        }
    }
    let pipeline = Pipeline { stages: vec![Stage::new("paint", Box::new(Fails), OnError::Fail)] };
    let order = [0];
    let decoded = |_: usize| Ok(sample(8, 8));
    let epoch = EpochContext {
        seed: 0,
        epoch: 0,
        epochs: 1,
        imgsz: 64,
        canvas: None,
        order: &order,
        window: 0,
        decoded: &decoded,
    };
    let mut picture = sample(8, 8);
    picture.path = std::path::Path::new("a/b.jpg").into();
    let error = pipeline.run(picture, 0, &epoch).unwrap_err();
    assert_eq!(format!("{error:#}"), "augmentation paint failed on a/b.jpg: out of paint");
}

/// Fails on every second call, after it has flipped the sample.
struct Shaky(std::sync::atomic::AtomicUsize);

impl Augmentation for Shaky {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
        sample.flip_horizontal()?;
        let call = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if call % 2 == 1 { bail!("call {call}") } else { Ok(()) }
    }
}

/// Which of six samples a stage that fails on every second one has flipped, and how often it was called.
fn flipped(on_error: OnError) -> (Vec<bool>, usize) {
    let pipeline = Pipeline { stages: vec![Stage::new("shaky", Box::new(Shaky(0.into())), on_error)] };
    let order = [0];
    let decoded = |_: usize| Ok(sample(64, 64));
    let epoch = EpochContext {
        seed: 0,
        epoch: 0,
        epochs: 1,
        imgsz: 64,
        canvas: None,
        order: &order,
        window: 0,
        decoded: &decoded,
    };
    let run = |_| pipeline.run(sample(64, 64), 0, &epoch).unwrap().from_original().apply([0.0, 0.0])[0] == 64.0;
    ((0..6).map(run).collect(), pipeline.failures("shaky"))
}

#[test]
fn a_failing_stage_is_skipped_or_disabled_as_asked() {
    assert_eq!(flipped(OnError::Skip), (vec![true, false, true, false, true, false], 3));
    assert_eq!(flipped(OnError::Disable), (vec![true, false, false, false, false, false], 1));
}
