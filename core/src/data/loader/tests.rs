//! Tests of the loader on made-up pictures: order, equality over workers, bad pictures, panics, early ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use trainer_sdk::{Bbox, Image};

use super::*;
use crate::augment::{OnError, Stage};
use crate::augment::{
    bgr::Bgr,
    blur::{Blur, MedianBlur},
    clahe::Clahe,
    copy_paste::{CopyPaste, Mode},
    cutmix::Cutmix,
    flip::Flip,
    gray::Gray,
    hsv::Hsv,
    mixup::Mixup,
    mosaic::Mosaic,
    perspective::Perspective,
};

const IMGSZ: u32 = 32;

/// Pictures of one grey each, with one object; some cannot be read, one panics.
#[derive(Default)]
struct Pictures {
    len: usize,
    unreadable: Vec<usize>,
    panics: Option<usize>,
    /// How often each was read.
    loads: Vec<AtomicUsize>,
}

impl Pictures {
    fn new(len: usize) -> Self {
        Self { len, loads: (0..len).map(|_| AtomicUsize::new(0)).collect(), ..Self::default() }
    }

    fn loads(&self) -> Vec<usize> {
        self.loads.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Source for Pictures {
    fn len(&self) -> usize {
        self.len
    }

    fn load(&self, index: usize) -> Result<Sample> {
        self.loads.get(index).context("no such picture")?.fetch_add(1, Ordering::Relaxed);
        assert_ne!(self.panics, Some(index), "the picture bites");
        ensure!(!self.unreadable.contains(&index), "torn");
        let size = Size::new(32 - index as u32 % 5, 24);
        let image = Image::rgb(size, vec![index as u8 * 7; size.area() * 3])?;
        let mut sample = Sample::new(Arc::new(image), Size::new(size.width * 2, 48));
        sample.id = index as u64;
        sample.path = Path::new(&format!("{index}.png")).into();
        sample.objects.push(Object::new(index as u32, Bbox::new(10.0, 10.0, 40.0, 40.0)));
        if index % 2 == 1 {
            sample.objects[0].polygon = vec![[10.0, 10.0], [40.0, 10.0], [25.0, 40.0]];
        }
        Ok(sample)
    }

    fn size(&self, index: usize) -> Option<Size> {
        Some(Size::new((32 - index as u32 % 5) * 2, 48))
    }

    fn path(&self, index: usize) -> PathBuf {
        PathBuf::from(format!("{index}.png"))
    }
}

/// Every augmentation, each often enough to act.
fn pipeline() -> Pipeline {
    let stage = |augmentation: Box<dyn trainer_sdk::Augmentation>| Stage::new("test", augmentation, OnError::Fail);
    let stages = vec![
        stage(Box::new(Mosaic { p: 0.8, close: 1 })),
        stage(Box::new(CopyPaste { p: 0.5, mode: Mode::Flip, close: 1 })),
        stage(Box::new(Perspective { degrees: 5.0, ..Perspective::default() })),
        stage(Box::new(CopyPaste { p: 0.5, mode: Mode::Mixup, close: 1 })),
        stage(Box::new(Mixup { p: 0.3, close: 1, ..Mixup::default() })),
        stage(Box::new(Cutmix { p: 0.3, close: 1, ..Cutmix::default() })),
        stage(Box::new(Blur { p: 0.2, ..Blur::default() })),
        stage(Box::new(MedianBlur { p: 0.2, ..MedianBlur::default() })),
        stage(Box::new(Gray { p: 0.2 })),
        stage(Box::new(Clahe { p: 0.2, ..Clahe::default() })),
        stage(Box::<Hsv>::default()),
        stage(Box::<Flip>::default()),
        stage(Box::new(Bgr { p: 0.3 })),
    ];
    Pipeline { stages }
}

fn options(workers: usize) -> LoaderOptions {
    LoaderOptions { batch: 4, imgsz: IMGSZ, epochs: 3, seed: 5, shuffle: true, rect: None, workers, prefetch: 2 }
}

fn loader(pictures: &Arc<Pictures>, pipeline: Pipeline, options: LoaderOptions) -> Loader {
    Loader::new(Arc::clone(pictures) as Arc<dyn Source>, pipeline, options)
}

fn ids(batches: &[RawBatch]) -> Vec<u64> {
    batches.iter().flat_map(|batch| batch.samples.iter().map(|sample| sample.id)).collect()
}

#[test]
fn batches_do_not_depend_on_the_workers() {
    let pictures = Arc::new(Pictures { unreadable: vec![3, 8], ..Pictures::new(22) });
    let run = |workers, epoch| {
        let loader = loader(&pictures, pipeline(), options(workers));
        loader.epoch(epoch).collect::<Result<Vec<_>>>().unwrap()
    };
    for epoch in [0, 2] {
        let alone = run(0, epoch);
        assert_eq!(alone.len(), 6);
        for workers in [1, 2, 7] {
            assert!(run(workers, epoch) == alone, "{workers} workers, epoch {epoch}");
        }
    }
}

#[test]
fn rectangular_batches_do_not_depend_on_the_workers() {
    // none of 3 images has the aspect of the others, so that sizes differ
    let pictures = Arc::new(Pictures { unreadable: vec![3, 8], ..Pictures::new(22) });
    let run = |workers, epoch| {
        let rect = LoaderOptions { rect: Some(0.0), batch: 3, ..options(workers) };
        let stages = pipeline().stages.into_iter().filter(|stage| stage.partners() == 0).collect();
        loader(&pictures, Pipeline { stages }, rect).epoch(epoch).collect::<Result<Vec<_>>>().unwrap()
    };
    for epoch in [0, 2] {
        let alone = run(0, epoch);
        assert!(alone.iter().all(|batch| batch.pixels.len() == batch.samples.len() * batch.size.area() * 3));
        for workers in [1, 2, 7] {
            assert!(run(workers, epoch) == alone, "{workers} workers, epoch {epoch}");
        }
    }
}

#[test]
fn with_a_border_of_half_a_stride_nothing_is_cut_or_scaled() {
    let pictures = Arc::new(Pictures::new(10));
    let rect = LoaderOptions { rect: Some(0.5), shuffle: false, ..options(2) };
    let batches: Vec<_> = loader(&pictures, Pipeline::default(), rect).epoch(0).collect::<Result<_>>().unwrap();
    let mut ids = ids(&batches);
    assert_eq!(ids, [0, 5, 1, 6, 2, 7, 3, 8, 4, 9], "by aspect");
    ids.sort_unstable();
    assert_eq!(ids, (0..10).collect::<Vec<_>>());
    for batch in &batches {
        assert_eq!(batch.size, Size::square(64), "ceil(32 / 32 + 0.5) * 32");
        for (sample, object) in batch.samples.iter().zip(&batch.objects) {
            let [x, y] = sample.to_input.apply([0.0, 0.0]);
            let factor = 32.0 / f64::from(sample.original.width.max(48));
            let height = (48.0 * factor).ceil();
            assert_eq!([x, y], [16.0, ((64.0 - height) / 2.0 - 0.1).round()], "in the middle");
            let width = f64::from(object.object.bbox.width());
            assert!((width - 30.0 * factor).abs() < 0.3, "{width}: at the size that fits into 32 px");
        }
    }
}

#[test]
fn the_memory_of_batches_is_used_again() {
    let pictures = Arc::new(Pictures::new(60));
    let loader = loader(&pictures, pipeline(), options(2));
    let mut places: Vec<_> = Vec::new();
    for epoch in 0..3 {
        places.extend(loader.epoch(epoch).map(|batch| batch.unwrap().pixels.as_ptr()));
        assert!(loader.buffers.num_free() <= 4, "those that may be open, and the one in use");
    }
    assert_eq!(places.len(), 45);
    places.sort_unstable();
    places.dedup();
    assert!(places.len() <= 4, "{} buffers for 45 batches", places.len());
}

#[test]
fn waiting_is_told() {
    let pictures = Arc::new(Pictures::new(22));
    for (workers, ahead) in [(0, 0), (2, 3), (7, 4)] {
        let loader = loader(&pictures, pipeline(), options(workers));
        let mut batches = loader.epoch(0);
        assert_eq!(batches.status(), Queue { ready: 0, ahead, waited: std::time::Duration::ZERO });
        let mut waited = std::time::Duration::ZERO;
        while batches.next().is_some() {
            let status = batches.status();
            assert!(status.waited >= waited && status.ready <= ahead, "{status:?}");
            waited = status.waited;
        }
        assert!(waited > std::time::Duration::ZERO);
    }
}

#[test]
fn every_epoch_has_an_order_of_its_own() {
    let pictures = Arc::new(Pictures::new(10));
    let order = |epoch, shuffle| {
        let loader = loader(&pictures, Pipeline::default(), LoaderOptions { shuffle, ..options(2) });
        let batches: Vec<_> = loader.epoch(epoch).collect::<Result<_>>().unwrap();
        assert_eq!(batches.iter().map(|batch| batch.samples.len()).collect::<Vec<_>>(), [4, 4, 2]);
        assert!(batches.iter().all(|batch| batch.pixels.len() == batch.samples.len() * 32 * 32 * 3));
        ids(&batches)
    };
    assert_eq!(order(1, false), (0..10).collect::<Vec<_>>());
    let (first, second) = (order(0, true), order(1, true));
    assert_ne!(first, second);
    assert_eq!(first, order(0, true));
    let mut sorted = second;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..10).collect::<Vec<_>>());
}

