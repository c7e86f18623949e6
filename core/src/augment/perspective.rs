//! Perspective: turns, scales, slants, tilts and moves a sample at random, onto a canvas of the input's size.

use std::borrow::Cow;

use anyhow::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Bbox, Matrix, Object, Rng, Sample, Size};

use super::letterbox::letterbox;

/// Takes a mosaic's double canvas, or any other sample letterboxed, to the network's input size.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Perspective {
    /// Turns by up to so many degrees either way.
    #[schemars(range(min = 0.0, max = 180.0))]
    pub degrees: f64,
    /// Moves the centre by up to this share of the input size, along x and along y.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub translate: f64,
    /// Scales by a factor in [1 - scale, 1 + scale], or in the range that two numbers state.
    pub scale: Scale,
    /// Slants by up to so many degrees, along x and along y.
    #[schemars(range(min = 0.0, max = 89.0))]
    pub shear: f64,
    /// Tilts: points are divided by 1 + a x + b y, with a and b up to this, in 1/pixel.
    #[schemars(range(min = 0.0, max = 0.01))]
    pub perspective: f64,
    /// Whether a sample that is no mosaic is letterboxed to the square input first; otherwise its canvas keeps its size.
    /// Rectangular batches (`rect`) turn it off.
    pub square: bool,
}

/// The factors that may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scale {
    /// Up to this more or less than 1.
    Jitter(f64),
    /// From the first to the second.
    Range([f64; 2]),
}

/// One schema for both, so that a refusal says what is wrong and not that nothing fits.
impl JsonSchema for Scale {
    fn schema_name() -> Cow<'static, str> {
        "Scale".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "array"],
            "minimum": 0.0,
            "maximum": 1.0,
            "items": { "type": "number", "minimum": 0.0, "maximum": 10.0 },
            "minItems": 2,
            "maxItems": 2,
        })
    }
}

impl Scale {
    fn draw(self, rng: &mut Rng) -> f64 {
        match self {
            Self::Jitter(by) => rng.uniform(1.0 - by, 1.0 + by),
            Self::Range([low, high]) => rng.uniform(low, high),
        }
    }
}

impl Default for Perspective {
    fn default() -> Self {
        Self { degrees: 0.0, translate: 0.1, scale: Scale::Jitter(0.5), shear: 0.0, perspective: 0.0, square: true }
    }
}

impl Augmentation for Perspective {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        let is_mosaic = sample.size() == Size::square(2 * cx.imgsz);
        if self.square && !is_mosaic {
            letterbox(sample, cx.imgsz)?;
        }
        let to = if is_mosaic { Size::square(cx.imgsz) } else { sample.size() };
        let draw = self.draw(cx.rng);
        let matrix = draw.matrix(sample.size(), to);
        let before: Vec<_> = sample.objects().iter().map(Before::of).collect();
        sample.warp(&matrix, to)?;
        let (mut before, mut objects) = (before.iter(), sample.objects());
        objects.retain(|object| before.next().is_some_and(|before| before.leaves(&object.bbox, draw.scale)));
        sample.set_objects(&objects)
    }
}

impl Perspective {
    fn draw(&self, rng: &mut Rng) -> Draw {
        let scale = self.scale.draw(rng);
        let mut within = |bound: f64| rng.uniform(-bound, bound);
        Draw {
            tilt: [within(self.perspective), within(self.perspective)],
            degrees: within(self.degrees),
            scale,
            slant: [within(self.shear), within(self.shear)],
            centre: [0.5 + within(self.translate), 0.5 + within(self.translate)],
        }
    }
}

/// One warp.
pub(super) struct Draw {
    /// In 1/pixel, along x and along y.
    pub tilt: [f64; 2],
    /// Counter-clockwise.
    pub degrees: f64,
    pub scale: f64,
    /// In degrees, along x and along y.
    pub slant: [f64; 2],
    /// Where the canvas' centre comes to lie, in shares of the output.
    pub centre: [f64; 2],
}

impl Draw {
    /// About the centre of a canvas of `from`: tilt, turn, scale, slant; then to its place on the output.
    pub fn matrix(&self, from: Size, to: Size) -> Matrix {
        let [slant_x, slant_y] = self.slant.map(|angle| angle.to_radians().tan());
        let [x, y] = [self.centre[0] * f64::from(to.width), self.centre[1] * f64::from(to.height)];
        Matrix::translate(-0.5 * f64::from(from.width), -0.5 * f64::from(from.height))
            .then(&Matrix::perspective(self.tilt[0], self.tilt[1]))
            .then(&Matrix::rotate(self.degrees))
            .then(&Matrix::scale(self.scale, self.scale))
            .then(&Matrix::shear(slant_x, slant_y))
            .then(&Matrix::translate(x, y))
    }
}

/// What the filter of objects needs of an object as it was before the warp.
pub(super) struct Before {
    pub area: f32,
    pub has_outline: bool,
}

impl Before {
    fn of(object: &Object) -> Self {
        Self { area: object.bbox.area(), has_outline: !object.polygon.is_empty() }
    }

