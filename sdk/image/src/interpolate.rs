//! Interpolation between pixels: the loops that read three-byte pixels at uneven places, written for AVX2 by hand. The
//! plain loops beside them give the same bytes.

#![allow(unsafe_code)] // calls of functions that need AVX2, where there is AVX2

use std::ops::Range;

use crate::Image;

const CHANNELS: usize = Image::CHANNELS;

/// Weights count in 1/64.
pub(crate) const ONE: u8 = 64;

/// A place between two neighbours of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tap {
    /// The number of the left one.
    pub near: u32,
    /// The weights of the left and the right one, [`ONE`] in sum; there is no right one where that weight is 0.
    pub weights: [u8; 2],
}

impl Tap {
    /// The pixels about a continuous coordinate, out of `length`.
    #[inline(always)]
    pub fn new(position: f64, length: usize) -> Self {
        let one = f64::from(ONE);
        let fixed = ((position - 0.5) * one + 0.5).max(0.0).min((length - 1) as f64 * one) as u32;
        let far = fixed as u8 % ONE;
        Self { near: fixed / u32::from(ONE), weights: [ONE - far, far] }
    }

    /// The number of the right neighbour, or of the left one where there is none.
    #[inline(always)]
    pub fn far(&self) -> u32 {
        self.near + u32::from(self.weights[1] > 0)
    }
}

/// A place between two neighbours of one row and two of another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Where the left neighbours begin, in bytes.
    pub starts: [u32; 2],
    /// The weights of the left and the right ones.
    pub across: [u8; 2],
    /// The weights of the two rows.
    pub down: [u8; 2],
}

/// Places between neighbours of a row, one a column of the canvas; the same for all its rows.
#[derive(Debug)]
pub(crate) struct Taps {
    /// Where the left neighbours begin, in bytes.
    starts: Vec<u32>,
    /// The weights of both neighbours, a byte each, for each of four channels.
    weights: Vec<u64>,
}

impl FromIterator<Tap> for Taps {
    fn from_iter<I: IntoIterator<Item = Tap>>(taps: I) -> Self {
        let start_and_weights = |tap: Tap| (tap.near * CHANNELS as u32, repeated(tap.weights));
        let (starts, weights) = taps.into_iter().map(start_and_weights).unzip();
        Self { starts, weights }
    }
}

impl Taps {
    /// The bytes that samples of `columns`, not an empty range, read at most: of a row that may be mirrored.
    pub fn bytes(&self, columns: &Range<usize>) -> Range<usize> {
        let ends = [self.starts[columns.start], self.starts[columns.end - 1]].map(|start| start as usize);
        ends[0].min(ends[1])..ends[0].max(ends[1]) + 2 * CHANNELS
    }

    /// Samples a row of R G B bytes at `columns`; the row has two pixels more than the taps are on.
    pub fn sample(&self, row: &[u8], columns: Range<usize>, out: &mut [u32]) {
        let (starts, weights) = (&self.starts[columns.clone()], &self.weights[columns]);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { avx2::sample_row(row, starts, weights, out) };
        }
        plain::sample_row(row, starts, weights, out);
    }
}

/// Two weights in each 16 of 48 bits.
fn repeated(weights: [u8; 2]) -> u64 {
    u64::from(u16::from_le_bytes(weights)) * 0x0001_0001_0001
}

/// Samples a picture of R G B bytes.
pub(crate) fn sample_picture(pixels: &[u8], places: &[Place], out: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::sample_picture(pixels, places, out) };
    }
    plain::sample_picture(pixels, places, out);
}

/// Writes pixels as R G B bytes.
pub(crate) fn pack(pixels: &[u32], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::pack(pixels, out) };
    }
    plain::pack(pixels, out);
}

/// Two pixels, and two bytes that do not count.
#[inline(always)]
fn read(bytes: &[u8], start: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[start..start + 8]);
    u64::from_le_bytes(eight)
}

/// As [`read`]; beyond the end there are zeros.
#[inline(always)]
fn read_padded(bytes: &[u8], start: usize) -> u64 {
    if start + 8 <= bytes.len() { read(bytes, start) } else { read_end(&bytes[start..]) }
}

