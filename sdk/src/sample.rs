//! Samples as augmentations see them: a handle on the trainer's own. Objects move at once, pixels are drawn once, at
//! the end or when somebody asks for them.

use std::{marker::PhantomData, path::PathBuf};

use anyhow::{Result, ensure};

use crate::{Bbox, Dtype, HsvGains, Matrix, Object, Size, abi, export::status_to_result};

/// A borrowed sample of the trainer: a canvas on which pictures lie, and the objects on it.
#[repr(transparent)]
pub struct Sample<'a> {
    raw: abi::Sample,
    life: PhantomData<&'a mut ()>,
}

const CROWD: u32 = 1;
const IGNORE: u32 = 2;

// Every call goes through the table of the host; it and the object live for 'a.
#[allow(unsafe_code)]
impl Sample<'_> {
    /// Wraps what the boundary passes.
    ///
    /// # Safety
    /// `raw` must be a live object with its table for the lifetime that is chosen, and used by nobody else.
    #[must_use]
    pub unsafe fn from_raw(raw: abi::Sample) -> Self {
        Self { raw, life: PhantomData }
    }

    /// What the boundary passes.
    #[must_use]
    pub fn raw(&self) -> abi::Sample {
        self.raw
    }

    fn call(&self, f: impl FnOnce(&abi::SampleTable, abi::Opaque, abi::Sink) -> abi::Status) -> Result<()> {
        let mut error = Vec::new();
        // SAFETY: the table lives as long as the object.
        let status = f(unsafe { &*self.raw.table }, self.raw.object, abi::Sink::to(&mut error));
        status_to_result(status, &error)
    }

    fn info(&self) -> abi::SampleInfo {
        let mut info = std::mem::MaybeUninit::uninit();
        // SAFETY: the host fills in the whole struct.
        unsafe {
            ((*self.raw.table).describe)(self.raw.object, info.as_mut_ptr());
            info.assume_init()
        }
    }

    /// Number of the picture in its data set.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.info().id
    }

    /// The picture's file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        // SAFETY: the text lives until the next call on the sample.
        unsafe { self.info().path.to_text() }.into_owned().into()
    }

    /// Width and height of the canvas, in pixels.
    #[must_use]
    pub fn size(&self) -> Size {
        let info = self.info();
        Size::new(info.width, info.height)
    }

    /// Width and height of the picture as the file has it, turned upright, in pixels.
    #[must_use]
    pub fn original(&self) -> Size {
        let info = self.info();
        Size::new(info.original_width, info.original_height)
    }

    /// Where pixels of the original lie on the canvas now.
    #[must_use]
    pub fn from_original(&self) -> Matrix {
        let m = self.info().from_original;
        Matrix([[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]])
    }

    /// The labelled objects, in pixels of the canvas.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        let object = |index| {
            let mut raw = NO_OBJECT;
            self.call(|table, object, error| {
                // SAFETY: `raw` is ours to be written.
                unsafe { (table.object)(object, index, &raw mut raw, error) }
            })
            .ok()?;
            // SAFETY: the outline lives until the next call on the sample.
            Some(unsafe { object_from_raw(&raw) })
        };
        (0..self.info().num_objects).filter_map(object).collect()
    }

    /// Replaces all labelled objects.
    ///
    /// # Errors
    /// If a number of an object is not finite.
    pub fn set_objects(&mut self, objects: &[Object]) -> Result<()> {
        let raw: Vec<_> = objects.iter().map(object_to_raw).collect();
        // SAFETY: the list and the outlines that it points to live for the call.
        self.call(|table, object, error| unsafe { (table.set_objects)(object, raw.as_ptr(), raw.len(), error) })
    }

    /// Moves everything by `matrix` onto a canvas of `size`. What leaves the old or the new canvas is cut off; of an
    /// object outside, a box without area remains (see [`remove_empty_objects`](Self::remove_empty_objects)).
    /// A singular matrix leaves an empty canvas.
    ///
    /// # Errors
    /// If a number of the matrix is not finite or a side of the canvas is 0 or above 16384 pixels.
    pub fn warp(&mut self, matrix: &Matrix, size: Size) -> Result<()> {
        // SAFETY: nine numbers, row by row, that live for the call.
        self.call(|table, object, error| unsafe {
            (table.warp)(object, matrix.0.as_ptr().cast(), size.width, size.height, error)
        })
    }

    /// Mirrors left and right.
    ///
    /// # Errors
    /// As [`warp`](Self::warp).
    pub fn flip_horizontal(&mut self) -> Result<()> {
        let size = self.size();
        self.warp(&Matrix::scale(-1.0, 1.0).then(&Matrix::translate(f64::from(size.width), 0.0)), size)
    }

    /// Mirrors top and bottom.
    ///
    /// # Errors
    /// As [`warp`](Self::warp).
    pub fn flip_vertical(&mut self) -> Result<()> {
        let size = self.size();
        self.warp(&Matrix::scale(1.0, -1.0).then(&Matrix::translate(0.0, f64::from(size.height))), size)
    }

    /// Stretches the canvas to `size`.
    ///
    /// # Errors
    /// As [`warp`](Self::warp).
    pub fn resize(&mut self, size: Size) -> Result<()> {
        let old = self.size();
        if size == old {
            return Ok(());
        }
        let factor = |new: u32, old: u32| f64::from(new) / f64::from(old.max(1));
        self.warp(&Matrix::scale(factor(size.width, old.width), factor(size.height, old.height)), size)
    }

    /// Puts the pictures and objects of `other` on top, upper left corners together, and leaves it empty. Its bare
    /// canvas stays transparent, and objects that it covers stay in the list.
    ///
    /// # Errors
    /// If `other` is not a sample of the same call.
    pub fn paste(&mut self, other: &mut Sample) -> Result<()> {
        ensure!(std::ptr::eq(self.raw.table, other.raw.table), "a sample can be pasted on one of the same call only");
        // SAFETY: the tables are the same, so `other` is an object that this table knows.
        self.call(|table, object, error| unsafe { (table.paste)(object, other.raw.object, error) })
    }

    /// Multiplies hue, saturation and value of the canvas as it stands, bare parts included.
    ///
    /// # Errors
    /// If a factor is not finite.
    pub fn recolor(&mut self, gains: HsvGains) -> Result<()> {
        // SAFETY: plain numbers.
        self.call(|table, object, error| unsafe { (table.recolor)(object, gains.h, gains.s, gains.v, error) })
    }

    /// Drops the objects whose box has no area.
    ///
    /// # Errors
    /// Never for a host of this version.
    pub fn remove_empty_objects(&mut self) -> Result<()> {
        let mut objects = self.objects();
        let before = objects.len();
        objects.retain(|object| object.bbox.area() > 0.0);
        if objects.len() < before { self.set_objects(&objects) } else { Ok(()) }
    }

    /// Draws the canvas and hands out its pixels, to be read and changed in place. From then on the canvas is one
    /// opaque picture: warps that were only noted until now are done, and cost an extra pass if more follow.
    ///
    /// # Errors
    /// If the canvas has no pixels.
    pub fn pixels(&mut self) -> Result<Pixels<'_>> {
        let mut raw =
            abi::Pixels { data: std::ptr::null_mut(), stride: 0, width: 0, height: 0, channels: 0, dtype: -1 };
        // SAFETY: `raw` is ours to be written.
        self.call(|table, object, error| unsafe { (table.pixels)(object, &raw mut raw, error) })?;
        Ok(Pixels { raw, life: PhantomData })
    }
}

