//! Validate: the averaged network over the validation images; detections are mapped back to original pixels, clipped
//! to the image and scored there.

pub mod ap;
pub mod nms;

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::Result;
use serde::Serialize;
use tch::Tensor;
use trainer_sdk::{Bbox, Matrix};

use crate::{
    augment::Pipeline,
    batch::Batch,
    data::{
        Dataset,
        loader::{BatchObject, Loader, LoaderOptions, RawBatch, SampleInfo},
    },
    loss::{LossChain, LossPoint},
    model::{Anchors, Network, RawPredictions},
};
use ap::{Evaluator, Figures, Scored, Truth};
use nms::{Detection, NmsOptions, nms};

/// What a validation found.
pub struct Outcome {
    /// AP and its companions.
    pub figures: Figures,
    /// Mean loss terms by name, times their gains; empty without a loss.
    pub losses: Vec<(String, f64)>,
    /// All detections, in original pixels and in the order of the data set.
    pub detections: Vec<ImageDetections>,
    /// Images that could not be read, with the reasons.
    pub skipped: Vec<(std::path::PathBuf, String)>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// The detections of one image.
pub struct ImageDetections {
    /// Its file.
    pub path: Arc<Path>,
    /// Best first, in original pixels.
    pub detections: Vec<Detection>,
}

/// One row of a COCO results file.
#[derive(Serialize)]
pub struct CocoRow {
    image_id: serde_json::Value,
    category_id: u32,
    bbox: [f64; 4],
    score: f64,
}

/// What rectangular batches are larger than their images, in strides, as the reference validates.
const RECT_PAD: f64 = 0.5;

/// A loader over validation images: letterboxed in order, or with `rect` in batches of like aspect, with a border.
#[must_use]
pub fn loader(dataset: Arc<Dataset>, batch: usize, imgsz: u32, workers: usize, rect: bool) -> Loader {
    let rect = rect.then_some(RECT_PAD);
    let options = LoaderOptions { batch, imgsz, epochs: 1, seed: 0, shuffle: false, rect, workers, prefetch: 2 };
    Loader::new(dataset, Pipeline::default(), options)
}

/// Runs `network` (folded inside) over all images of `loader`; computes the loss beside it where a chain is given, with
/// the point that the run has reached.
///
/// # Errors
/// If a batch or the loss fails.
pub fn validate(
    network: &Network,
    loader: &Loader,
    options: &NmsOptions,
    mut loss: Option<(&mut LossChain, LossPoint)>,
) -> Result<Outcome> {
    let start = Instant::now();
    let network = network.folded()?;
    let num_classes = network.description().num_classes as usize;
    let mut evaluator = Evaluator::new(num_classes);
    let (mut losses, mut num_batches) = (Vec::<(String, f64)>::new(), 0);
    let (mut detections, mut skipped) = (Vec::new(), Vec::new());
    for raw in loader.epoch(0) {
        let mut raw = raw?;
        skipped.append(&mut raw.skipped);
        if raw.samples.is_empty() {
            continue;
        }
        let batch = Batch::new(&raw, network.kind(), network.device())?;
        let (_, _, height, width) = batch.images.size4()?;
        let anchors = Anchors::new(height, width, network.kind(), network.device());
        let predictions = tch::no_grad(|| network.forward_eval(&batch.images))?;
        if let Some((chain, run)) = &mut loss {
            let at = LossPoint { size: (height, width), image_ids: &batch.image_ids, ..*run };
            let values = tch::no_grad(|| chain.evaluate(&predictions, &anchors, &batch.objects, at))?;
            add_losses(&mut losses, &values.terms)?;
            num_batches += 1;
        }
        let decoded = decode(&predictions, &anchors)?;
        for (i, sample) in raw.samples.iter().enumerate() {
            let found = nms(&decoded[i], num_classes, options)?;
            let found = to_original(found, sample);
            evaluator
                .add(&found.iter().map(Scored::from).collect::<Vec<_>>(), &truths(&raw, i, sample, num_classes))?;
            detections.push((sample.id, ImageDetections { path: Arc::clone(&sample.path), detections: found }));
        }
    }
    detections.sort_by_key(|(id, _)| *id);
    let detections = detections.into_iter().map(|(_, found)| found).collect();
    for (_, sum) in &mut losses {
        *sum /= f64::from(num_batches);
    }
    let figures = evaluator.figures(options.max_det);
    Ok(Outcome { figures, losses, detections, skipped, seconds: start.elapsed().as_secs_f64() })
}

fn add_losses(sums: &mut Vec<(String, f64)>, terms: &[(String, Tensor)]) -> Result<()> {
    for (name, term) in terms {
        let value = f64::try_from(term)?;
        match sums.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += value,
            None => sums.push((name.clone(), value)),
        }
    }
    Ok(())
}