    /// Whether what is left is worth learning: sides above 2 px and at most 100 times each other, and more than a tenth
    /// of the scaled area, or a hundredth with an outline, whose box is tight.
    pub fn leaves(&self, after: &Bbox, scale: f64) -> bool {
        let (width, height) = (after.width(), after.height());
        let least_share = if self.has_outline { 0.01 } else { 0.1 };
        let scaled_area = f64::from(self.area) * scale * scale;
        let aspect = (width / height).max(height / width);
        width > 2.0 && height > 2.0 && aspect < 100.0 && f64::from(after.area()) > least_share * scaled_area
    }
}

trainer_sdk::component! {
    augmentation "perspective" "turns, scales, slants, tilts and moves samples": Perspective,
        alias "degrees" = "degrees", alias "translate" = "translate", alias "scale" = "scale",
        alias "shear" = "shear", alias "perspective" = "perspective"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{IMGSZ, apply, sample};

    const STILL: Perspective = Perspective {
        degrees: 0.0,
        translate: 0.0,
        scale: Scale::Jitter(0.0),
        shear: 0.0,
        perspective: 0.0,
        square: true,
    };

    #[test]
    fn without_a_mosaic_the_picture_is_letterboxed() {
        let still = apply(&STILL, sample(64, 48), &mut []);
        assert_eq!(still.size(), Size::square(IMGSZ));
        assert_eq!(*still.from_original(), Matrix::translate(0.0, 8.0));
        let mut letterboxed = sample(64, 48);
        letterbox(&mut trainer_sdk::sample_store::view(&mut letterboxed), IMGSZ).unwrap();
        assert_eq!(still.render(), letterboxed.render());
    }

    #[test]
    fn a_rectangle_stays_one() {
        let rect = Perspective { square: false, ..STILL };
        let still = apply(&rect, sample(64, 48), &mut []);
        assert_eq!((still.size(), *still.from_original()), (Size::new(64, 48), Matrix::IDENTITY));
        let moved = apply(&Perspective { translate: 0.4, ..rect.clone() }, sample(64, 48), &mut []);
        let [x, y] = moved.from_original().apply([32.0, 24.0]);
        assert!((x / 64.0 - 0.5).abs() <= 0.4 && (y / 48.0 - 0.5).abs() <= 0.4, "{x} {y}: shares of either side");
        let mut mosaic = sample(64, 48);
        mosaic.warp(&Matrix::IDENTITY, Size::square(2 * IMGSZ));
        assert_eq!(apply(&rect, mosaic, &mut []).size(), Size::square(IMGSZ));
    }

    #[test]
    fn of_a_double_canvas_the_middle_is_seen() {
        let mut double = sample(64, 48);
        double.warp(&Matrix::translate(32.0, 40.0), Size::square(2 * IMGSZ));
        let middle = apply(&STILL, double, &mut []);
        assert_eq!(*middle.from_original(), Matrix::translate(0.0, 8.0));
        assert_eq!(middle.size(), Size::square(IMGSZ));
    }

    #[test]
    fn draws_stay_in_their_ranges() {
        let bounds = Perspective {
            degrees: 30.0,
            translate: 0.2,
            scale: Scale::Jitter(0.5),
            shear: 20.0,
            perspective: 1e-3,
            square: true,
        };
        let draws: Vec<_> = (0..500).map(|seed| bounds.draw(&mut Rng::from_key(&[seed]))).collect();
        let range = |value: fn(&Draw) -> f64| {
            draws.iter().map(value).fold([f64::INFINITY, -f64::INFINITY], |[low, high], v| [low.min(v), high.max(v)])
        };
        let fills = |value: fn(&Draw) -> f64, low: f64, high: f64| {
            let ([least, most], slack) = (range(value), (high - low) / 50.0);
            assert!(low <= least && least < low + slack && most <= high && most > high - slack, "{least} {most}");
        };
        fills(|draw| draw.degrees, -30.0, 30.0);
        fills(|draw| draw.scale, 0.5, 1.5);
        fills(|draw| draw.slant[1], -20.0, 20.0);
        fills(|draw| draw.tilt[0], -1e-3, 1e-3);
        fills(|draw| draw.centre[1], 0.3, 0.7);
        let range = Perspective { scale: Scale::Range([0.2, 0.4]), ..STILL };
        assert!((0..50).all(|seed| (0.2..0.4).contains(&range.draw(&mut Rng::from_key(&[seed])).scale)));
        let [x, y] = Draw { centre: [0.5; 2], ..draws.into_iter().next().unwrap() }
            .matrix(Size::square(128), Size::square(64))
            .apply([64.0; 2]);
        assert!((x - 32.0).abs() < 1e-9 && (y - 32.0).abs() < 1e-9, "the centre stays: {x} {y}");
    }

    #[test]
    fn what_is_too_small_is_dropped() {
        let plain = Before { area: 1000.0, has_outline: false };
        let outlined = Before { area: 1000.0, has_outline: true };
        let rest = Bbox::new(0.0, 0.0, 10.0, 9.0); // 90 of 1000
        assert!(!plain.leaves(&rest, 1.0) && outlined.leaves(&rest, 1.0));
        assert!(plain.leaves(&rest, 0.9), "the area scales, too: 90 of 810");
        assert!(!outlined.leaves(&Bbox::new(0.0, 0.0, 300.0, 2.0), 1.0));
        assert!(!plain.leaves(&Bbox::new(0.0, 0.0, 300.0, 3.0), 1.0));
        assert!(!plain.leaves(&Bbox::default(), 1.0));
    }
}
