//! CutMix: a rectangle of another sample lies on top (Yun et al. 2019), where it covers no object.

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Bbox, Matrix, Object, Rng, Sample, Size};

use super::{copy_paste::covered, is_closed, letterbox::together};

/// Of the other's objects those stay of which the rectangle holds at least this share.
const LEAST_SHARE: f32 = 0.1;
/// The same for a sample with outlines, whose boxes are tight.
const LEAST_OUTLINED: f32 = 0.01;

/// Pastes a random rectangle of another sample that went through the same earlier stages, with its objects.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cutmix {
    /// Probability of a rectangle.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// The share of the canvas that is left is drawn from Beta(beta, beta).
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub beta: f64,
    /// So many rectangles are drawn; one of those that cover no object is taken.
    #[schemars(range(min = 1, max = 100))]
    pub areas: usize,
    /// The last epochs of the run have none: so many of them.
    pub close: usize,
}

impl Default for Cutmix {
    fn default() -> Self {
        Self { p: 0.0, beta: 1.0, areas: 3, close: 10 }
    }
}

impl Augmentation for Cutmix {
    fn partners(&self) -> usize {
        usize::from(self.p > 0.0)
    }

    fn apply(&self, sample: &mut Sample, partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if is_closed(self.close, cx) || !cx.rng.chance(self.p) {
            return Ok(());
        }
        ensure!(partners.len() == 1, "cutmix needs 1 partner, got {}", partners.len());
        let partner = &mut partners[0];
        together(sample, partner, cx.imgsz)?;
        let mut objects = sample.objects();
        let size = sample.size();
        let areas: Vec<_> = (0..self.areas).map(|_| self.area(size, cx.rng)).collect();
        let is_free = |area: &&Bbox| objects.iter().all(|object| covered(&object.bbox, area) <= 0.0);
        let free: Vec<_> = areas.iter().filter(is_free).collect();
        let Some(&&area) = free.get(cx.rng.below(free.len())) else { return Ok(()) };

        let has_outlines = objects.iter().any(|object| !object.polygon.is_empty());
        let least = if has_outlines { LEAST_OUTLINED } else { LEAST_SHARE };
        let cut = Object::new(0, area);
        let kept = partner.objects().into_iter().filter(|object| covered(&object.bbox, &area) >= least);
        let mut inside: Vec<_> = kept.collect();
        if inside.is_empty() {
            return Ok(());
        }
        inside.iter_mut().for_each(|object| object.keep_within(&area));
        sample.paste_inside(partner, &Matrix::IDENTITY, &[cut])?;
        objects.extend(inside);
        sample.set_objects(&objects)
    }
}

impl Cutmix {
    /// A rectangle of the canvas' proportions about a random centre, cut off at the canvas, in whole pixels.
    fn area(&self, Size { width, height }: Size, rng: &mut Rng) -> Bbox {
        let side = (1.0 - rng.beta(self.beta, self.beta)).max(0.0).sqrt();
        let mut along = |length: u32| {
            let half = (f64::from(length) * side) as i64 / 2;
            let centre = rng.below(length as usize) as i64;
            ((centre - half).max(0) as f32, (centre + half).min(i64::from(length)) as f32)
        };
        let ((x1, x2), (y1, y2)) = (along(width), along(height));
        Bbox::new(x1, y1, x2, y2)
    }
}

trainer_sdk::component! {
    augmentation "cutmix" "pastes a rectangle of another sample where no object is": Cutmix,
        alias "cutmix" = "p", alias "close_mosaic" = "close"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, apply_in, sample};

    const ALWAYS: Cutmix = Cutmix { p: 1.0, beta: 1.0, areas: 100, close: 0 };

    #[test]
    fn a_rectangle_of_the_other_covers_no_object() {
        let mut base = sample(64, 64);
        base.objects = vec![Object::new(1, Bbox::new(0.0, 0.0, 8.0, 8.0))];
        let mut other = sample(64, 64);
        other.objects = vec![Object::new(2, Bbox::new(0.0, 0.0, 64.0, 64.0))];
        other.recolor(trainer_sdk::HsvGains { h: 1.0, s: 1.0, v: 0.0 });
        let before = base.render();
        let after = apply(&Cutmix { beta: 100.0, ..ALWAYS }, base, &mut [other]);
        let Bbox { x1, y1, x2, y2 } = after.objects[1].bbox;
        assert_eq!(covered(&after.objects[0].bbox, &after.objects[1].bbox), 0.0);
        let pixels = after.render();
        let changed = pixels.as_chunks::<3>().0.iter().zip(before.as_chunks::<3>().0).filter(|(a, b)| a != b);
        assert!(changed.clone().all(|(after, _)| *after == [0; 3]), "of the black partner the rectangle is seen");
        let (changed, area) = (changed.count(), ((x2 - x1) * (y2 - y1)) as usize);
        assert!(after.objects[1].class == 2 && changed <= area && changed + 16 >= area, "{changed} of {area}");
    }

    #[test]
    fn where_everything_is_covered_nothing_is_pasted() {
        let mut full = sample(64, 64);
        full.objects = vec![Object::new(1, Bbox::new(0.0, 0.0, 64.0, 64.0))];
        let narrow = Cutmix { beta: 100.0, ..ALWAYS }; // sides of about 0.7
        assert_eq!(apply(&narrow, full.clone(), &mut [sample(64, 64)]).objects, full.objects);
        let mut bare = sample(64, 64);
        bare.objects.clear();
        assert!(apply(&narrow, bare.clone(), &mut [bare.clone()]).objects.is_empty(), "no object of the other");
        let closed = apply_in(0, 5, &Cutmix { close: 5, ..ALWAYS }, bare, &mut [sample(64, 64)]);
        assert!(closed.objects.is_empty());
    }
}
