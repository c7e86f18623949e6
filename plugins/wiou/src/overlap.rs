//! Overlap and distance of boxes, anchor by anchor.

use trainer_sdk::{Result, Tensor};

/// Keeps divisions away from zero.
const EPS: f64 = 1e-7;

/// What the paper's loss is made of, (B, A) each.
pub struct Overlap {
    /// 1 - IoU.
    pub loss: Tensor,
    /// exp(squared distance of centres / squared diagonal of the hull), 1 to e; no gradient through the hull.
    pub attention: Tensor,
}

impl Overlap {
    /// Of boxes x1 y1 x2 y2, (B, A, 4).
    pub fn new(a: &Tensor, b: &Tensor) -> Result<Self> {
        let (low_a, high_a, low_b, high_b) =
            (a.narrow(-1, 0, 2)?, a.narrow(-1, 2, 2)?, b.narrow(-1, 0, 2)?, b.narrow(-1, 2, 2)?);
        let shared = high_a.minimum(&high_b)?.sub(&low_a.maximum(&low_b)?)?.clamp_min(0.0)?;
        let intersection = area(&shared)?;
        let areas = area(&high_a.sub(&low_a)?)?.add(&area(&high_b.sub(&low_b)?)?)?;
        let iou = intersection.div(&areas.sub(&intersection)?.add_scalar(EPS)?)?;

        let hull = high_a.maximum(&high_b)?.sub(&low_a.minimum(&low_b)?)?;
        let apart = low_a.add(&high_a)?.sub(&low_b)?.sub(&high_b)?.mul_scalar(0.5)?;
        let attention = length2(&apart)?.div(&length2(&hull)?.add_scalar(EPS)?.detach()?)?.exp()?;
        Ok(Self { loss: iou.neg()?.add_scalar(1.0)?, attention })
    }
}

/// Width times height of (B, A, 2).
fn area(sides: &Tensor) -> Result<Tensor> {
    sides.narrow(-1, 0, 1)?.mul(&sides.narrow(-1, 1, 1)?)?.squeeze(-1)
}

/// Squared length of (B, A, 2).
fn length2(vector: &Tensor) -> Result<Tensor> {
    vector.square()?.sum_dims(&[-1], false)
}
