//! Task-aligned assignment: which anchors learn which object, by class score and overlap together (Feng et al. 2021,
//! "TOOD"). The constants are those of the release behind the published weights (ultralytics 8.3.63).
//!
//! Shapes: B images, A anchors, C classes, M objects of the fullest image.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::iou::complete_iou;

/// Keeps an anchor on the object's edge outside, and divisions away from zero.
const EPS: f64 = 1e-9;

/// The objects of a batch, padded to the fullest image.
#[derive(Debug)]
pub struct Objects {
    /// Classes, int64 (B, M).
    pub classes: Tensor,
    /// Boxes x1 y1 x2 y2 in pixels of the network input, float (B, M, 4).
    pub boxes: Tensor,
    /// True for a real object, bool (B, M).
    pub valid: Tensor,
}

/// What the assignment reads of the predictions, all in pixels and without gradients.
pub struct Candidates<'a> {
    /// Class probabilities (B, A, C).
    pub scores: &'a Tensor,
    /// Boxes x1 y1 x2 y2 in pixels (B, A, 4).
    pub boxes: &'a Tensor,
    /// Anchor centres in pixels (A, 2).
    pub centres: &'a Tensor,
}

/// Which anchor learns what.
#[derive(Debug)]
pub struct Assignment {
    /// True where an object was assigned, bool (B, A).
    pub foreground: Tensor,
    /// The assigned object's place in its image, int64 (B, A); 0 on the background.
    pub object: Tensor,
    /// Class targets (B, A, C): the alignment, scaled so that an object's best anchor gets its best overlap.
    pub scores: Tensor,
    /// The assigned object's box in pixels (B, A, 4); meaningless on the background.
    pub boxes: Tensor,
}

/// The constants of the assignment.
#[derive(Clone, Copy, Debug)]
pub struct Assigner {
    /// Anchors an object may get.
    pub topk: i64,
    /// Exponent of the class score.
    pub alpha: f64,
    /// Exponent of the overlap.
    pub beta: f64,
    /// Sides of objects below this many pixels count as this long when anchors inside are looked for; 0 is off.
    pub min_side: f64,
}

impl Assigner {
    /// Assigns objects to anchors.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn assign(&self, candidates: &Candidates, objects: &Objects) -> Result<Assignment> {
        let (batch, anchors, classes) = candidates.scores.size3()?;
        let (_, count) = objects.classes.size2()?;
        if count == 0 {
            return background(candidates, batch, anchors);
        }

        let inside = self.inside(candidates.centres, objects)?; // (B, M, A)
        let (alignment, overlap) = self.alignment(candidates, objects, &inside, classes)?; // (B, M, A) each
        let chosen = self.best(&alignment)?.f_logical_and(&inside)?;
        let chosen = one_object_each(&chosen, &overlap, count)?; // (B, M, A)

        let foreground = chosen.f_any_dim(1, false)?; // (B, A)
        let object = chosen.f_to_kind(Kind::Uint8)?.f_argmax(1, false)?; // (B, A)
        let label = objects.classes.f_gather(1, &object, false)?.f_clamp_min(0)?;
        let boxes = objects.boxes.f_gather(1, &object.f_unsqueeze(-1)?.f_expand([-1, -1, 4], false)?, false)?;

