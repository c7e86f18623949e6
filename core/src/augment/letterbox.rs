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
    let target = Size::square(imgsz);
    if sample.size() == target {
        return Ok(());
    }
    let Size { width, height } = sample.size();
    let ratio = f64::from(imgsz) / f64::from(width.max(height).max(1));
    let scaled = |length: u32| ((f64::from(length) * ratio).round_ties_even() as u32).clamp(1, imgsz.max(1));
    let (width, height) = (scaled(width), scaled(height));
    sample.resize(Size::new(width, height))?;
    let margin = |length: u32| (f64::from(imgsz.saturating_sub(length)) / 2.0 - 0.1).round();
    sample.warp(&Matrix::translate(margin(width), margin(height)), target)
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