/// For each image (4 + C, A), channel-major: corners in input pixels, then class probabilities.
fn decode(predictions: &RawPredictions<Tensor>, anchors: &Anchors) -> Result<Vec<Vec<f32>>> {
    tch::no_grad(|| {
        let boxes = anchors.decode(&predictions.distribution)?.f_mul(&anchors.strides)?;
        let all = Tensor::f_cat(&[boxes, predictions.scores.f_sigmoid()?], -1)?;
        let rows = all.f_transpose(1, 2)?.f_contiguous()?.f_to_kind(tch::Kind::Float)?.f_to_device(tch::Device::Cpu)?;
        let (count, ..) = rows.size3()?;
        (0..count).map(|i| Ok(Vec::<f32>::try_from(rows.f_select(0, i)?.f_view(-1)?)?)).collect()
    })
}

/// Back to the file's pixels, clipped to the image.
fn to_original(mut found: Vec<Detection>, sample: &SampleInfo) -> Vec<Detection> {
    let Some(back) = sample.to_input.inverse() else { return Vec::new() };
    for detection in &mut found {
        detection.bbox = map(&detection.bbox, &back).clip(sample.original);
    }
    found
}

/// What is there, in pixels of the file. A region in which nothing is scored stands there for every class.
fn truths(raw: &RawBatch, image: usize, sample: &SampleInfo, num_classes: usize) -> Vec<Truth> {
    let Some(back) = sample.to_input.inverse() else { return Vec::new() };
    let mut truths = Vec::new();
    for BatchObject { object, .. } in raw.objects.iter().filter(|object| object.image as usize == image) {
        let truth = Truth { rect: map(&object.bbox, &back).clip(sample.original).into(), ..Truth::from(object) };
        match object.ignore {
            true => truths.extend((0..num_classes as u32).map(|class| Truth { class, ..truth })),
            false => truths.push(truth),
        }
    }
    truths
}

/// Letterboxing scales and moves only, so corners stay corners.
fn map(bbox: &Bbox, matrix: &Matrix) -> Bbox {
    let [x1, y1] = matrix.apply([f64::from(bbox.x1), f64::from(bbox.y1)]).map(|c| c as f32);
    let [x2, y2] = matrix.apply([f64::from(bbox.x2), f64::from(bbox.y2)]).map(|c| c as f32);
    Bbox { x1, y1, x2, y2 }
}

/// The rows of a COCO results file: image ids are file stems (numbers where they are), categories count from 1, boxes
/// are x y width height.
#[must_use]
pub fn coco_rows(images: &[ImageDetections]) -> Vec<CocoRow> {
    let rows = images.iter().flat_map(|image| {
        let stem = image.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let id = stem.parse::<u64>().map_or_else(|_| stem.into(), serde_json::Value::from);
        image.detections.iter().map(move |found| CocoRow {
            image_id: id.clone(),
            category_id: found.class + 1,
            bbox: {
                let b = found.bbox;
                [b.x1, b.y1, b.x2 - b.x1, b.y2 - b.y1].map(f64::from)
            },
            score: f64::from(found.score),
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use trainer_sdk::{Object, Size};

    use super::*;

    #[test]
    fn a_region_to_ignore_counts_for_every_class() {
        let object = Object { ignore: true, ..Object::new(0, Bbox::new(8.0, 8.0, 16.0, 16.0)) };
        let crowd = Object { crowd: true, ..Object::new(1, Bbox::new(0.0, 0.0, 4.0, 4.0)) };
        let objects = [object, crowd].map(|object| BatchObject { image: 0, object }).to_vec();
        let (size, to_input) = (Size::square(32), Matrix::scale(0.5, 0.5));
        let sample = SampleInfo { id: 0, path: Path::new("a").into(), original: Size::square(64), to_input };
        let raw =
            RawBatch { pixels: Vec::new().into(), size, objects, samples: vec![sample.clone()], skipped: Vec::new() };
        let truths = truths(&raw, 0, &sample, 3);
        assert_eq!(truths.iter().map(|truth| truth.class).collect::<Vec<_>>(), [0, 1, 2, 1]);
        assert!(truths.iter().all(|truth| truth.crowd));
        assert_eq!(truths[2].rect, Bbox::new(16.0, 16.0, 32.0, 32.0).into());
    }

    #[test]
    fn detections_return_to_the_pixels_of_the_file() {
        // 200 x 100 in 64 x 64: scaled by 0.32, 16 px of padding above and below.
        let to_input = Matrix::scale(0.32, 0.32).then(&Matrix::translate(0.0, 16.0));
        let original = Size::new(200, 100);
        let sample = SampleInfo { id: 0, path: Path::new("7.jpg").into(), original, to_input };
        let bbox = Bbox { x1: 32.0, y1: 16.0, x2: 80.0, y2: 32.0 };
        let found = to_original(vec![Detection { bbox, score: 0.5, class: 1 }], &sample);
        let Bbox { x1, y1, x2, y2 } = found[0].bbox;
        for (got, wanted) in [x1, y1, x2, y2].into_iter().zip([100.0, 0.0, 200.0, 50.0]) {
            assert!((got - wanted).abs() < 1e-4, "{got}, expected {wanted}");
        }
        let rows = coco_rows(&[ImageDetections { path: sample.path, detections: found }]);
        let row = serde_json::to_value(&rows[0]).unwrap();
        assert_eq!((row["image_id"].as_u64(), row["category_id"].as_u64()), (Some(7), Some(2)));
    }
}
