//! The built-in loss, first link of the chain: assigns objects to anchors, then offers `box` (complete IoU), `cls`
//! (binary cross-entropy) and `dfl` (distribution focal loss). Equal to ultralytics 8.3.63's.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};
use trainer_sdk::{Loss, LossContext, Predictions, Targets, Terms};

use super::{
    assign::{Assigner, Candidates, Objects},
    iou::complete_iou,
};
use crate::{
    model::BINS,
    torch::{from_sdk, to_sdk},
};

/// Largest distance that the bins express, in grid units: just below the last bin.
const MAX_DISTANCE: f64 = (BINS - 1) as f64 - 0.01;

/// Options of the assignment.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detection {
    /// Anchors that an object may get.
    #[schemars(range(min = 1, max = 1000))]
    topk: i64,
    /// Exponent of the class score in the alignment.
    #[schemars(range(min = 0.0, max = 10.0))]
    alpha: f64,
    /// Exponent of the overlap in the alignment.
    #[schemars(range(min = 0.0, max = 20.0))]
    beta: f64,
    /// Sides of objects below this many pixels count as this long when anchors inside are looked for (0 is off, as in
    /// the release behind the published weights; newer ultralytics releases use 16).
    #[schemars(range(min = 0.0, max = 64.0))]
    min_side: f64,
}

impl Default for Detection {
    fn default() -> Self {
        Self { topk: 10, alpha: 0.5, beta: 6.0, min_side: 0.0 }
    }
}

impl Loss for Detection {
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        let scores = from_sdk(&cx.predictions.scores()?).f_detach()?.f_sigmoid()?;
        let strides = from_sdk(&cx.predictions.strides()?);
        let boxes = from_sdk(&cx.predictions.boxes()?).f_detach()?.f_mul(&strides)?;
        let centres = from_sdk(&cx.predictions.anchors()?).f_mul(&strides)?;
        let objects = Objects {
            classes: from_sdk(&targets.object_classes()?),
            boxes: from_sdk(&targets.object_boxes()?),
            valid: from_sdk(&targets.object_valid()?),
        };
        let assigner = Assigner { topk: self.topk, alpha: self.alpha, beta: self.beta, min_side: self.min_side };
        let candidates = Candidates { scores: &scores, boxes: &boxes, centres: &centres };
        let assigned = assigner.assign(&candidates, &objects)?;

        let weights = assigned.scores.f_sum_dim_intlist(&[-1i64][..], false, None)?;
        let normaliser = assigned.scores.f_sum(None)?.f_clamp_min(1)?;
        let grid_boxes = assigned.boxes.f_div(&strides)?;
        let mut put = |name: &str, tensor: &Tensor| targets.0.set(name, &to_sdk(tensor));
        put("scores", &assigned.scores)?;
        put("foreground", &assigned.foreground)?;
        put("object", &assigned.object)?;
        put("boxes", &grid_boxes)?;
        put("weights", &weights)?;
        put("normaliser", &normaliser)
    }

    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, targets: &Targets, _cx: &LossContext) -> Result<()> {
        let (logits, goals) = (from_sdk(&preds.scores()?), from_sdk(&targets.scores()?));
        let normaliser = from_sdk(&targets.normaliser()?);
        let divisor = normaliser.shallow_clone();
        terms.offer("box", box_term(preds, targets, divisor)?)?;
        let divisor = normaliser.shallow_clone();
        terms.offer("cls", move || {
            let sum = logits.f_binary_cross_entropy_with_logits::<Tensor>(&goals, None, None, Reduction::Sum)?;
            Ok(to_sdk(&sum.f_div(&divisor)?))
        })?;
        terms.offer("dfl", distribution_term(preds, targets, normaliser)?)
    }
}

/// Rows of (B, A, …) tensors on the foreground, as (F, …).
struct Foreground(Tensor);

impl Foreground {
    fn new(targets: &Targets) -> Result<Self> {
        Ok(Self(from_sdk(&targets.foreground()?).f_reshape([-1])?.f_nonzero()?.f_squeeze_dim(-1)?))
    }

    fn rows(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.f_flatten(0, 1)?.f_index_select(0, &self.0)?)
    }
}

/// Sum of (1 - complete IoU) * weight over the foreground / normaliser.
fn box_term(
    preds: &Predictions,
    targets: &Targets,
    normaliser: Tensor,
) -> Result<impl FnOnce() -> Result<trainer_sdk::Tensor> + 'static> {
    let (predicted, truth) = (from_sdk(&preds.boxes()?), from_sdk(&targets.boxes()?));
    let (weights, foreground) = (from_sdk(&targets.weights()?), Foreground::new(targets)?);
    Ok(move || {
        let iou = complete_iou(&foreground.rows(&predicted)?, &foreground.rows(&truth)?)?;
        let loss = iou.f_neg()?.f_add_scalar(1)?.f_mul(&foreground.rows(&weights)?)?;
        Ok(to_sdk(&loss.f_sum(None)?.f_div(&normaliser)?))
    })
}

/// Cross-entropy of the two bins around each side's distance, weighted by nearness; mean over sides, times weight,
/// summed over the foreground / normaliser (Li et al. 2020, "Generalized Focal Loss").
fn distribution_term(
    preds: &Predictions,
    targets: &Targets,
    normaliser: Tensor,
) -> Result<impl FnOnce() -> Result<trainer_sdk::Tensor> + 'static> {
    let (logits, anchors) = (from_sdk(&preds.distribution()?), from_sdk(&preds.anchors()?));
    let (truth, weights) = (from_sdk(&targets.boxes()?), from_sdk(&targets.weights()?));
    let foreground = Foreground::new(targets)?;
    Ok(move || {
        let corners = truth.f_chunk(2, -1)?;
        let sides = [anchors.f_sub(&corners[0])?, corners[1].f_sub(&anchors)?];
        let distances = foreground.rows(&Tensor::f_cat(&sides, -1)?)?.f_clamp(0.0, MAX_DISTANCE)?; // (F, 4)
        let left = distances.f_floor()?;
        let near_right = distances.f_sub(&left)?;
        let near_left = near_right.f_neg()?.f_add_scalar(1)?;
        let left = left.f_to_kind(Kind::Int64)?.f_unsqueeze(-1)?;
        let log_p = foreground.rows(&logits)?.f_view([-1, 4, BINS])?.f_log_softmax(-1, logits.kind())?;
        let at = |bin: &Tensor, near: &Tensor| -> Result<Tensor> {
            Ok(log_p.f_gather(-1, bin, false)?.f_squeeze_dim(-1)?.f_mul(near)?)
        };
        let sum = at(&left, &near_left)?.f_add(&at(&left.f_add_scalar(1)?, &near_right)?)?.f_neg()?;
        let loss = sum.f_mean_dim(&[-1i64][..], false, None)?.f_mul(&foreground.rows(&weights)?)?;
        Ok(to_sdk(&loss.f_sum(None)?.f_div(&normaliser)?))
    })
}

trainer_sdk::component! {
    loss "detection" "task-aligned assignment with the terms box (complete IoU), cls (cross-entropy) and dfl": Detection
}
