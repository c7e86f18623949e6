//! Letterbox: the whole picture, as large as it fits, in the middle of a square of grey.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Matrix, Sample, Size};

/// Brings a sample of any size to the network's input size; it has no options.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Letterbox {}

impl Augmentation for Letterbox {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        letterbox(sample, cx.imgsz)
    }
}

/// Scales the canvas into a square of side `imgsz` and centres it; of an odd margin, right and bottom get the larger
/// part. A canvas of that size stays as it is.
///
/// # Errors
/// As [`Sample::warp`].
pub fn letterbox(sample: &mut Sample, imgsz: u32) -> Result<()> {
    onto(sample, Size::square(imgsz), f64::INFINITY)
}

/// The same for a canvas of any `target` size, enlarging by at most the factor `most`.
///
/// # Errors
/// As [`Sample::warp`].
pub(super) fn onto(sample: &mut Sample, target: Size, most: f64) -> Result<()> {
    if sample.size() == target {
        return Ok(());
    }
    let Size { width, height } = sample.size();
    let ratio = |new: u32, old: u32| f64::from(new) / f64::from(old.max(1));
    let ratio = ratio(target.width, width).min(ratio(target.height, height)).min(most);
    let scaled = |length: u32, most: u32| ((f64::from(length) * ratio).round_ties_even() as u32).clamp(1, most.max(1));
    let (width, height) = (scaled(width, target.width), scaled(height, target.height));
    sample.resize(Size::new(width, height))?;
    let margin = |from: u32, length: u32| (f64::from(from.saturating_sub(length)) / 2.0 - 0.1).round();
    sample.warp(&Matrix::translate(margin(target.width, width), margin(target.height, height)), target)
}

/// Brings two canvases that are to be joined to one size, where they differ.
///
/// # Errors
/// As [`Sample::warp`].
pub(super) fn together(sample: &mut Sample, partner: &mut Sample, imgsz: u32) -> Result<()> {
    if sample.size() != partner.size() {
        letterbox(sample, imgsz)?;
        letterbox(partner, imgsz)?;
    }
    Ok(())
}

trainer_sdk::component! {
    augmentation "letterbox" "scales the picture into the network's square input and pads it with grey": Letterbox
}

#[cfg(test)]
mod tests {
    use super::*;
    use trainer_sdk::sample_store::view;

    use crate::augment::testing::sample;

    #[test]
    fn odd_margins_are_larger_at_the_bottom() {
        let mut wide = sample(64, 33);
        letterbox(&mut view(&mut wide), 64).unwrap();
        assert_eq!(wide.size(), Size::square(64));
        assert_eq!(*wide.from_original(), Matrix::translate(0.0, 15.0)); // 31 rows of grey: 15 and 16
        assert_eq!(wide.objects[0].bbox.y1, 15.0 + 33.0 / 4.0);
    }

    #[test]
    fn a_rectangle_holds_the_picture_at_its_own_size() {
        let mut small = sample(64, 48);
        onto(&mut view(&mut small), Size::new(96, 64), 1.0).unwrap();
        assert_eq!((small.size(), *small.from_original()), (Size::new(96, 64), Matrix::translate(16.0, 8.0)));
        let mut enlarged = sample(64, 48);
        onto(&mut view(&mut enlarged), Size::new(96, 64), f64::INFINITY).unwrap();
        let scaled = Matrix::scale(85.0 / 64.0, 64.0 / 48.0).then(&Matrix::translate(5.0, 0.0)); // by 4/3, whole pixels
        assert_eq!(enlarged.from_original().apply([12.0, 12.0]), scaled.apply([12.0, 12.0]));
        let mut tall = sample(48, 64);
        onto(&mut view(&mut tall), Size::new(64, 32), 1.0).unwrap();
        assert_eq!(tall.from_original().apply([48.0, 64.0]), [44.0, 32.0], "a partner of another aspect is reduced");
    }

    #[test]
    fn any_size_fits() {
        for (width, height) in [(128, 128), (10, 5), (3000, 2), (7, 9), (64, 64)] {
            let mut any = sample(width, height);
            letterbox(&mut view(&mut any), 64).unwrap();
            assert_eq!(any.size(), Size::square(64));
            assert!(any.objects[0].bbox.area() > 0.0, "{width}x{height}");
        }
        letterbox(&mut view(&mut trainer_image::Sample::default()), 64).unwrap();
    }
}
