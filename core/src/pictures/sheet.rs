//! A sheet: the pictures of a batch in a grid, with their objects, file names and numbers of objects.

use std::path::Path;

use anyhow::Result;
use trainer_image::{Image, Object, Size};

use super::canvas::{Canvas, GRAY, INK, WHITE};
use super::{objects, text};
use crate::data::loader::RawBatch;

/// Around the sheet, and between tiles, in pixels.
const MARGIN: u32 = 20;
const GAP: u32 = 12;

/// The line above all, and the one below each picture.
const HEADER: u32 = 36;
const CAPTION: u32 = 22;

const HEADER_TEXT: f32 = 20.0;
const CAPTION_TEXT: f32 = 15.0;

/// How a sheet is drawn.
#[derive(Clone, Debug)]
pub struct Sheet<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// The class names.
    pub names: &'a [String],
    /// The side of a tile in pixels.
    pub side: u32,
}

/// Where the tiles stand.
struct Grid {
    count: u32,
    columns: u32,
    side: u32,
}

impl Grid {
    /// As many columns as rows, or one more.
    fn new(count: usize, side: u32) -> Self {
        let columns = (count as f64).sqrt().ceil().max(1.0) as u32;
        Self { count: count as u32, columns, side }
    }

    fn size(&self) -> Size {
        let rows = self.count.div_ceil(self.columns);
        let width = 2 * MARGIN + self.columns * (self.side + GAP) - GAP;
        Size::new(width, MARGIN + HEADER + rows * (self.side + CAPTION + GAP) + MARGIN - GAP)
    }

    /// The upper left corner of a tile.
    fn tile(&self, index: u32) -> (u32, u32) {
        let (column, row) = (index % self.columns, index / self.columns);
        (MARGIN + column * (self.side + GAP), MARGIN + HEADER + row * (self.side + CAPTION + GAP))
    }
}

impl Sheet<'_> {
    /// Draws all pictures of a batch.
    ///
    /// # Errors
    /// A batch whose pixels do not fit its size, or more pictures than a canvas can have.
    pub fn draw(&self, batch: &RawBatch) -> Result<Canvas> {
        let grid = Grid::new(batch.samples.len(), self.side);
        let mut sheet = Canvas::new(grid.size(), WHITE)?;
        let width = sheet.size().width as f32 - 2.0 * MARGIN as f32;
        let title = text::fitted(self.title, HEADER_TEXT, width);
        sheet.text(&title, MARGIN as f32, MARGIN as f32, HEADER_TEXT, INK);

        let mut by_image: Vec<Vec<&Object>> = vec![Vec::new(); batch.samples.len()];
        for found in &batch.objects {
            if let Some(objects) = by_image.get_mut(found.image as usize) {
                objects.push(&found.object);
            }
        }
        let pictures = batch.pixels.chunks((batch.size.area() * Image::CHANNELS).max(1));
        let scale = self.side as f32 / batch.size.width.max(1) as f32;
        for (index, ((sample, found), rgb)) in (0..).zip(batch.samples.iter().zip(&by_image).zip(pictures)) {
            let mut tile = Canvas::of_picture(rgb, batch.size, Size::square(self.side))?;
            objects::draw(&mut tile, found, scale, self.names);
            let (x, y) = grid.tile(index);
            sheet.place(&tile, x, y);
            caption(&mut sheet, &sample.path, found.len(), [x, y + self.side + 3], self.side as f32);
        }
        Ok(sheet)
    }
}

