//! Samples and their pixels: what the loader reads, augmentations change and the renderer draws.
//!
//! Coordinates are continuous: pixel i covers [i, i + 1) and its centre is i + 0.5; x points right, y points down.
//! Objects move at once; pixels are lazy, one bilinear pass from the sources to the output however many warps there were.

mod bilinear;
mod half_plane;
mod hsv;
mod image;
mod interpolate;
mod layer;
mod mask;
mod matrix;
mod object;
mod render;
mod row;
mod sample;

pub use hsv::HsvGains;
pub use image::{Image, Size};
pub use matrix::Matrix;
pub use object::{Bbox, Object};
pub use sample::Sample;
