//! Overlap of boxes.

use anyhow::Result;
use tch::Tensor;

/// Keeps divisions away from zero, as in the reference.
const EPS: f64 = 1e-7;

/// Complete IoU of boxes x1 y1 x2 y2 in (…, 4), element by element: IoU less the distance of centres and less the
/// difference of aspects, in -1.5..1 (Zheng et al. 2020, "Distance-IoU Loss"). The weight of the aspect term carries
/// no gradient.
///
/// # Errors
/// If the shapes do not broadcast.
pub fn complete_iou(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (a.f_unbind(-1)?, b.f_unbind(-1)?);
    let extent = |boxes: &[Tensor]| -> Result<(Tensor, Tensor)> {
        Ok((boxes[2].f_sub(&boxes[0])?, boxes[3].f_sub(&boxes[1])?.f_add_scalar(EPS)?))
    };
    let ((width_a, height_a), (width_b, height_b)) = (extent(&a)?, extent(&b)?);
    let overlap = |low: usize| -> Result<Tensor> {
        Ok(a[low + 2].f_minimum(&b[low + 2])?.f_sub(&a[low].f_maximum(&b[low])?)?.f_clamp_min(0)?)
    };
    let intersection = overlap(0)?.f_mul(&overlap(1)?)?;
    let union = width_a.f_mul(&height_a)?.f_add(&width_b.f_mul(&height_b)?)?.f_sub(&intersection)?.f_add_scalar(EPS)?;
    let iou = intersection.f_div(&union)?;

    let hull = |low: usize| -> Result<Tensor> {
        Ok(a[low + 2].f_maximum(&b[low + 2])?.f_sub(&a[low].f_minimum(&b[low])?)?.f_square()?)
    };
    let diagonal = hull(0)?.f_add(&hull(1)?)?.f_add_scalar(EPS)?;
    let apart = |low: usize| -> Result<Tensor> {
        Ok(b[low].f_add(&b[low + 2])?.f_sub(&a[low])?.f_sub(&a[low + 2])?.f_square()?)
    };
    let distance = apart(0)?.f_add(&apart(1)?)?.f_div_scalar(4)?;

    let aspect = |width: &Tensor, height: &Tensor| -> Result<Tensor> { Ok(width.f_div(height)?.f_atan()?) };
    let aspects = aspect(&width_b, &height_b)?.f_sub(&aspect(&width_a, &height_a)?)?.f_square()?;
    let aspects = aspects.f_mul_scalar(4.0 / std::f64::consts::PI.powi(2))?;
    let weight =
        tch::no_grad(|| -> Result<Tensor> { Ok(aspects.f_div(&aspects.f_sub(&iou)?.f_add_scalar(1.0 + EPS)?)?) })?;
    Ok(iou.f_sub(&distance.f_div(&diagonal)?.f_add(&aspects.f_mul(&weight)?)?)?)
}