#[cold]
fn read_end(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |joined, byte| joined << 8 | u64::from(*byte))
}

mod plain {
    use super::{CHANNELS, Place, read, read_padded};

    pub fn sample_row(row: &[u8], starts: &[u32], weights: &[u64], out: &mut [u32]) {
        for ((start, weights), out) in starts.iter().zip(weights).zip(out) {
            let pixels = read(row, *start as usize);
            let [near, far, ..] = weights.to_le_bytes();
            *out = joined(|c| mixed([byte(pixels, c), byte(pixels, c + CHANNELS)], [near, far]));
        }
    }

    pub fn sample_picture(pixels: &[u8], places: &[Place], out: &mut [u32]) {
        for (place, out) in places.iter().zip(out) {
            let rows = place.starts.map(|start| read_padded(pixels, start as usize));
            let across = |c| rows.map(|row| mixed([byte(row, c), byte(row, c + CHANNELS)], place.across));
            *out = joined(|c| mixed(across(c), place.down));
        }
    }

    pub fn pack(pixels: &[u32], out: &mut [u8]) {
        for (pixel, out) in pixels.iter().zip(out.as_chunks_mut::<CHANNELS>().0) {
            out.copy_from_slice(&pixel.to_le_bytes()[..CHANNELS]);
        }
    }

    fn byte(eight: u64, i: usize) -> u32 {
        eight.to_le_bytes()[i].into()
    }

    fn mixed(channels: [u32; 2], weights: [u8; 2]) -> u32 {
        (channels[0] * u32::from(weights[0]) + channels[1] * u32::from(weights[1]) + 32) >> 6
    }

    fn joined(channel: impl Fn(usize) -> u32) -> u32 {
        channel(0) | channel(1) << 8 | channel(2) << 16
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{CHANNELS, Place, plain, read, read_padded, repeated};

    /// As [`plain::sample_row`], four pixels at a time.
    #[target_feature(enable = "avx2")]
    pub fn sample_row(row: &[u8], starts: &[u32], weights: &[u64], out: &mut [u32]) {
        let ((start_fours, starts), (weight_fours, weights)) = (starts.as_chunks::<4>(), weights.as_chunks::<4>());
        let (out_fours, out) = out.as_chunks_mut::<4>();
        for ((starts, weights), out) in start_fours.iter().zip(weight_fours).zip(out_fours) {
            *out = joined(mixed(starts.map(|start| read(row, start as usize)), *weights));
        }
        plain::sample_row(row, starts, weights, out);
    }

    /// As [`plain::sample_picture`], four pixels at a time.
    #[target_feature(enable = "avx2")]
    pub fn sample_picture(pixels: &[u8], places: &[Place], out: &mut [u32]) {
        let (fours, rest) = places.as_chunks::<4>();
        let (out_fours, out_rest) = out.as_chunks_mut::<4>();
        for (places, out) in fours.iter().zip(out_fours) {
            let across = places.map(|place| repeated(place.across));
            let row = |i: usize| mixed(places.map(|place| read_padded(pixels, place.starts[i] as usize)), across);
            let weights = |i: usize| four(places.map(|place| u64::from(place.down[i]) * 0x0001_0001_0001));
            let above = _mm256_mullo_epi16(row(0), weights(0));
            let below = _mm256_mullo_epi16(row(1), weights(1));
            *out = joined(rounded(_mm256_add_epi16(above, below)));
        }
        plain::sample_picture(pixels, rest, out_rest);
    }

    /// As [`plain::pack`], four pixels at a time.
    #[target_feature(enable = "avx2")]
    pub fn pack(pixels: &[u32], out: &mut [u8]) {
        let order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
        let (fours, rest) = pixels.as_chunks::<4>();
        let (out_fours, out_rest) = out.as_chunks_mut::<{ 4 * CHANNELS }>();
        for (&[a, b, c, d], out) in fours.iter().zip(out_fours) {
            let four = _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed());
            let bytes = _mm_shuffle_epi8(four, order);
            out[..8].copy_from_slice(&_mm_cvtsi128_si64(bytes).to_le_bytes());
            out[8..].copy_from_slice(&_mm_extract_epi32::<2>(bytes).to_le_bytes());
        }
        plain::pack(rest, out_rest);
    }

