//! GridMask: hides squares of a turned, shifted grid under grey; labels stay as they are. After Chen et al. 2020,
//! "GridMask Data Augmentation" (arXiv 2001.04086).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, ReadyContext, Result, Sample, ensure, export_plugin};

/// The grey of bare canvas in the trainer.
const GREY: u8 = 114;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct GridMask {
    /// Chance that a sample is masked, once the ramp is over.
    #[schemars(range(min = 0.0, max = 1.0))]
    p: f64,
    /// Epochs over which the chance rises from 0 in a straight line; 0 starts with the full one.
    #[schemars(range(min = 0.0))]
    ramp: f64,
    /// The strip that stays visible between squares, as a share of the grid's unit; 1 - (1 - ratio)² of all pixels stay.
    #[schemars(range(min = 0.0, max = 1.0))]
    ratio: f64,
    /// Smallest unit of the grid, as a share of the canvas' shorter side.
    #[schemars(range(min = 0.005, max = 2.0))]
    d_min: f64,
    /// Largest unit of the grid.
    #[schemars(range(min = 0.005, max = 2.0))]
    d_max: f64,
    /// Largest turn of the grid in degrees; at 90 all directions are alike.
    #[schemars(range(min = 0.0, max = 90.0))]
    rotate: f64,
}

impl Default for GridMask {
    fn default() -> Self {
        Self { p: 0.7, ramp: 20.0, ratio: 0.5, d_min: 0.15, d_max: 0.35, rotate: 90.0 }
    }
}

impl Augmentation for GridMask {
    // ANCHOR: ready
    fn ready(&mut self, _run: &ReadyContext) -> Result<()> {
        let (min, max) = (self.d_min, self.d_max);
        ensure!(min <= max, "gridmask.d_min={min} is more than gridmask.d_max={max}");
        Ok(())
    }
    // ANCHOR_END: ready

    fn apply(&self, sample: &mut Sample, _partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        let risen = if self.ramp > 0.0 { (cx.epoch as f64 / self.ramp).min(1.0) } else { 1.0 };
        if !cx.rng.chance(self.p * risen) || self.ratio >= 1.0 {
            return Ok(());
        }
        let mut pixels = sample.pixels()?;
        let (size, channels) = (pixels.size(), pixels.channels());
        let unit = cx.rng.uniform(self.d_min, self.d_max) * f64::from(size.width.min(size.height));
        let (sin, cos) = cx.rng.uniform(0.0, self.rotate).to_radians().sin_cos();
        let shift = [cx.rng.uniform(0.0, 1.0), cx.rng.uniform(0.0, 1.0)];
        let hidden = phase(1.0 - self.ratio);
        // Where a pixel lies in its unit, along both axes of the grid: u32 wraps around where the unit does.
        let (along, across) = (phase(cos / unit), phase(sin / unit));
        for (y, row) in pixels.rows_mut()?.enumerate() {
            let mut u = phase(shift[0] - y as f64 * sin / unit);
            let mut v = phase(shift[1] + y as f64 * cos / unit);
            for pixel in row.chunks_mut(channels) {
                if u < hidden && v < hidden {
                    pixel.fill(GREY);
                }
                (u, v) = (u.wrapping_add(along), v.wrapping_add(across));
            }
        }
        Ok(())
    }
}

/// A number of units without its whole ones, as a share of 2^32; 1 itself is the largest phase there is.
fn phase(units: f64) -> u32 {
    if units == 1.0 { u32::MAX } else { (units.rem_euclid(1.0) * 2f64.powi(32)) as u32 }
}

export_plugin! {
    augmentation "gridmask" "hides squares of a turned, shifted grid under grey": GridMask
}

#[cfg(test)]
mod tests {
    use trainer_sdk::{
        Size,
        testing::{self, AugmentBench},
    };

