//! Layers: what lies on a canvas, where it shows, and how its colours changed.

use std::sync::Arc;

use crate::half_plane::HalfPlane;
use crate::mask::Mask;
use crate::{HsvGains, Image, Matrix, Size};

/// Something on the canvas; outside itself, its clip and its masks it is transparent.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub content: Content,
    pub clip: Vec<HalfPlane>,
    pub masks: Vec<Mask>,
    pub colors: Vec<HsvGains>,
}

/// What a layer shows.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A source picture.
    Picture { image: Arc<Image>, to_canvas: Matrix },
    /// One colour everywhere.
    Plain([u8; Image::CHANNELS]),
    /// Two stacks of layers that shine through each other.
    Blend(Box<Blend>),
}

/// Two stacks, each opaque within the clip of their layer.
#[derive(Clone, Debug)]
pub(crate) struct Blend {
    pub first: Vec<Layer>,
    pub second: Vec<Layer>,
    /// The weight of the first, 0 to 1; the second has the rest.
    pub share: f32,
}

impl Layer {
    /// The content wherever it reaches.
    pub fn new(content: Content) -> Self {
        Self { content, clip: Vec::new(), masks: Vec::new(), colors: Vec::new() }
    }

    /// The content within a canvas.
    pub fn within(size: Size, content: Content) -> Self {
        Self { clip: HalfPlane::sides(size).to_vec(), ..Self::new(content) }
    }

    /// Moves it, cut off at the sides of the old canvas; `back` is the inverse of `matrix`.
    pub fn warp(&mut self, matrix: &Matrix, back: &Matrix, sides: &[HalfPlane]) {
        match &mut self.content {
            Content::Picture { to_canvas, .. } => *to_canvas = to_canvas.then(matrix),
            Content::Plain(_) => {}
            Content::Blend(blend) => {
                let layers = blend.first.iter_mut().chain(&mut blend.second);
                layers.for_each(|layer| layer.warp(matrix, back, sides));
            }
        }
        self.clip.extend(sides);
        self.clip.iter_mut().for_each(|plane| *plane = plane.warp(back));
        self.masks.iter_mut().for_each(|mask| mask.warp(matrix));
    }
}