/// The pixels of a canvas: rows of interleaved values, for as long as the sample is borrowed.
pub struct Pixels<'a> {
    raw: abi::Pixels,
    life: PhantomData<&'a mut [u8]>,
}

impl Pixels<'_> {
    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.raw.width, self.raw.height)
    }

    /// Values of a pixel; 3 (R G B) today.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.raw.channels as usize
    }

    /// The type of a value; [`Dtype::U8`] today.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        Dtype(self.raw.dtype)
    }

    /// All rows, top first, each width * channels bytes.
    ///
    /// # Errors
    /// If the values are not bytes.
    pub fn rows_mut(&mut self) -> Result<impl Iterator<Item = &mut [u8]>> {
        ensure!(self.dtype() == Dtype::U8, "pixels are {:?}, not bytes", self.dtype());
        let (stride, row) = (self.raw.stride, self.raw.width as usize * self.channels());
        let bytes = if self.raw.height == 0 { 0 } else { stride * (self.raw.height as usize - 1) + row };
        // SAFETY: the host hands out height rows of stride bytes, borrowed as long as self.
        #[allow(unsafe_code)]
        let all = unsafe { std::slice::from_raw_parts_mut(self.raw.data.cast::<u8>(), bytes) };
        Ok(all.chunks_mut(stride.max(1)).map(move |chunk| &mut chunk[..row]))
    }
}

const NO_OBJECT: abi::Object =
    abi::Object { class: 0, flags: 0, bbox: [0.0; 4], weight: 0.0, num_points: 0, points: std::ptr::null() };

/// # Safety
/// `points` must be `num_points` pairs of numbers.
#[allow(unsafe_code)]
pub(crate) unsafe fn object_from_raw(raw: &abi::Object) -> Object {
    let [x1, y1, x2, y2] = raw.bbox;
    let polygon = match raw.num_points {
        0 => Vec::new(),
        // SAFETY: promised by the caller; [f32; 2] is two f32 in a row.
        n => unsafe { std::slice::from_raw_parts(raw.points.cast::<[f32; 2]>(), n as usize) }.to_vec(),
    };
    let (crowd, ignore) = (raw.flags & CROWD != 0, raw.flags & IGNORE != 0);
    Object { class: raw.class, bbox: Bbox::new(x1, y1, x2, y2), polygon, crowd, ignore, weight: raw.weight }
}

/// The object as the boundary passes it; its outline stays where it is.
pub(crate) fn object_to_raw(object: &Object) -> abi::Object {
    let Bbox { x1, y1, x2, y2 } = object.bbox;
    abi::Object {
        class: object.class,
        flags: u32::from(object.crowd) * CROWD + u32::from(object.ignore) * IGNORE,
        bbox: [x1, y1, x2, y2],
        weight: object.weight,
        num_points: object.polygon.len() as u32,
        points: object.polygon.as_ptr().cast(),
    }
}
