//! Between bytes of sRGB and linear light, by tables (IEC 61966-2-1).

use std::sync::LazyLock;

/// The light of each byte, 0..1.
pub fn to_linear() -> &'static [f32; 256] {
    static TABLE: LazyLock<[f32; 256]> = LazyLock::new(|| {
        std::array::from_fn(|byte| {
            let x = byte as f64 / 255.0;
            (if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }) as f32
        })
    });
    &TABLE
}

/// The byte of each light.
pub struct FromLinear([u8; STEPS]);

/// Fine enough for the darkest bytes, which are 1 / 3295 apart.
const STEPS: usize = 1 << 14;

/// The table of bytes.
pub fn from_linear() -> &'static FromLinear {
    static TABLE: LazyLock<FromLinear> = LazyLock::new(|| {
        FromLinear(std::array::from_fn(|step| {
            let x = step as f64 / (STEPS - 1) as f64;
            let y = if x <= 0.003_130_8 { x * 12.92 } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
            (y * 255.0).round() as u8
        }))
    });
    &TABLE
}

impl FromLinear {
    /// The byte nearest to this light, which is limited to 0..1.
    pub fn at(&self, light: f32) -> u8 {
        self.0[((light * (STEPS - 1) as f32 + 0.5) as usize).min(STEPS - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=255 {
            assert_eq!(from_linear().at(to_linear()[usize::from(byte)]), byte);
        }
        assert_eq!([-1.0, 2.0, f32::NAN].map(|light| from_linear().at(light)), [0, 255, 0]);
    }

    #[test]
    fn half_the_light_is_byte_188() {
        assert_eq!(from_linear().at(0.5), 188);
        assert!((to_linear()[188] - 0.5029).abs() < 1e-4);
    }
}
