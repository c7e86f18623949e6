//! Camera noise: photon noise that grows with the light and read noise that does not, added in linear light. After Foi
//! et al. 2008, "Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data".

mod normal;
mod srgb;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Result, Sample, export_plugin};

/// The variance of a value of linear light, 0..1, is gain * value + read².
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SensorNoise {
    /// Chance that a sample gets noise.
    #[schemars(range(min = 0.0, max = 1.0))]
    p: f64,
    /// Largest gain of the photon noise; each sample draws one from 0 to this.
    #[schemars(range(min = 0.0, max = 0.1))]
    gain: f64,
    /// Largest deviation of the read noise; each sample draws one from 0 to this.
    #[schemars(range(min = 0.0, max = 0.1))]
    read: f64,
}

impl Default for SensorNoise {
    fn default() -> Self {
        Self { p: 0.3, gain: 0.01, read: 0.01 }
    }
}

impl Augmentation for SensorNoise {
    fn apply(&self, sample: &mut Sample, _partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if !cx.rng.chance(self.p) {
            return Ok(());
        }
        let (gain, read) = (cx.rng.uniform(0.0, self.gain), cx.rng.uniform(0.0, self.read));
        let light = srgb::to_linear();
        let deviation = light.map(|value| (gain * f64::from(value) + read * read).sqrt() as f32);
        let normal = normal::quantiles();
        let encode = srgb::from_linear();
        for row in sample.pixels()?.rows_mut()? {
            for values in row.chunks_mut(normal::DRAWS) {
                let mut bits = cx.rng.next_u64();
                for value in values {
                    let at = usize::from(*value);
                    *value = encode.at(light[at] + deviation[at] * normal::draw(normal, &mut bits));
                }
            }
        }
        Ok(())
    }
}

export_plugin! {
    augmentation "sensor_noise" "photon and read noise of a camera, added in linear light": SensorNoise
}

#[cfg(test)]
mod tests {
    use trainer_sdk::{
        Augmentation, Image, Size,
        testing::{self, AugmentBench},
    };

    use crate::srgb;

    fn make(options: &str) -> Box<dyn Augmentation> {
        testing::component("augmentation", "sensor_noise").make_augmentation(options).unwrap()
    }

    /// Bytes of an even grey after noise.
    fn noisy(options: &str, value: u8, seed: u64) -> Vec<u8> {
        let size = Size::new(65, 64);
        let sample = testing::sample(Image::rgb(size, vec![value; size.area() * 3]).unwrap());
        AugmentBench { seed, ..AugmentBench::default() }.apply(make(options).as_ref(), &sample).unwrap().render()
    }

    /// Mean and variance of linear light over many samples of an even grey of light 0.5.
    fn spread(options: &str) -> [f64; 2] {
        let bytes = (0..200).flat_map(|seed| noisy(options, 188, seed));
        let light: Vec<_> = bytes.map(|byte| f64::from(srgb::to_linear()[usize::from(byte)])).collect();
        let mean = light.iter().sum::<f64>() / light.len() as f64;
        [mean, light.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / light.len() as f64]
    }

    #[test]
    fn the_variance_is_that_of_the_model() {
        let light = f64::from(srgb::to_linear()[188]);
        let [mean, variance] = spread(r#"{"p": 1, "gain": 0.01, "read": 0}"#); // on average gain / 2
        testing::assert_close(&[mean, variance / (0.005 * light)], &[light, 1.0], 0.1);
        assert!((mean - light).abs() < 1e-3);
        let [mean, variance] = spread(r#"{"p": 1, "gain": 0, "read": 0.05}"#); // on average read² / 3
        testing::assert_close(&[mean, variance / (0.05f64.powi(2) / 3.0)], &[light, 1.0], 0.1);
    }

    #[test]
    fn photons_leave_black_alone_and_read_noise_does_not() {
        let brightest = |options, seed| noisy(options, 0, seed).into_iter().max().unwrap();
        assert!((0..10).all(|seed| brightest(r#"{"p": 1, "gain": 0.1, "read": 0}"#, seed) == 0));
        assert!((0..10).filter(|seed| brightest(r#"{"p": 1, "gain": 0, "read": 0.1}"#, *seed) > 40).count() > 6);
    }

    #[test]
    fn no_strength_and_no_chance_change_nothing_and_seeds_do() {
        assert!(
            (0..=255).all(|value| noisy(r#"{"p": 1, "gain": 0, "read": 0}"#, value, 1).iter().all(|x| *x == value))
        );
        assert!(noisy(r#"{"p": 0}"#, 90, 1).iter().all(|byte| *byte == 90));
        let options = r#"{"p": 1}"#;
        assert_eq!(noisy(options, 90, 1), noisy(options, 90, 1));
        assert_ne!(noisy(options, 90, 1), noisy(options, 90, 2));
    }

    #[test]
    fn options_are_checked() {
        let component = testing::component("augmentation", "sensor_noise");
        let options = component.options_default();
        assert_eq!((&options["p"], &options["gain"], &options["read"]), (&0.3.into(), &0.01.into(), &0.01.into()));
        assert!(component.make_augmentation(r#"{"gain": 0.2}"#).is_err());
        assert!(component.make_augmentation(r#"{"iso": 800}"#).is_err());
    }
}
