//! Pixels in memory: rows of interleaved RGB bytes.

use anyhow::{Result, ensure};

/// A width and a height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels along x.
    pub width: u32,
    /// Pixels along y.
    pub height: u32,
}

impl Size {
    /// A width and a height.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Equal width and height.
    #[must_use]
    pub const fn square(side: u32) -> Self {
        Self::new(side, side)
    }

    /// Width times height.
    #[must_use]
    pub const fn area(self) -> usize {
        self.width as usize * self.height as usize
    }
}

/// A picture: height x width x 3 bytes, row by row, R G B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    size: Size,
    pixels: Vec<u8>,
}

impl Image {
    /// Bytes of a pixel. One value today; code that handles pixels asks for it, so that it may become a field.
    pub const CHANNELS: usize = 3;

    /// Wraps `pixels`, R G B row by row.
    ///
    /// # Errors
    /// If there are not width * height * 3 of them, or none at all.
    pub fn rgb(size: Size, pixels: Vec<u8>) -> Result<Self> {
        let Size { width, height } = size;
        let wanted = size.area().saturating_mul(Self::CHANNELS);
        ensure!(pixels.len() == wanted, "an RGB image of {width}x{height} has {wanted} bytes, got {}", pixels.len());
        ensure!(wanted > 0, "an image of {width}x{height} has no pixels");
        Ok(Self { size, pixels })
    }

    /// Width and height.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// All bytes, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All bytes, row by row, to be changed in place.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The bytes of row `y`, which lies below the height.
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        let stride = self.size.width as usize * Self::CHANNELS;
        &self.pixels[y * stride..(y + 1) * stride]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_exactly_its_bytes() {
        assert!(Image::rgb(Size::new(2, 1), vec![0; 6]).is_ok());
        let wrong = Image::rgb(Size::new(2, 1), vec![0; 5]).unwrap_err();
        assert_eq!(wrong.to_string(), "an RGB image of 2x1 has 6 bytes, got 5");
        assert!(Image::rgb(Size::new(0, 4), Vec::new()).is_err());
    }
}