        let kind = candidates.scores.kind();
        let alignment = alignment.f_mul(&chosen.f_to_kind(kind)?)?;
        let overlap = overlap.f_mul(&chosen.f_to_kind(kind)?)?;
        let best_alignment = alignment.f_amax(&[-1i64][..], true)?; // (B, M, 1)
        let best_overlap = overlap.f_amax(&[-1i64][..], true)?;
        let share = alignment.f_mul(&best_overlap)?.f_div(&best_alignment.f_add_scalar(EPS)?)?;
        let score = share.f_amax(&[1i64][..], false)?.f_mul(&foreground.f_to_kind(kind)?)?; // (B, A)
        let scores =
            candidates.scores.f_zeros_like()?.f_scatter(-1, &label.f_unsqueeze(-1)?, &score.f_unsqueeze(-1)?)?;
        Ok(Assignment { foreground, object, scores, boxes })
    }

    /// Anchors whose centre lies strictly inside an object, bool (B, M, A).
    fn inside(&self, centres: &Tensor, objects: &Objects) -> Result<Tensor> {
        let corners = objects.boxes.f_chunk(2, -1)?; // 2 x (B, M, 2)
        let (mut low, mut high) = (corners[0].shallow_clone(), corners[1].shallow_clone());
        if self.min_side > 0.0 {
            let middle = low.f_add(&high)?.f_div_scalar(2)?;
            let half = high.f_sub(&low)?.f_clamp_min(self.min_side)?.f_div_scalar(2)?;
            (low, high) = (middle.f_sub(&half)?, middle.f_add(&half)?);
        }
        let centres = centres.f_unbind(-1)?; // x, y: (A)
        let between = |axis: i64| -> Result<Tensor> {
            let at = &centres[axis as usize];
            let (low, high) = (low.f_narrow(-1, axis, 1)?, high.f_narrow(-1, axis, 1)?); // (B, M, 1)
            Ok(at.f_sub(&low)?.f_minimum(&high.f_sub(at)?)?)
        };
        let margin = between(0)?.f_minimum(&between(1)?)?;
        Ok(margin.f_gt(EPS)?.f_logical_and(&objects.valid.f_unsqueeze(-1)?)?)
    }

    /// Alignment score^alpha * overlap^beta and overlap of every candidate pair, 0 elsewhere; (B, M, A) each. Only
    /// pairs that are inside are computed, a few percent of all.
    fn alignment(
        &self,
        candidates: &Candidates,
        objects: &Objects,
        inside: &Tensor,
        classes: i64,
    ) -> Result<(Tensor, Tensor)> {
        let (_, count, anchors) = inside.size3()?;
        let pair = inside.f_view(-1)?.f_nonzero()?.f_squeeze_dim(-1)?; // (P), flat in (B, M, A)
        let object = pair.f_divide_scalar_mode(anchors, "floor")?; // flat in (B, M)
        let image = object.f_divide_scalar_mode(count, "floor")?;
        let anchor = pair.f_remainder(anchors)?.f_add(&image.f_mul_scalar(anchors)?)?; // flat in (B, A)
        let label = objects.classes.f_view(-1)?.f_index_select(0, &object)?;
        let score =
            candidates.scores.f_reshape([-1])?.f_index_select(0, &anchor.f_mul_scalar(classes)?.f_add(&label)?)?;
        let truth = objects.boxes.f_view([-1, 4])?.f_index_select(0, &object)?;
        let predicted = candidates.boxes.f_reshape([-1, 4])?.f_index_select(0, &anchor)?;
        let overlap = complete_iou(&truth, &predicted)?.f_clamp_min(0)?;
        let alignment = score.f_pow_tensor_scalar(self.alpha)?.f_mul(&overlap.f_pow_tensor_scalar(self.beta)?)?;
        let dense = |values: &Tensor| -> Result<Tensor> {
            let zeros = Tensor::f_zeros([inside.numel() as i64], (values.kind(), values.device()))?;
            Ok(zeros.f_index_copy(0, &pair, values)?.f_view_as(inside)?)
        };
        Ok((dense(&alignment)?, dense(&overlap)?))
    }

    /// The `topk` best anchors of each object, bool (B, M, A).
    fn best(&self, alignment: &Tensor) -> Result<Tensor> {
        let k = self.topk.min(alignment.size3()?.2);
        let (_, index) = alignment.f_topk(k, -1, true, true)?;
        let none = alignment.f_zeros_like()?.f_to_kind(Kind::Bool)?;
        Ok(none.f_scatter_value(-1, &index, 1)?)
    }
}

/// An anchor claimed by several objects goes to the one it overlaps most. `chosen`, `overlap`: (B, M, A).
fn one_object_each(chosen: &Tensor, overlap: &Tensor, count: i64) -> Result<Tensor> {
    let contested = chosen.f_sum_dim_intlist(&[1i64][..], true, Kind::Int64)?.f_gt(1)?; // (B, 1, A)
    let winner = overlap.f_argmax(1, true)?; // (B, 1, A)
    let places = Tensor::f_arange(count, (Kind::Int64, chosen.device()))?.f_view([1, -1, 1])?;
    Ok(places.f_eq_tensor(&winner)?.f_where_self(&contested, chosen)?)
}

fn background(candidates: &Candidates, batch: i64, anchors: i64) -> Result<Assignment> {
    let device = candidates.scores.device();
    Ok(Assignment {
        foreground: Tensor::f_zeros([batch, anchors], (Kind::Bool, device))?,
        object: Tensor::f_zeros([batch, anchors], (Kind::Int64, device))?,
        scores: candidates.scores.f_zeros_like()?,
        boxes: candidates.boxes.f_zeros_like()?,
    })
}