    /// Of four pairs of pixels the mixed channels: r g b 0 in 16 bits each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn mixed(pixels: [u64; 4], weights: [u64; 4]) -> __m256i {
        let pairs = _mm_setr_epi8(0, 3, 1, 4, 2, 5, -1, -1, 8, 11, 9, 12, 10, 13, -1, -1); // r r g g b b, nothing
        let pixels = _mm256_shuffle_epi8(four(pixels), _mm256_broadcastsi128_si256(pairs));
        rounded(_mm256_maddubs_epi16(pixels, four(weights)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rounded(sums: __m256i) -> __m256i {
        _mm256_srli_epi16::<6>(_mm256_add_epi16(sums, _mm256_set1_epi16(32)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn four([a, b, c, d]: [u64; 4]) -> __m256i {
        _mm256_set_epi64x(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
    }

    /// Channels of 16 bits as four pixels.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn joined(channels: __m256i) -> [u32; 4] {
        let bytes = _mm256_packus_epi16(channels, channels);
        let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
        let [low, high] = halves.map(|two| _mm_cvtsi128_si64(two).cast_unsigned());
        [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: u32) -> Vec<u8> {
        (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
    }

    #[test]
    fn both_loops_give_the_same_bytes() {
        let pixels = noise(3 * 1002);
        let taps: Taps = (0..1003).map(|i| Tap::new(f64::from(i) * 0.997, 1000)).collect();
        let (mut fast, mut slow) = (vec![0; 1003], vec![0; 1003]);
        taps.sample(&pixels, 0..1003, &mut fast);
        plain::sample_row(&pixels, &taps.starts, &taps.weights, &mut slow);
        assert_eq!(fast, slow);

        let (columns, row) = (40, 40 * 3);
        let place = |i: u32| {
            let (x, y) = (Tap::new(f64::from(i) * 0.31 % 40.0, columns), Tap::new(f64::from(i) * 0.17 % 25.0, 25));
            let starts = [y.near, y.far()].map(|y| y * row + x.near * 3);
            Place { starts, across: x.weights, down: y.weights }
        };
        let places: Vec<_> = (0..1003).map(place).collect();
        sample_picture(&pixels, &places, &mut fast);
        plain::sample_picture(&pixels, &places, &mut slow);
        assert_eq!(fast, slow);
        assert!(fast.iter().all(|pixel| pixel >> 24 == 0));
    }

    #[test]
    fn halves_are_mixed_and_rounded_up() {
        let pixels = [10, 20, 30, 21, 41, 255, 1, 1, 1, 0, 0, 0, 9, 9, 9];
        let mut out = [0; 2];
        let taps = Taps::from_iter([Tap::new(1.0, 4), Tap::new(2.5, 4)]);
        taps.sample(&pixels, 0..2, &mut out);
        assert_eq!(out.map(u32::to_le_bytes), [[16, 31, 143, 0], [1, 1, 1, 0]]);
        let place = Place { starts: [0, 6], across: [32, 32], down: [32, 32] };
        sample_picture(&pixels, &[place], &mut out);
        assert_eq!(out[0].to_le_bytes(), [9, 16, 72, 0]); // of 16 and 1, 31 and 1, 143 and 1
    }

    #[test]
    fn taps_stay_on_the_row() {
        let tap = |position| Tap::new(position, 10);
        assert_eq!(tap(3.75), Tap { near: 3, weights: [48, 16] });
        assert_eq!(tap(-5.0), Tap { near: 0, weights: [64, 0] });
        assert_eq!(tap(f64::NAN), Tap { near: 0, weights: [64, 0] });
        assert_eq!(tap(1e300), Tap { near: 9, weights: [64, 0] });
        assert_eq!((tap(9.49).far(), tap(8.6).far(), tap(8.5).far()), (9, 9, 8));
    }
}
