//! The one pass that draws a sample: from the source pictures straight into the output.

use std::ops::Range;
use std::sync::Arc;

use crate::bilinear::Sampler;
use crate::half_plane::{HalfPlane, span};
use crate::layer::{Blend, Content, Layer};
use crate::{Image, Matrix, Sample, Size};

const CHANNELS: usize = Image::CHANNELS;

impl Sample {
    /// Draws the canvas: height x width x 3 bytes, row by row, R G B.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn render_into(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.size.area() * CHANNELS, "the output holds the canvas exactly");
        let (pixels, _) = out.as_chunks_mut::<CHANNELS>();
        pixels.fill(self.fill);
        self.layers.iter().for_each(|layer| layer.draw(self.size, out));
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

impl Layer {
    fn draw(&self, canvas: Size, out: &mut [u8]) {
        match &self.content {
            Content::Picture { image, to_canvas } => self.draw_picture(image, to_canvas, canvas, out),
            Content::Plain(color) => {
                let mut color = *color;
                self.colors.iter().for_each(|gains| gains.apply(&mut color));
                for (y, span) in self.visible(self.clip.clone(), canvas) {
                    row(out, canvas, y, &span).as_chunks_mut().0.fill(color);
                }
            }
            Content::Blend(blend) => {
                let blended = blend.render(canvas);
                for (y, span) in self.visible(self.clip.clone(), canvas) {
                    let (x, end) = (y * canvas.width as usize + span.start, y * canvas.width as usize + span.end);
                    let row = row(out, canvas, y, &span);
                    row.copy_from_slice(&blended[x * CHANNELS..end * CHANNELS]);
                    self.colors.iter().for_each(|gains| gains.apply(row));
                }
            }
        }
    }

    fn draw_picture(&self, image: &Image, to_canvas: &Matrix, canvas: Size, out: &mut [u8]) {
        let Some(back) = to_canvas.inverse() else { return };
        let mut planes: Vec<_> = HalfPlane::sides(image.size()).iter().map(|side| side.warp(&back)).collect();
        if !back.is_affine() {
            planes.push(HalfPlane(back.0[2])); // in front of the horizon
        }
        planes.extend(&self.clip);
        let spans = self.visible(planes, canvas);
        let Some(first) = spans.iter().map(|(_, span)| span.start).min() else { return };
        let end = spans.iter().map(|(_, span)| span.end).max().unwrap_or(first);

        let mut sampler = Sampler::new(image, back, first..end);
        for (y, span) in spans {
            let row = row(out, canvas, y, &span);
            sampler.row(y, span, row);
            self.colors.iter().for_each(|gains| gains.apply(row));
        }
    }

    /// Runs of pixels within all half planes and masks, none empty, row by row.
    fn visible(&self, mut planes: Vec<HalfPlane>, canvas: Size) -> Vec<(usize, Range<usize>)> {
        planes.iter_mut().for_each(|plane| *plane = plane.normalized());
        let width = canvas.width as usize;
        let rows = (0..canvas.height as usize).map(|y| (y, span(&planes, y, width)));
        let mut runs: Vec<_> = rows.filter(|(_, span)| !span.is_empty()).collect();
        for mask in &self.masks {
            runs = runs.iter().flat_map(|(y, span)| mask.cut(*y, span).into_iter().map(|run| (*y, run))).collect();
        }
        runs
    }
}

/// The bytes of a run of pixels in row `y`.
fn row<'a>(out: &'a mut [u8], canvas: Size, y: usize, span: &Range<usize>) -> &'a mut [u8] {
    let start = y * canvas.width as usize;
    &mut out[(start + span.start) * CHANNELS..(start + span.end) * CHANNELS]
}

impl Blend {
    /// Both stacks drawn and mixed.
    fn render(&self, canvas: Size) -> Vec<u8> {
        let draw = |layers: &[Layer]| {
            let mut pixels = vec![0; canvas.area() * CHANNELS];
            layers.iter().for_each(|layer| layer.draw(canvas, &mut pixels));
            pixels
        };
        let (mut first, second) = (draw(&self.first), draw(&self.second));
        let share = (self.share.clamp(0.0, 1.0) * 65536.0) as u32;
        for (a, &b) in first.iter_mut().zip(&second) {
            *a = ((u32::from(*a) * share + u32::from(b) * (65536 - share)) >> 16) as u8;
        }
        first
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
