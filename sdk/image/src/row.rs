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
