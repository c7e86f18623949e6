//! Mosaic: four pictures about a random centre on a canvas of twice the input size (YOLOv4, Bochkovskiy et al. 2020).

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Matrix, Sample, Size};

use super::is_closed;

/// Joins a sample and three partners; `perspective` brings the double canvas back to the input size.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mosaic {
    /// Probability of a mosaic.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// The last epochs of the run have no mosaics: so many of them.
    pub close: usize,
}

impl Default for Mosaic {
    fn default() -> Self {
        Self { p: 1.0, close: 10 }
    }
}

impl Augmentation for Mosaic {
    fn partners(&self) -> usize {
        if self.p > 0.0 { 3 } else { 0 }
    }

    fn apply(&self, sample: &mut Sample, partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if is_closed(self.close, cx) || !cx.rng.chance(self.p) {
            return Ok(());
        }
        ensure!(partners.len() == 3, "a mosaic needs 3 partners, got {}", partners.len());
        let imgsz = f64::from(cx.imgsz);
        let mut centre = || cx.rng.uniform(0.5 * imgsz, 1.5 * imgsz).floor();
        let centre = [centre(), centre()];
        let canvas = Size::square(2 * cx.imgsz);

        place(sample, centre, [1.0, 1.0], canvas)?;
        for (partner, corner) in partners.iter_mut().zip([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]) {
            place(partner, centre, corner, canvas)?;
            sample.paste(partner)?;
        }
        sample.remove_empty_objects()
    }
}

/// Moves a sample so that its `corner` (1, 1: lower right) lies on `centre`; what leaves `canvas` is cut off.
fn place(sample: &mut Sample, centre: [f64; 2], corner: [f64; 2], canvas: Size) -> Result<()> {
    let Size { width, height } = sample.size();
    let [x, y] = [centre[0] - corner[0] * f64::from(width), centre[1] - corner[1] * f64::from(height)];
    sample.warp(&Matrix::translate(x, y), canvas)
}

trainer_sdk::component! {
    augmentation "mosaic" "joins four samples about a random centre": Mosaic,
        alias "mosaic" = "p", alias "close_mosaic" = "close"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{IMGSZ, apply, apply_in, sample};

    #[test]
    fn four_pictures_meet_at_the_centre() {
        let mut partners = [sample(64, 48), sample(64, 48), sample(64, 48)];
        let mosaic = apply(&Mosaic::default(), sample(64, 48), &mut partners);
        assert_eq!(mosaic.size(), Size::square(2 * IMGSZ));
        let centre = mosaic.from_original().apply([64.0, 48.0]); // the lower right corner of the first picture
        assert!(centre.iter().all(|c| (32.0..96.0).contains(c) && c.fract() == 0.0), "{centre:?}");
        // the others mirror the first about the centre, as far as the canvas reaches
        let boxes: Vec<_> = mosaic.objects.iter().map(|object| object.bbox).collect();
        let [x, y] = centre.map(|c| c as f32);
        assert_eq!((boxes[0].x2, boxes[0].y2), (x - 16.0, y - 12.0));
        assert_eq!((boxes[3].x1, boxes[3].y1), (x + 16.0, y + 12.0));
    }

    #[test]
    fn the_last_epochs_have_none() {
        let untouched = apply_in(9, 10, &Mosaic { p: 1.0, close: 1 }, sample(64, 48), &mut []);
        assert_eq!(untouched.size(), Size::new(64, 48));
        let untouched = apply(&Mosaic { p: 0.0, close: 0 }, sample(64, 48), &mut []);
        assert_eq!(untouched.size(), Size::new(64, 48));
    }
}