    fn masked(options: &str, bench: &AugmentBench) -> Vec<u8> {
        let augmentation = testing::component("augmentation", "gridmask").make_augmentation(options).unwrap();
        let sample = testing::picture(Size::new(160, 120));
        let out = bench.apply(augmentation.as_ref(), &sample).unwrap();
        assert_eq!(out.objects, sample.objects, "labels stay as they are");
        out.render()
    }

    /// The share of grey pixels; the picture itself has none, since its blue is 64 or 192.
    fn grey(pixels: &[u8]) -> f64 {
        let pixels: Vec<_> = pixels.chunks(3).collect();
        pixels.iter().filter(|pixel| **pixel == [114; 3]).count() as f64 / pixels.len() as f64
    }

    #[test]
    fn hides_the_share_of_pixels_that_the_paper_gives() {
        for ratio in [0.3, 0.5, 0.8] {
            let options = format!(r#"{{"p": 1, "ramp": 0, "ratio": {ratio}, "d_min": 0.1, "d_max": 0.1}}"#);
            let shares = (0..20).map(|seed| grey(&masked(&options, &AugmentBench { seed, ..AugmentBench::default() })));
            let mean = shares.sum::<f64>() / 20.0;
            testing::assert_close(&[mean], &[(1.0 - ratio) * (1.0 - ratio)], 0.02);
        }
    }

    #[test]
    fn an_unturned_grid_hides_squares_at_equal_distances() {
        let options = r#"{"p": 1, "ramp": 0, "ratio": 0.75, "d_min": 0.2, "d_max": 0.2, "rotate": 0}"#; // unit 24, hidden 6
        let pixels = masked(options, &AugmentBench::default());
        let is_grey = |x: usize, y: usize| pixels[(y * 160 + x) * 3..][..3] == [114; 3];
        let hit = (0..24).find(|y| (0..24).any(|x| is_grey(x, *y))).unwrap();
        let columns: Vec<_> = (0..160).filter(|x| is_grey(*x, hit)).collect();
        let starts: Vec<_> = columns.iter().filter(|x| **x > 0 && !is_grey(*x - 1, hit)).collect();
        assert!(starts.len() >= 6 && starts.windows(2).all(|pair| pair[1] - pair[0] == 24), "{starts:?}");
        assert!(
            (0..starts.len() - 1).all(|i| (0..6).all(|k| is_grey(starts[i] + k, hit)) && !is_grey(starts[i] + 6, hit))
        );
    }

    #[test]
    fn the_chance_rises_over_the_ramp() {
        let hits = |epoch| {
            let masks = |seed| {
                grey(&masked(r#"{"p": 1, "ramp": 10}"#, &AugmentBench { seed, epoch, ..AugmentBench::default() }))
            };
            (0..200).filter(|seed| masks(*seed) > 0.0).count()
        };
        assert_eq!((hits(0), hits(10), hits(50)), (0, 200, 200));
        assert!((70..130).contains(&hits(5)), "{}", hits(5));
    }

    #[test]
    fn ratio_1_changes_nothing_and_ratio_0_hides_everything() {
        let plain = testing::picture(Size::new(160, 120)).render();
        assert_eq!(masked(r#"{"p": 1, "ramp": 0, "ratio": 1}"#, &AugmentBench::default()), plain);
        assert!(grey(&masked(r#"{"p": 1, "ramp": 0, "ratio": 0}"#, &AugmentBench::default())) > 0.9999);
    }

    #[test]
    fn options_are_checked() {
        let component = testing::component("augmentation", "gridmask");
        let options = component.options_default();
        assert_eq!((&options["ratio"], &options["p"]), (&0.5.into(), &0.7.into()));
        assert!(component.make_augmentation(r#"{"ratio": 1.1}"#).is_err());
        assert!(component.make_augmentation(r#"{"d_min": 0}"#).is_err());
        let mut mixed = component.make_augmentation(r#"{"d_min": 0.5}"#).unwrap();
        let refused = mixed.ready(&AugmentBench::default().run()).unwrap_err().to_string();
        assert_eq!(refused, "gridmask.d_min=0.5 is more than gridmask.d_max=0.35");
    }
}
