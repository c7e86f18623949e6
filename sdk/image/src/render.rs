//! The one pass that draws a sample, row by row: from the source pictures straight into the output.

use std::ops::Range;
use std::sync::Arc;

use crate::bilinear::Sampler;
use crate::half_plane::{HalfPlane, span};
use crate::interpolate::pack;
use crate::layer::{Blend, Content, Layer};
use crate::row::{self, pixel};
use crate::{Image, Matrix, Sample, Size};

const CHANNELS: usize = Image::CHANNELS;

impl Sample {
    /// Draws the canvas: height x width x 3 bytes, row by row, R G B. Every byte is written.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn render_into(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.size.area() * CHANNELS, "the output holds the canvas exactly");
        let width = self.size.width as usize;
        let mut painters = painters(&self.layers, self.size);
        let mut pixels = vec![0; width];
        for (y, out) in out.chunks_exact_mut((width * CHANNELS).max(1)).enumerate() {
            pixels.fill(pixel(self.fill));
            painters.iter_mut().for_each(|painter| painter.paint(y, &mut pixels));
            pack(&pixels, out);
        }
    }

    /// Draws the canvas into fresh memory.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut pixels = vec![0; self.size.area() * CHANNELS];
        self.render_into(&mut pixels);
        pixels
    }

    /// The canvas' pixels, to be changed in place. This draws what was lazy so far (and costs a pass of its own).
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        let Ok(image) = Image::rgb(self.size, self.render()) else { return &mut [] }; // a canvas without pixels
        self.layers = vec![Layer::new(Content::Picture { image: Arc::new(image), to_canvas: Matrix::IDENTITY })];
        match self.layers.as_mut_slice() {
            [Layer { content: Content::Picture { image, .. }, .. }] => Arc::make_mut(image).pixels_mut(),
            _ => &mut [],
        }
    }
}

/// Draws the rows of one layer.
struct Painter<'a> {
    layer: &'a Layer,
    /// What bounds it, normalized.
    planes: Vec<HalfPlane>,
    brush: Brush<'a>,
}

