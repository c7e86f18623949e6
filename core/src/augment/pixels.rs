//! What augmentations of pixels share: the canvas as one block of bytes, and neighbours beyond its edges.

use anyhow::{Result, ensure};
use trainer_sdk::{Sample, Size};

/// Lets `f` change the canvas: rows of R G B bytes without gaps.
///
/// # Errors
/// As [`Sample::pixels`].
pub(super) fn change(sample: &mut Sample, f: impl FnOnce(Size, &mut [u8])) -> Result<()> {
    let mut pixels = sample.pixels()?;
    ensure!(pixels.channels() == 3, "pixels have {} channels; this augmentation knows R G B only", pixels.channels());
    let size = pixels.size();
    let mut bytes: Vec<u8> = pixels.rows_mut()?.flat_map(|row| row.iter().copied()).collect();
    f(size, &mut bytes);
    let stride = size.width as usize * 3;
    pixels.rows_mut()?.zip(bytes.chunks(stride)).for_each(|(row, new)| row.copy_from_slice(new));
    Ok(())
}

/// A place that may lie outside 0..length, mirrored about the first or last pixel (which is not repeated).
pub(super) fn reflect(place: isize, length: usize) -> usize {
    let period = 2 * (length as isize - 1).max(1);
    let place = place.rem_euclid(period) as usize;
    if place < length { place } else { period as usize - place }.min(length - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_mirror() {
        let places: Vec<_> = (-4..7).map(|place| reflect(place, 4)).collect();
        assert_eq!(places, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
        assert_eq!([reflect(-3, 1), reflect(2, 1), reflect(-1, 2), reflect(2, 2)], [0, 0, 1, 0]);
    }
}