#[test]
fn an_epoch_can_be_entered_midway() {
    let pictures = Arc::new(Pictures::new(22));
    let loader = loader(&pictures, pipeline(), options(2));
    let whole: Vec<_> = loader.epoch(1).collect::<Result<_>>().unwrap();
    let rest: Vec<_> = loader.epoch_from(1, 4).collect::<Result<_>>().unwrap();
    assert!(whole[4..] == rest);
    assert_eq!(loader.epoch_from(1, 6).count(), 0);
}

#[test]
fn objects_and_matrices_are_in_input_pixels() {
    let pictures = Arc::new(Pictures::new(1));
    let loader = loader(&pictures, Pipeline::default(), options(0));
    let batch = loader.epoch(0).next().unwrap().unwrap();
    // 64x48 in the file, 32x24 in the input, 4 rows of grey above
    assert_eq!(batch.samples[0].original, Size::new(64, 48));
    assert_eq!(batch.samples[0].to_input.apply([64.0, 48.0]), [32.0, 28.0]);
    assert_eq!(batch.objects[0].object.bbox, Bbox::new(5.0, 9.0, 20.0, 24.0));
    assert_eq!((batch.pixels[0], batch.pixels[32 * 4 * 3]), (114, 0));
}

#[test]
fn unreadable_pictures_are_left_out_and_named() {
    let pictures = Arc::new(Pictures { unreadable: vec![1, 4, 5, 6, 7], ..Pictures::new(10) });
    for workers in [0, 2] {
        let in_order = LoaderOptions { shuffle: false, ..options(workers) };
        let batches: Vec<_> = loader(&pictures, pipeline(), in_order).epoch(0).collect::<Result<_>>().unwrap();
        assert_eq!(ids(&batches), [0, 2, 3, 8, 9]);
        assert_eq!(batches[0].skipped, [(PathBuf::from("1.png"), "torn".to_owned())]);
        assert_eq!((batches[1].samples.len(), batches[1].skipped.len(), batches[1].pixels.len()), (0, 4, 0));
    }
}

