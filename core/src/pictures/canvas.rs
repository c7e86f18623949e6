//! A canvas of pixels: filled areas, lines, outlines, pictures and text are drawn on it, and it becomes JPEG or PNG.
//!
//! Coordinates are pixels from the upper left corner; what lies outside is not drawn.

use anyhow::{Context as _, Result, ensure};
use fast_image_resize::images::{Image as Pixels, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use tiny_skia::{FillRule, LineCap, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform};
use trainer_image::{Bbox, Image, Size};

use super::text;

/// Red, green, blue.
pub type Color = [u8; 3];

/// The background of sheets and plots.
pub const WHITE: Color = [255, 255, 255];

/// The colour of text.
pub const INK: Color = [31, 35, 40];

/// The colour of text that matters less.
pub const GRAY: Color = [101, 109, 118];

/// High enough for text of 11 pixels to stay clean.
const JPEG_QUALITY: u8 = 92;

/// An opaque picture that is being drawn.
pub struct Canvas {
    pixels: Pixmap,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    /// Its colour.
    pub color: Color,
    /// From 0, unseen, to 1.
    pub opacity: f32,
    /// In pixels.
    pub width: f32,
    /// The length of dashes and of half as long gaps in pixels; 0 for an unbroken line.
    pub dash: f32,
}

impl Pen {
    /// An opaque, unbroken line.
    #[must_use]
    pub const fn new(color: Color, width: f32) -> Self {
        Self { color, opacity: 1.0, width, dash: 0.0 }
    }
}

impl Canvas {
    /// A canvas of one colour.
    ///
    /// # Errors
    /// A side of 0, or a size beyond what can be addressed.
    pub fn new(size: Size, color: Color) -> Result<Self> {
        let Size { width, height } = size;
        let mut pixels =
            Pixmap::new(width, height).with_context(|| format!("cannot draw {width} x {height} pixels"))?;
        let [r, g, b] = color;
        pixels.fill(tiny_skia::Color::from_rgba8(r, g, b, 255));
        Ok(Self { pixels })
    }

    /// A canvas with a picture on it, scaled to `size`.
    ///
    /// # Errors
    /// As [`new`](Self::new), or a length of `rgb` (rows of R G B) that is not that of a picture of size `from`.
    pub fn of_picture(rgb: &[u8], from: Size, size: Size) -> Result<Self> {
        let mut canvas = Self::new(size, WHITE)?;
        let wanted = from.area() * Image::CHANNELS;
        ensure!(rgb.len() == wanted && wanted > 0, "a picture of {from:?} has {} bytes", rgb.len());
        let mut scaled = Pixels::new(size.width, size.height, PixelType::U8x3);
        let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        Resizer::new().resize(
            &ImageRef::new(from.width, from.height, rgb, PixelType::U8x3)?,
            &mut scaled,
            &bilinear,
        )?;
        let (targets, sources) = (canvas.pixels.data_mut().chunks_exact_mut(4), scaled.buffer().chunks_exact(3));
        targets.zip(sources).for_each(|(target, source)| target[..3].copy_from_slice(source));
        Ok(canvas)
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.pixels.width(), self.pixels.height())
    }

    /// The colour at a place; none outside.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> Option<Color> {
        let pixel = self.pixels.pixel(x, y).filter(|_| x < self.pixels.width())?;
        Some([pixel.red(), pixel.green(), pixel.blue()])
    }

    /// Draws another canvas with its upper left corner at `x`, `y`.
    pub fn place(&mut self, other: &Self, x: u32, y: u32) {
        let at = (x.min(i32::MAX as u32) as i32, y.min(i32::MAX as u32) as i32);
        let paint = tiny_skia::PixmapPaint::default();
        self.pixels.draw_pixmap(at.0, at.1, other.pixels.as_ref(), &paint, Transform::identity(), None);
    }

    /// Fills an upright area.
    pub fn fill(&mut self, area: &Bbox, color: Color, opacity: f32) {
        if let Some(rect) = Rect::from_ltrb(area.x1, area.y1, area.x2, area.y2) {
            self.pixels.fill_rect(rect, &paint(color, opacity), Transform::identity(), None);
        }
    }

    /// Fills the inside of an outline.
    pub fn fill_outline(&mut self, points: &[[f32; 2]], color: Color, opacity: f32) {
        if let Some(path) = path(points, true) {
            let paint = paint(color, opacity);
            self.pixels.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
        }
    }

    /// Draws a line through points.
    pub fn line(&mut self, points: &[[f32; 2]], pen: Pen) {
        self.stroke(path(points, false), pen);
    }

    /// Draws a closed line through points.
    pub fn outline(&mut self, points: &[[f32; 2]], pen: Pen) {
        self.stroke(path(points, true), pen);
    }

    /// Draws the outline of an upright area, all of it within the area.
    pub fn frame(&mut self, area: &Bbox, pen: Pen) {
        let half = (pen.width / 2.0).min(area.width() / 2.0).min(area.height() / 2.0);
        let (x1, y1, x2, y2) = (area.x1 + half, area.y1 + half, area.x2 - half, area.y2 - half);
        self.outline(&[[x1, y1], [x2, y1], [x2, y2], [x1, y2]], pen);
    }

    fn stroke(&mut self, path: Option<Path>, pen: Pen) {
        let Some(path) = path else { return };
        let dash = (pen.dash > 0.0).then(|| StrokeDash::new(vec![pen.dash, pen.dash / 2.0], 0.0)).flatten();
        let stroke = Stroke { width: pen.width, dash, line_cap: LineCap::Butt, ..Stroke::default() };
        self.pixels.stroke_path(&path, &paint(pen.color, pen.opacity), &stroke, Transform::identity(), None);
    }

    /// Writes a line of text with its upper left corner at `x`, `y`; `size` is its height in pixels.
    pub fn text(&mut self, line: &str, x: f32, y: f32, size: f32, color: Color) {
        let (width, height) = (self.pixels.width(), self.pixels.height());
        let data = self.pixels.data_mut();
        text::draw(line, x, y, size, |x, y, share| {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && x < width
                && y < height
            {
                let start = (y as usize * width as usize + x as usize) * 4;
                for (old, new) in data[start..start + 3].iter_mut().zip(color) {
                    *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * share).round() as u8;
                }
            }
        });
    }

    /// As JPEG.
    ///
    /// # Errors
    /// More than 65,535 pixels a side.
    pub fn jpeg(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let Size { width, height } = self.size();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .write_image(&self.rgb(), width, height, ExtendedColorType::Rgb8)
            .with_context(|| format!("{width} x {height} pixels cannot be written as JPEG"))?;
        Ok(bytes)
    }

    /// As PNG.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let Size { width, height } = self.size();
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb(), width, height, ExtendedColorType::Rgb8)
            .with_context(|| format!("{width} x {height} pixels cannot be written as PNG"))?;
        Ok(bytes)
    }

    fn rgb(&self) -> Vec<u8> {
        self.pixels.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }
}

