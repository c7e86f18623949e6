//! Copy-paste: outlined objects appear a second time (Ghiasi et al. 2021), here where they cover little of the others.

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Bbox, Matrix, Object, Sample};

use super::{is_closed, letterbox::together};

/// Of an object that stands already, a pasted box may cover less than this share.
const MOST_COVERED: f32 = 0.3;

/// Pastes outlined objects, mirrored or from another sample; without outlines it does nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CopyPaste {
    /// The share of the objects that could be pasted which is pasted, those that cover least first.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// `flip`: mirrored copies of the sample's own objects, before the warp. `mixup`: objects of another sample, after
    /// the warp.
    pub mode: Mode,
    /// The last epochs of the run have none: so many of them.
    pub close: usize,
}

/// Where the objects come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Flip,
    Mixup,
}

impl Default for CopyPaste {
    fn default() -> Self {
        Self { p: 0.1, mode: Mode::Flip, close: 10 }
    }
}

impl Augmentation for CopyPaste {
    fn partners(&self) -> usize {
        usize::from(self.p > 0.0 && self.mode == Mode::Mixup)
    }

    fn apply(&self, sample: &mut Sample, partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if self.p <= 0.0 || is_closed(self.close, cx) {
            return Ok(());
        }
        let mut own = sample.objects();
        if own.iter().all(|object| object.polygon.is_empty()) {
            return Ok(());
        }
        let chosen = match self.mode {
            Mode::Flip => {
                let width = sample.size().width as f32;
                let chosen = self.choose(own.iter().map(|object| mirrored(object, width)).collect(), &own);
                sample.paste_mirrored(&chosen)?;
                chosen
            }
            Mode::Mixup => {
                ensure!(partners.len() == 1, "copy_paste in mode mixup needs a partner, got {}", partners.len());
                let partner = &mut partners[0];
                together(sample, partner, cx.imgsz)?;
                own = sample.objects();
                let chosen = self.choose(partner.objects(), &own);
                sample.paste_inside(partner, &Matrix::IDENTITY, &chosen)?;
                chosen
            }
        };
        own.extend(chosen);
        sample.set_objects(&own)
    }
}

impl CopyPaste {
    /// Of the objects with an outline that cover little of those that stand, the share `p` that covers least.
    fn choose(&self, candidates: Vec<Object>, standing: &[Object]) -> Vec<Object> {
        let covers = |object: &Object| {
            let covered = standing.iter().map(|other| covered(&other.bbox, &object.bbox));
            covered.fold(0.0, f32::max)
        };
        let may = |object: &Object| !object.polygon.is_empty() && !object.crowd && !object.ignore;
        let ranked = candidates.into_iter().filter(may).map(|object| (covers(&object), object));
        let mut ranked: Vec<_> = ranked.filter(|(most, _)| *most < MOST_COVERED).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = (self.p * ranked.len() as f64).round_ties_even() as usize;
        ranked.into_iter().take(count).map(|(_, object)| object).collect()
    }
}

/// The share of `object` that `cover` hides, 0 to 1.
pub(super) fn covered(object: &Bbox, cover: &Bbox) -> f32 {
    let common =
        Bbox::new(object.x1.max(cover.x1), object.y1.max(cover.y1), object.x2.min(cover.x2), object.y2.min(cover.y2));
    let area = object.area();
    if area > 0.0 { common.area() / area } else { 0.0 }
}

fn mirrored(object: &Object, width: f32) -> Object {
    let Bbox { x1, y1, x2, y2 } = object.bbox;
    let polygon = object.polygon.iter().map(|[x, y]| [width - x, *y]).collect();
    Object { bbox: Bbox::new(width - x2, y1, width - x1, y2), polygon, ..object.clone() }
}

trainer_sdk::component! {
    augmentation "copy_paste" "pastes outlined objects a second time, mirrored or from another sample": CopyPaste,
        alias "copy_paste" = "p", alias "copy_paste_mode" = "mode", alias "close_mosaic" = "close"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, apply_in, sample};

    fn outlined(class: u32, x1: f32, x2: f32) -> Object {
        let mut object = Object::new(class, Bbox::new(x1, 10.0, x2, 20.0));
        object.polygon = vec![[x1, 10.0], [x2, 10.0], [x2, 20.0], [x1, 20.0]];
        object
    }

    fn with(objects: Vec<Object>) -> trainer_image::Sample {
        let mut sample = sample(64, 48);
        sample.objects = objects;
        sample
    }

    fn classes(sample: &trainer_image::Sample) -> Vec<u32> {
        sample.objects.iter().map(|object| object.class).collect()
    }

    const ALL: CopyPaste = CopyPaste { p: 1.0, mode: Mode::Flip, close: 0 };

    #[test]
    fn mirrored_copies_are_pasted_with_their_pixels() {
        let before = with(vec![outlined(1, 0.0, 8.0), outlined(2, 30.0, 34.0), Object::new(3, Bbox::default())]);
        let after = apply(&ALL, before.clone(), &mut []);
        // the mirror image of 2 covers 2 itself, and 3 has no outline
        assert_eq!(classes(&after), [1, 2, 3, 1]);
        assert_eq!(after.objects[3].bbox, Bbox::new(56.0, 10.0, 64.0, 20.0));
        let (before, after) = (before.render(), after.render());
        let at = |pixels: &[u8], x: usize, y: usize| pixels[(y * 64 + x) * 3..][..3].to_vec();
        assert_eq!(at(&after, 60, 15), at(&before, 3, 15));
        assert_eq!(at(&after, 55, 15), at(&before, 55, 15));
    }

    #[test]
    fn p_is_the_share_of_what_covers_least() {
        let near = outlined(2, 20.0, 41.0); // mirrored to 23..44 it covers most of itself
        let objects = vec![outlined(1, 2.0, 10.0), outlined(4, 12.0, 14.0), near, outlined(5, 53.0, 63.0)];
        // 1 and 5 would hide each other, so 4 alone may be pasted
        let most = apply(&CopyPaste { p: 0.6, ..ALL }, with(objects.clone()), &mut []);
        assert_eq!(classes(&most), [1, 4, 2, 5, 4]);
        let half = apply(&CopyPaste { p: 0.5, ..ALL }, with(objects), &mut []);
        assert_eq!(half.objects.len(), 4, "half of one object is none");
    }

    #[test]
    fn objects_of_another_sample_are_pasted() {
        let mixup = CopyPaste { mode: Mode::Mixup, ..ALL };
        assert_eq!((ALL.partners(), mixup.partners(), CopyPaste { p: 0.0, ..mixup.clone() }.partners()), (0, 1, 0));
        let mut partner = with(vec![outlined(7, 40.0, 60.0), outlined(8, 1.0, 9.0)]);
        partner.flip_vertical();
        let after = apply(&mixup, with(vec![outlined(1, 0.0, 8.0)]), &mut [partner]);
        assert_eq!(classes(&after), [1, 7, 8]);
        assert_eq!((after.size(), after.objects[1].bbox.y2), (trainer_sdk::Size::new(64, 48), 38.0));
    }

    #[test]
    fn without_outlines_or_in_the_last_epochs_nothing_happens() {
        let boxed = apply(&ALL, with(vec![Object::new(1, Bbox::new(0.0, 0.0, 5.0, 5.0))]), &mut []);
        assert_eq!(boxed.objects.len(), 1);
        let closed = apply_in(95, 100, &CopyPaste { close: 5, ..ALL }, with(vec![outlined(1, 0.0, 8.0)]), &mut []);
        assert_eq!(closed.objects.len(), 1);
    }
}