#[test]
fn every_picture_is_read_once_an_epoch() {
    for workers in [0, 2, 7] {
        let pictures = Arc::new(Pictures { unreadable: vec![2], ..Pictures::new(50) });
        let loader = loader(&pictures, pipeline(), LoaderOptions { batch: 2, ..options(workers) });
        assert!(loader.epoch(0).all(|batch| batch.is_ok()));
        assert_eq!(pictures.loads(), [1; 50], "{workers} workers");
    }
}

#[test]
fn a_panic_ends_the_epoch_with_the_name_of_the_sample() {
    let pictures = Arc::new(Pictures { panics: Some(6), ..Pictures::new(30) });
    for workers in [0, 1, 3] {
        let in_order = LoaderOptions { shuffle: false, ..options(workers) };
        let mut batches = loader(&pictures, Pipeline::default(), in_order).epoch(0);
        assert!(batches.next().unwrap().is_ok());
        let message = batches.next().unwrap().unwrap_err().to_string();
        assert!(message.starts_with("loading 6.png panicked: assertion"), "{message}");
        assert!(message.contains("the picture bites"));
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_batch_that_cannot_be_allocated_is_an_error() {
    let pictures = Arc::new(Pictures::new(30));
    let huge = LoaderOptions { imgsz: u32::MAX, ..options(2) };
    let mut batches = loader(&pictures, Pipeline::default(), huge).epoch(0);
    assert!(
        batches
            .next()
            .unwrap()
            .unwrap_err()
            .to_string()
            .starts_with("no memory for a batch of 4 images of 4294967295x")
    );
    assert!(batches.next().is_none());
}

#[test]
fn dropping_the_epoch_stops_the_threads() {
    let pictures = Arc::new(Pictures::new(1000));
    let loader = loader(&pictures, pipeline(), options(3));
    let held = Arc::strong_count(&pictures);
    let mut batches = loader.epoch(0);
    assert!(batches.next().is_some());
    drop(batches);
    assert_eq!(Arc::strong_count(&pictures), held, "no thread is left");
    assert!(pictures.loads().iter().sum::<usize>() <= 4 * (1 + 3 + 2), "one batch and those ahead of it");
}

#[test]
fn without_samples_there_are_no_batches() {
    let empty = Arc::new(Pictures::new(0));
    assert_eq!(loader(&empty, pipeline(), options(2)).epoch(0).count(), 0);
}