/// The file's name at the left, the number of objects at the right.
fn caption(sheet: &mut Canvas, path: &Path, objects: usize, at: [u32; 2], width: f32) {
    let [x, y] = at.map(|value| value as f32);
    let count = match objects {
        0 => "no objects".to_owned(),
        1 => "1 object".to_owned(),
        _ => format!("{objects} objects"),
    };
    let count = text::fitted(&count, CAPTION_TEXT, width);
    let right = text::width(&count, CAPTION_TEXT);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = text::fitted(&name, CAPTION_TEXT, width - right - CAPTION_TEXT);
    sheet.text(&name, x, y, CAPTION_TEXT, INK);
    sheet.text(&count, x + width - right, y, CAPTION_TEXT, GRAY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader::{BatchObject, SampleInfo};
    use crate::pictures::{canvas::Color, colors};
    use trainer_image::{Bbox, Matrix};

    fn batch(count: usize, side: u32) -> RawBatch {
        let size = Size::square(side);
        let info = |id: usize| SampleInfo {
            id: id as u64,
            path: Path::new(&format!("photos/{}.png", "name".repeat(id * 20 + 1))).into(),
            original: size,
            to_input: Matrix::IDENTITY,
        };
        let pixels: Vec<u8> = (0..count).flat_map(|i| vec![i as u8 * 10 + 100; size.area() * 3]).collect();
        RawBatch {
            pixels: pixels.into(),
            size,
            objects: Vec::new(),
            samples: (0..count).map(info).collect(),
            skipped: Vec::new(),
        }
    }

    fn drawn(batch: &RawBatch, side: u32) -> Canvas {
        Sheet { title: "title", names: &["cat".into()], side }.draw(batch).unwrap()
    }

    fn gray(i: u8) -> Option<Color> {
        Some([i * 10 + 100; 3])
    }

    #[test]
    fn tiles_stand_in_a_grid() {
        let mut five = batch(5, 40);
        five.objects.push(BatchObject { image: 4, object: Object::new(0, Bbox::new(10.0, 10.0, 30.0, 30.0)) });
        five.objects.push(BatchObject { image: 5, object: Object::new(0, Bbox::new(0.0, 0.0, 1.0, 1.0)) }); // of none
        let sheet = drawn(&five, 80);
        assert_eq!(sheet.size(), Size::new(40 + 3 * 80 + 2 * 12, 20 + 36 + 2 * (80 + 22) + 12 + 20));
        for (i, (x, y)) in (0..).zip([(20, 56), (112, 56), (204, 56), (20, 170), (112, 170)]) {
            assert_eq!((sheet.pixel(x, y), sheet.pixel(x + 79, y + 79)), (gray(i), gray(i)), "tile {i}");
            assert_eq!((sheet.pixel(x - 1, y), sheet.pixel(x + 80, y)), (Some(WHITE), Some(WHITE)), "beside tile {i}");
        }
        assert_eq!(sheet.pixel(204, 170), Some(WHITE), "no sixth tile");
        assert_eq!(sheet.pixel(112 + 20, 170 + 45), Some(colors::of_class(0)), "the left edge at twice its place");
        assert_eq!(sheet.pixel(112 + 40, 170 + 45), gray(4));
        assert_eq!(sheet.pixel(20 + 20, 170 + 45), gray(3), "the other tiles have no box");
    }

    #[test]
    fn captions_stay_below_their_tile() {
        let sheet = drawn(&batch(4, 32), 160);
        let rows = 56 + 160 + 1..56 + 160 + 22;
        let is_bare = |x: u32| rows.clone().all(|y| sheet.pixel(x, y) == Some(WHITE));
        assert!((20..180).any(|x| !is_bare(x)) && (192..352).any(|x| !is_bare(x)));
        assert!((0..20).chain(180..192).chain(352..372).all(is_bare), "names of any length are cut");
    }

    #[test]
    fn empty_and_tiny_batches_are_drawn() {
        let empty = drawn(&batch(0, 32), 100);
        assert_eq!(empty.size(), Size::new(140, 64));
        let tiny = drawn(&batch(1, 1), 96);
        assert_eq!((tiny.size().width, tiny.pixel(50, 80)), (136, gray(0)));
        let mut torn = batch(2, 8);
        torn.pixels = torn.pixels[1..].to_vec().into();
        let refused = Sheet { title: "", names: &[], side: 64 }.draw(&torn).err().unwrap();
        assert!(refused.to_string().contains("has 191 bytes"), "{refused}");
    }
}
