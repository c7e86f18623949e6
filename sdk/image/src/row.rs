//! Rows of pixels: the inner loops of drawing, each compiled for what the processor offers (AVX-512, AVX2, plain), with
//! the same bytes as the outcome.
//!
//! A pixel on its way is one number: red in its lowest byte, then green, blue, and 0.

use multiversion::multiversion;

use crate::{HsvGains, Image};

const CHANNELS: usize = Image::CHANNELS;

/// The pixel's number.
pub(crate) fn pixel([r, g, b]: [u8; CHANNELS]) -> u32 {
    u32::from_le_bytes([r, g, b, 0])
}

/// Mixes two rows of channels by their weights, out of 64.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub(crate) fn blend(a: &[u8], b: &[u8], weights: [u8; 2], out: &mut [u8]) {
    let weights = weights.map(u16::from);
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = ((u16::from(a) * weights[0] + u16::from(b) * weights[1] + 32) >> 6) as u8;
    }
}

/// Changes colours.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub(crate) fn recolor(pixels: &mut [u32], gains: HsvGains) {
    pixels.iter_mut().for_each(|pixel| *pixel = gains.of(*pixel));
}

/// Mixes two rows of pixels; `share` is that of `a`, out of 65,536. Rounded down.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub(crate) fn mix_rows(a: &[u32], b: &[u32], share: u32, out: &mut [u32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        let channel = |shift: u32| ((a >> shift & 255) * share + (b >> shift & 255) * (65536 - share)) >> 16 << shift;
        *out = channel(0) | channel(8) | channel(16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32) -> Vec<u8> {
        (0..3 * 1000_u32).map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 23) as u8).collect()
    }

    fn pixels(seed: u32) -> Vec<u32> {
        noise(seed).as_chunks().0.iter().map(|rgb| pixel(*rgb)).collect()
    }

    #[test]
    fn every_processor_gives_the_same_colours() {
        for gains in [HsvGains { h: 1.0125, s: 1.6, v: 0.75 }, HsvGains { h: 0.99, s: 0.3, v: 1.4 }] {
            let mut row = pixels(1);
            let one_by_one: Vec<_> = row.iter().map(|pixel| gains.of(*pixel)).collect(); // for plain x86-64
            recolor(&mut row, gains);
            assert_eq!(row, one_by_one);
        }
    }

    #[test]
    fn rows_are_blended_and_rounded() {
        let (a, b) = (noise(1), noise(2));
        let mut out = vec![0; a.len()];
        blend(&a, &b, [48, 16], &mut out);
        let want = |i: usize| (f64::from(a[i]) * 0.75 + f64::from(b[i]) * 0.25 + 0.5).floor() as u8;
        assert!((0..a.len()).all(|i| out[i] == want(i)));
    }

    #[test]
    fn rows_are_mixed_and_rounded_down() {
        let (a, b) = (pixels(1), pixels(2));
        let mut out = vec![0; a.len()];
        mix_rows(&a, &b, 3 << 14, &mut out);
        let channels =
            |row: &[u32]| row.iter().flat_map(|pixel| pixel.to_le_bytes()).map(f64::from).collect::<Vec<_>>();
        let (a, b, out) = (channels(&a), channels(&b), channels(&out));
        assert!((0..a.len()).all(|i| out[i] == (a[i] * 0.75 + b[i] * 0.25).floor()));
    }
}