fn paint(color: Color, opacity: f32) -> Paint<'static> {
    let [r, g, b] = color;
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8);
    paint
}

/// A path through finite points.
fn path(points: &[[f32; 2]], is_closed: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let mut points = points.iter().filter(|point| point.iter().all(|value| value.is_finite()));
    let &[x, y] = points.next()?;
    builder.move_to(x, y);
    points.for_each(|&[x, y]| builder.line_to(x, y));
    if is_closed {
        builder.close();
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLUE: Color = [0, 0, 255];

    fn canvas(side: u32) -> Canvas {
        Canvas::new(Size::square(side), WHITE).unwrap()
    }

    #[test]
    fn frames_lie_within_their_area() {
        let mut canvas = canvas(20);
        canvas.frame(&Bbox::new(4.0, 5.0, 16.0, 15.0), Pen::new(BLUE, 2.0));
        let blue = |x, y| canvas.pixel(x, y) == Some(BLUE);
        for (x, y) in [(4, 5), (5, 6), (15, 14), (14, 13), (10, 5), (4, 10), (15, 10), (10, 14)] {
            assert!(blue(x, y), "{x} {y}: {:?}", canvas.pixel(x, y));
        }
        let bare = [(3, 5), (4, 4), (6, 7), (13, 12), (16, 15), (10, 10)];
        bare.iter().for_each(|&(x, y)| assert_eq!(canvas.pixel(x, y), Some(WHITE), "{x} {y}"));
        assert_eq!(canvas.pixel(20, 0), None);
    }

    #[test]
    fn pictures_are_scaled_and_placed() {
        let two = [[255, 0, 0], [0, 255, 0]].concat();
        let picture = Canvas::of_picture(&two, Size::new(2, 1), Size::new(8, 4)).unwrap();
        assert_eq!((picture.pixel(0, 3), picture.pixel(7, 0)), (Some([255, 0, 0]), Some([0, 255, 0])));
        let mut canvas = canvas(10);
        canvas.place(&picture, 6, 8);
        assert_eq!((canvas.pixel(6, 8), canvas.pixel(6, 7)), (Some([255, 0, 0]), Some(WHITE)));
        let refused = Canvas::of_picture(&two, Size::new(3, 1), Size::square(8)).err().unwrap();
        assert!(refused.to_string().ends_with("has 6 bytes"), "{refused}");
        assert_eq!(Canvas::new(Size::new(0, 5), WHITE).err().unwrap().to_string(), "cannot draw 0 x 5 pixels");
    }

    #[test]
    fn what_is_no_number_or_far_away_is_not_drawn() {
        let mut canvas = canvas(8);
        let (far, pen) = (f32::MAX, Pen { dash: 3.0, ..Pen::new(BLUE, 2.0) });
        canvas.fill(&Bbox::new(f32::NAN, 0.0, 4.0, 4.0), BLUE, 1.0);
        canvas.outline(&[[f32::NAN, 1.0], [f32::INFINITY, 2.0]], pen);
        canvas.outline(&[[20.0, 20.0], [30.0, 20.0], [30.0, 30.0]], pen);
        canvas.line(&[[-far, -far], [far, -far]], Pen::new(BLUE, 2.0));
        canvas.text("far", far, -far, 12.0, BLUE);
        canvas.text("far", -1e9, 1e9, 12.0, BLUE);
        assert!(canvas.rgb().iter().all(|&value| value == 255));
    }

    #[test]
    fn both_formats_come_back() {
        let mut canvas = canvas(16);
        canvas.fill(&Bbox::new(0.0, 0.0, 8.0, 16.0), BLUE, 1.0);
        for bytes in [canvas.png().unwrap(), canvas.jpeg().unwrap()] {
            let image = image::load_from_memory(&bytes).unwrap().to_rgb8();
            let near = |x: u32, color: Color| image.get_pixel(x, 8).0.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 4);
            assert!(near(2, BLUE) && near(13, WHITE));
        }
    }
}
