//! Samples of the host: objects that move at once, pixels that are drawn only when somebody asks for them.

use abi_stable::StableAbi;

use crate::{Opaque, Sink, Status, Str};

/// A host object: one picture with its objects, on its way to the network.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Sample {
    /// Passed to every function of the table.
    pub object: Opaque,
    /// The functions; valid as long as the object.
    pub table: *const SampleTable,
}

/// What can be done with a sample. Pointers that a function hands out are valid until the next call on the sample.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct SampleTable {
    /// Fills in `info`.
    pub describe: unsafe extern "C" fn(object: Opaque, info: *mut SampleInfo),
    /// Fills in the labelled object at `index`.
    pub object: unsafe extern "C" fn(object: Opaque, index: usize, out: *mut Object, error: Sink) -> Status,
    /// Replaces all labelled objects (copied).
    pub set_objects: unsafe extern "C" fn(object: Opaque, objects: *const Object, count: usize, error: Sink) -> Status,
    /// Moves pixels and objects by a 3x3 `matrix` (9 numbers, row by row) onto a canvas of `width` x `height`; noted
    /// only, drawn later. What leaves the canvas is cut off.
    pub warp: unsafe extern "C" fn(object: Opaque, matrix: *const f64, width: u32, height: u32, error: Sink) -> Status,
    /// Puts pictures and objects of another sample (of the same call) on top; it is left empty.
    pub paste: unsafe extern "C" fn(object: Opaque, other: Opaque, error: Sink) -> Status,
    /// Multiplies hue, saturation and value; noted only.
    pub recolor: unsafe extern "C" fn(object: Opaque, h: f32, s: f32, v: f32, error: Sink) -> Status,
    /// Draws what is noted and hands the canvas out to be changed in place.
    pub pixels: unsafe extern "C" fn(object: Opaque, out: *mut Pixels, error: Sink) -> Status,
}

/// What a sample is.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct SampleInfo {
    /// Number of the picture in its data set.
    pub id: u64,
    /// The picture's file.
    pub path: Str,
    /// Number of labelled objects.
    pub num_objects: usize,
    /// Width of the canvas in pixels.
    pub width: u32,
    /// Height of the canvas in pixels.
    pub height: u32,
    /// Width of the picture as the file has it, turned upright.
    pub original_width: u32,
    /// Height of the same.
    pub original_height: u32,
    /// Where pixels of the original lie on the canvas now: a 3x3 matrix, row by row.
    pub from_original: [f64; 9],
}

/// One labelled object, in pixels of the canvas.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Object {
    /// Index into the data set's class names.
    pub class: u32,
    /// Bit 0: crowd (one label for many objects); bit 1: ignore (nothing is learnt or scored there).
    pub flags: u32,
    /// Left, top, right and bottom edge.
    pub bbox: [f32; 4],
    /// Share in the loss; 1 unless somebody says otherwise.
    pub weight: f32,
    /// Number of points of the outline; 0 where there is none.
    pub num_points: u32,
    /// The outline: x and y of each point.
    pub points: *const f32,
}

/// Pixels in memory, row by row, channels innermost.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Pixels {
    /// The first pixel.
    pub data: *mut (),
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Pixels along x.
    pub width: u32,
    /// Pixels along y.
    pub height: u32,
    /// Values of a pixel: 3 (R G B).
    pub channels: u32,
    /// Type of a value, a [`Dtype`](crate::Dtype) code: 0 (8 bits, 0 to 255). Check both; others may come.
    pub dtype: i32,
}

/// The id of [`LayersTable`].
pub const LAYERS: &str = "trainer.layers/1";

/// What else can be done with the objects of [`Sample`], noted and drawn later as everything else.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct LayersTable {
    /// Draws on top what of the canvas of `other`, moved by the 3x3 `matrix` (row by row), lies inside one of the
    /// areas: their outlines, or their boxes where they have none, in pixels of this canvas. `other` may be the sample
    /// itself and stays as it is, objects are not added.
    pub paste_inside: unsafe extern "C" fn(
        object: Opaque,
        other: Opaque,
        matrix: *const f64,
        areas: *const Object,
        count: usize,
        error: Sink,
    ) -> Status,
    /// Mixes the pixels with those of another sample of the same call: of each value `share` (0 to 1) stays, the rest
    /// is the other's. Its objects are added, and it is left empty.
    pub blend: unsafe extern "C" fn(object: Opaque, other: Opaque, share: f64, error: Sink) -> Status,
}