/// Gives the pixels of a run.
enum Brush<'a> {
    Picture(Sampler<'a>),
    Plain(u32),
    Blend(BlendBrush<'a>),
}

/// Both stacks and a row of each; one row of the canvas is asked for after the other.
struct BlendBrush<'a> {
    stacks: [(Vec<Painter<'a>>, Vec<u32>); 2],
    share: u32,
    drawn: Option<usize>,
}

/// The painters of layers that can be seen.
fn painters(layers: &[Layer], canvas: Size) -> Vec<Painter<'_>> {
    layers.iter().filter_map(|layer| Painter::new(layer, canvas)).collect()
}

impl<'a> Painter<'a> {
    /// `None` for a picture that no map leads back to.
    fn new(layer: &'a Layer, canvas: Size) -> Option<Self> {
        let mut planes = layer.clip.clone();
        let brush = match &layer.content {
            Content::Picture { image, to_canvas } => {
                let back = to_canvas.inverse()?;
                planes.extend(HalfPlane::sides(image.size()).iter().map(|side| side.warp(&back)));
                if !back.is_affine() {
                    planes.push(HalfPlane(back.0[2])); // in front of the horizon
                }
                Brush::Picture(Sampler::new(image, back, canvas.width as usize))
            }
            Content::Plain(color) => Brush::Plain(pixel(*color)),
            Content::Blend(blend) => Brush::Blend(BlendBrush::new(blend, canvas)),
        };
        planes.iter_mut().for_each(|plane| *plane = plane.normalized());
        Some(Self { layer, planes, brush })
    }

    /// Draws what of the layer lies on row `y` of the canvas.
    fn paint(&mut self, y: usize, row: &mut [u32]) {
        let span = span(&self.planes, y, row.len());
        if span.is_empty() {
            return;
        }
        if self.layer.masks.is_empty() {
            return self.paint_run(y, span, row);
        }
        let mut runs = vec![span];
        for mask in &self.layer.masks {
            runs = runs.iter().flat_map(|run| mask.cut(y, run)).collect();
        }
        runs.into_iter().for_each(|run| self.paint_run(y, run, row));
    }

    fn paint_run(&mut self, y: usize, run: Range<usize>, row: &mut [u32]) {
        if run.is_empty() {
            return;
        }
        let out = &mut row[run.clone()];
        match &mut self.brush {
            Brush::Picture(sampler) => sampler.row(y, run, out),
            Brush::Plain(color) => out.fill(*color),
            Brush::Blend(blend) => blend.run(y, run, out),
        }
        for &gains in self.layer.colors.iter().filter(|gains| !gains.are_neutral()) {
            row::recolor(out, gains);
        }
    }
}

impl<'a> BlendBrush<'a> {
    fn new(blend: &'a Blend, canvas: Size) -> Self {
        let stack = |layers: &'a [Layer]| (painters(layers, canvas), vec![0; canvas.width as usize]);
        let share = (blend.share.clamp(0.0, 1.0) * 65536.0) as u32;
        Self { stacks: [stack(&blend.first), stack(&blend.second)], share, drawn: None }
    }

    fn run(&mut self, y: usize, run: Range<usize>, out: &mut [u32]) {
        if self.drawn != Some(y) {
            for (painters, row) in &mut self.stacks {
                row.fill(0);
                painters.iter_mut().for_each(|painter| painter.paint(y, row));
            }
            self.drawn = Some(y);
        }
        let [(_, first), (_, second)] = &self.stacks;
        row::mix_rows(&first[run.clone()], &second[run], self.share, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bbox, HsvGains, Object};

    const FILL: [u8; 3] = [114; 3];

    /// A picture of noise, different for each seed.
    fn noise(width: u32, height: u32, seed: u32) -> Sample {
        let size = Size::new(width, height);
        let hash = |i: u32| (i.wrapping_add(seed * 7919).wrapping_mul(2_654_435_761) >> 13) as u8;
        let image = Image::rgb(size, (0..size.area() as u32 * 3).map(hash).collect()).unwrap();
        Sample::new(Arc::new(image), size)
    }

    /// A row of grey pixels.
    fn greys(values: &[u8]) -> Sample {
        let size = Size::new(values.len() as u32, 1);
        let image = Image::rgb(size, values.iter().flat_map(|&value| [value; 3]).collect()).unwrap();
        Sample::new(Arc::new(image), size)
    }

    /// The sample's one source picture.
    fn source(sample: &Sample) -> &Arc<Image> {
        let [Layer { content: Content::Picture { image, .. }, .. }] = &sample.layers[..] else {
            panic!("not one picture")
        };
        image
    }

    /// The first channel of the canvas.
    fn reds(sample: &Sample) -> Vec<u8> {
        sample.render().iter().step_by(3).copied().collect()
    }

    #[test]
    fn an_untouched_picture_is_drawn_as_it_is() {
        let sample = noise(37, 23, 0);
        assert_eq!(sample.render(), source(&sample).pixels());
    }

    #[test]
    fn whole_pixels_move_exactly() {
        let mut sample = greys(&[10, 20, 30, 40]);
        sample.warp(&Matrix::translate(2.0, 1.0), Size::new(5, 2));
        assert_eq!(reds(&sample), [114, 114, 114, 114, 114, 114, 114, 10, 20, 30]);
        sample.flip_horizontal();
        sample.flip_vertical();
        assert_eq!(reds(&sample), [30, 20, 10, 114, 114, 114, 114, 114, 114, 114]);
    }

    #[test]
    fn twice_the_size_blends_quarters() {
        let mut sample = greys(&[0, 100, 200]);
        sample.resize(Size::new(6, 2));
        let row = [0, 25, 75, 125, 175, 200];
        assert_eq!(reds(&sample), [row, row].concat());
    }

    #[test]
    fn a_reduced_source_covers_the_original_canvas() {
        let image = source(&greys(&[0, 100, 200])).clone();
        let mut sample = Sample::new(image, Size::new(6, 2));
        assert_eq!(reds(&sample)[..6], [0, 25, 75, 125, 175, 200]);
        sample.fit(3);
        assert_eq!(reds(&sample), [0, 100, 200]);
    }

    #[test]
    fn warps_compose_to_one() {
        let canvas = Size::new(90, 80); // holds the picture at every step, so that nothing is cut off between
        let steps = [
            Matrix::translate(30.0, 25.0),
            Matrix::rotate(20.0).then(&Matrix::translate(-10.0, 20.0)),
            Matrix::shear(0.1, -0.05),
            Matrix::scale(0.8, 0.9),
        ];
        let (mut stepwise, mut at_once) = (noise(31, 17, 1), noise(31, 17, 1));
        let mut matrix = Matrix::IDENTITY;
        for step in &steps {
            stepwise.warp(step, canvas);
            stepwise.flip_horizontal();
            matrix = matrix.then(step).then(&Matrix::scale(-1.0, 1.0)).then(&Matrix::translate(90.0, 0.0));
        }
        at_once.warp(&matrix, canvas);
        assert_eq!(stepwise.render(), at_once.render());
        assert!(reds(&stepwise).iter().filter(|&&red| red != 114).count() > 200, "the picture is on the canvas");
    }

    #[test]
    fn what_left_a_canvas_does_not_come_back() {
        let mut sample = greys(&[10, 20, 30, 40]);
        sample.warp(&Matrix::translate(-1.0, 0.0), Size::new(2, 1)); // 20 30
        sample.warp(&Matrix::rotate(90.0).then(&Matrix::translate(0.0, 2.0)), Size::square(2));
        sample.warp(&Matrix::translate(0.0, -2.0).then(&Matrix::rotate(-90.0)), Size::square(6));
        sample.warp(&Matrix::translate(4.0, 0.0), Size::new(6, 1));
        assert_eq!(reds(&sample).iter().filter(|&&red| red != 114).collect::<Vec<_>>(), [&20, &30]);
    }

    #[test]
    fn a_pasted_picture_lies_on_top_and_keeps_its_colours() {
        let mut base = greys(&[100, 100, 100, 100]);
        base.recolor(HsvGains { v: 1.2, ..HsvGains::NEUTRAL });
        let mut other = greys(&[50, 50]);
        other.warp(&Matrix::translate(3.0, 0.0), Size::new(9, 1));
        base.paste(other);
        assert_eq!(reds(&base), [120, 120, 120, 50]);
        base.recolor(HsvGains { v: 0.5, ..HsvGains::NEUTRAL });
        assert_eq!(reds(&base), [60, 60, 60, 25]);
        base.warp(&Matrix::translate(1.0, 0.0), Size::new(5, 1));
        assert_eq!(reds(&base), [68, 60, 60, 60, 25]); // 114 * 1.2 = 136, * 0.5 = 68
    }

    #[test]
    fn blended_canvases_move_as_one() {
        let mut base = greys(&[100, 100, 100]);
        let mut other = greys(&[50, 51]);
        other.objects.push(Object::new(7, Bbox::new(0.0, 0.0, 2.0, 1.0)));
        base.blend(other, 0.75);
        assert_eq!((reds(&base), base.objects.len()), (vec![87, 87, 103], 1)); // 114 where the other is bare
        base.recolor(HsvGains { v: 0.5, ..HsvGains::NEUTRAL });
        base.warp(&Matrix::translate(2.0, 0.0), Size::new(6, 1));
        base.flip_horizontal();
        assert_eq!(reds(&base), [57, 51, 43, 43, 57, 57]);
        let flat = base.render();
        assert_eq!(base.pixels_mut(), flat);
    }

    #[test]
    fn what_lies_in_an_outline_is_copied() {
        let mut sample = greys(&[10, 20, 30, 40, 50, 60]);
        let mirror = Matrix::scale(-1.0, 1.0).then(&Matrix::translate(6.0, 0.0));
        let outline = |from: f32, to: f32| vec![[from, 0.0], [to, 0.0], [to, 1.0], [from, 1.0]];
        let copy = sample.clone();
        sample.paste_inside(&copy, &mirror, &[outline(0.0, 2.0), outline(4.0, 5.0)]);
        assert_eq!(reds(&sample), [60, 50, 30, 40, 20, 60]);
        let copy = sample.clone(); // now of masked layers
        sample.paste_inside(&copy, &Matrix::translate(1.0, 0.0), &[outline(2.0, 9.0)]);
        assert_eq!(reds(&sample), [60, 50, 50, 30, 40, 20]);
        sample.warp(&Matrix::scale(2.0, 1.0), Size::new(12, 1));
        assert_eq!(reds(&sample)[..2], [60, 58]);
        let mut bare = Sample::default();
        bare.warp(&Matrix::IDENTITY, Size::new(6, 1));
        sample.paste_inside(&bare, &Matrix::IDENTITY, &[outline(0.0, 1.0)]);
        assert_eq!(reds(&sample)[..2], [114, 58], "the bare canvas covers, too");
    }

    #[test]
    fn pixels_can_be_painted() {
        let mut sample = greys(&[10, 20]);
        sample.warp(&Matrix::translate(1.0, 0.0), Size::new(3, 1));
        sample.pixels_mut()[..3].copy_from_slice(&[1, 2, 3]);
        sample.flip_horizontal();
        assert_eq!(sample.render(), [20, 20, 20, 10, 10, 10, 1, 2, 3]);
        assert!(Sample::default().pixels_mut().is_empty());
    }

    #[test]
    fn a_tilt_shows_nothing_behind_the_horizon() {
        let mut sample = noise(40, 40, 2);
        let tilt = Matrix::translate(-20.0, -20.0).then(&Matrix::perspective(-0.1, 0.0));
        sample.warp(&tilt.then(&Matrix::translate(40.0, 20.0)), Size::square(40)); // horizon at source x = 30
        let pixels = sample.render();
        let left = pixels.chunks(3 * 40).all(|row| row[..3 * 20].chunks(3).any(|pixel| pixel == FILL));
        assert!(left && pixels.chunks(3).any(|pixel| pixel != FILL));
    }

    #[test]
    fn wild_matrices_draw_something_or_nothing() {
        for factor in [1e-300, 1e-9, 1e9, 1e300, f64::INFINITY, f64::NAN] {
            for matrix in [Matrix::scale(factor, -1.0), Matrix::shear(factor, 0.1), Matrix::perspective(factor, 0.1)] {
                let mut sample = noise(5, 5, 3);
                sample.warp(&matrix, Size::new(7, 3));
                assert_eq!(sample.render().len(), 63);
            }
        }
    }
}
