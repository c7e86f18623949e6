//! The other end of [`Sample`]: a [`trainer_image::Sample`] offered as C functions. The trainer's loader threads pass
//! samples so, and the test kit does.

#![allow(unsafe_code)] // the far end of the pointers in sample.rs

use anyhow::{Context as _, Result, ensure};
use trainer_image::{Matrix, Size};

use crate::{
    HsvGains, Sample,
    abi::{self, Dtype, LayersTable, Object, Opaque, Pixels, SampleInfo, SampleTable, Sink, Status, Str},
    export::guarded,
    sample::{object_from_raw, object_to_raw},
};

type Image = trainer_image::Sample;

/// The largest side of a canvas, in pixels.
const LARGEST_SIDE: u32 = 16384;

static TABLE: SampleTable = SampleTable { describe, object, set_objects, warp, paste, recolor, pixels };

/// The same for `trainer.layers/1`.
pub static LAYERS: LayersTable = LayersTable { paste_inside, blend };

/// Whether `sample` was made by [`view`] in this binary.
pub(crate) fn is_own(sample: &Sample) -> bool {
    std::ptr::eq(sample.raw().table, &raw const TABLE)
}

/// A view of `sample` for an augmentation, for as long as the borrow lasts.
pub fn view(sample: &mut Image) -> Sample<'_> {
    // SAFETY: the object is borrowed, the table knows its type.
    unsafe { Sample::from_raw(abi::Sample { object: std::ptr::from_mut(sample).cast(), table: &raw const TABLE }) }
}

unsafe fn with(object: Opaque, error: Sink, f: impl FnOnce(&mut Image) -> Result<()>) -> Status {
    // SAFETY: `object` is the sample that `view` borrowed, used by one thread at a time.
    guarded(error, || f(unsafe { &mut *object.cast::<Image>() }))
}

unsafe extern "C" fn describe(object: Opaque, info: *mut SampleInfo) {
    // SAFETY: as in `with`; `info` is the caller's to be written.
    unsafe {
        let sample = &*object.cast::<Image>();
        let [a, b, c] = sample.from_original().0;
        *info = SampleInfo {
            id: sample.id,
            path: Str::bytes(sample.path.as_os_str().as_encoded_bytes()),
            num_objects: sample.objects.len(),
            width: sample.size().width,
            height: sample.size().height,
            original_width: sample.original().width,
            original_height: sample.original().height,
            from_original: [a[0], a[1], a[2], b[0], b[1], b[2], c[0], c[1], c[2]],
        };
    }
}

unsafe extern "C" fn object(object: Opaque, index: usize, out: *mut Object, error: Sink) -> Status {
    // SAFETY: `out` is the caller's to be written.
    unsafe {
        with(object, error, |sample| {
            let found = sample.objects.get(index);
            *out = object_to_raw(found.with_context(|| format!("there is no object {index}"))?);
            Ok(())
        })
    }
}

unsafe extern "C" fn set_objects(object: Opaque, objects: *const Object, count: usize, error: Sink) -> Status {
    // SAFETY: list and outlines live for the call.
    unsafe {
        with(object, error, |sample| {
            let raw = if count == 0 { &[] } else { std::slice::from_raw_parts(objects, count) };
            sample.objects = objects_from_raw(raw)?;
            Ok(())
        })
    }
}

/// # Safety
/// The outlines must live for the call.
unsafe fn objects_from_raw(raw: &[Object]) -> Result<Vec<trainer_image::Object>> {
    // SAFETY: promised by the caller.
    let new: Vec<_> = raw.iter().map(|raw| unsafe { object_from_raw(raw) }).collect();
    for (index, object) in new.iter().enumerate() {
        let trainer_image::Bbox { x1, y1, x2, y2 } = object.bbox;
        let numbers = [x1, y1, x2, y2, object.weight];
        let outline = object.polygon.iter().flatten();
        ensure!(
            numbers.iter().chain(outline).all(|number| number.is_finite()),
            "object {index} has a number that is not finite"
        );
    }
    Ok(new)
}

/// # Safety
/// `matrix` must be nine numbers that live for the call.
unsafe fn finite_matrix(matrix: *const f64) -> Result<Matrix> {
    // SAFETY: promised by the caller.
    let matrix = Matrix(unsafe { *matrix.cast::<[[f64; 3]; 3]>() });
    ensure!(matrix.0.iter().flatten().all(|number| number.is_finite()), "the matrix {:?} is not finite", matrix.0);
    Ok(matrix)
}

unsafe extern "C" fn warp(object: Opaque, matrix: *const f64, width: u32, height: u32, error: Sink) -> Status {
    // SAFETY: nine numbers that live for the call.
    unsafe {
        with(object, error, |sample| {
            let matrix = finite_matrix(matrix)?;
            let sides = [width, height];
            ensure!(
                sides.iter().all(|side| (1..=LARGEST_SIDE).contains(side)),
                "a canvas of {width}x{height} pixels: its sides must be between 1 and {LARGEST_SIDE}"
            );
            sample.warp(&matrix, Size::new(width, height));
            Ok(())
        })
    }
}

unsafe extern "C" fn paste(object: Opaque, other: Opaque, error: Sink) -> Status {
    // SAFETY: `other` is another sample of the same table.
    unsafe {
        with(object, error, |sample| {
            ensure!(object != other, "a sample cannot be pasted on itself");
            sample.paste(std::mem::take(&mut *other.cast::<Image>()));
            Ok(())
        })
    }
}

unsafe extern "C" fn paste_inside(
    object: Opaque,
    other: Opaque,
    matrix: *const f64,
    areas: *const Object,
    count: usize,
    error: Sink,
) -> Status {
    // SAFETY: `other` is a sample of the same table, perhaps this one, and copied first; the rest lives for the call.
    unsafe {
        guarded(error, || {
            let other = (*other.cast::<Image>()).clone();
            let sample = &mut *object.cast::<Image>();
            let matrix = finite_matrix(matrix)?;
            let raw = if count == 0 { &[] } else { std::slice::from_raw_parts(areas, count) };
            let outline = |area: trainer_image::Object| match area.polygon.is_empty() {
                true => {
                    let trainer_image::Bbox { x1, y1, x2, y2 } = area.bbox;
                    vec![[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
                }
                false => area.polygon,
            };
            let outlines: Vec<_> = objects_from_raw(raw)?.into_iter().map(outline).collect();
            sample.paste_inside(&other, &matrix, &outlines);
            Ok(())
        })
    }
}

unsafe extern "C" fn blend(object: Opaque, other: Opaque, share: f64, error: Sink) -> Status {
    // SAFETY: `other` is another sample of the same table.
    unsafe {
        with(object, error, |sample| {
            ensure!(object != other, "a sample cannot be blended with itself");
            ensure!((0.0..=1.0).contains(&share), "a share of {share}: it must lie between 0 and 1");
            sample.blend(std::mem::take(&mut *other.cast::<Image>()), share as f32);
            Ok(())
        })
    }
}

unsafe extern "C" fn recolor(object: Opaque, h: f32, s: f32, v: f32, error: Sink) -> Status {
    // SAFETY: as in `with`.
    unsafe {
        with(object, error, |sample| {
            ensure!([h, s, v].iter().all(|gain| gain.is_finite()), "the factors {h}, {s}, {v} are not finite");
            sample.recolor(HsvGains { h, s, v });
            Ok(())
        })
    }
}

unsafe extern "C" fn pixels(object: Opaque, out: *mut Pixels, error: Sink) -> Status {
    // SAFETY: `out` is the caller's to be written; the pixels stay where they are until the next call.
    unsafe {
        with(object, error, |sample| {
            let Size { width, height } = sample.size();
            ensure!(sample.size().area() > 0, "the canvas has no pixels (a sample that was pasted is empty)");
            let data = sample.pixels_mut().as_mut_ptr().cast();
            let channels = trainer_image::Image::CHANNELS as u32;
            let stride = width as usize * channels as usize;
            *out = Pixels { data, stride, width, height, channels, dtype: Dtype::U8.0 };
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trainer_image::Bbox;

    use super::*;

    fn grey(width: u32, height: u32) -> Image {
        let size = Size::new(width, height);
        let image = trainer_image::Image::rgb(size, vec![50; size.area() * 3]).unwrap();
        let mut sample = Image::new(Arc::new(image), size);
        sample.objects.push(trainer_image::Object::new(3, Bbox::new(1.0, 1.0, 3.0, 2.0)));
        sample
    }

    #[test]
    fn what_the_view_does_the_sample_has() {
        let mut sample = grey(8, 4);
        let mut view = view(&mut sample);
        assert_eq!((view.size(), view.objects()[0].bbox), (Size::new(8, 4), Bbox::new(1.0, 1.0, 3.0, 2.0)));
        view.flip_horizontal().unwrap();
        for row in view.pixels().unwrap().rows_mut().unwrap() {
            row[0] = 200;
        }
        view.flip_horizontal().unwrap();
        let mut objects = view.objects();
        objects[0].polygon = vec![[1.0, 1.0], [3.0, 1.0], [2.0, 2.0]];
        view.set_objects(&objects).unwrap();
        assert_eq!(sample.objects, objects);
        let pixels = sample.render();
        assert_eq!((pixels[7 * 3], pixels[0]), (200, 50)); // changed at the left, then mirrored back to the right
    }

    #[test]
    fn a_partner_is_pasted_and_left_empty() {
        let (mut sample, mut partner) = (grey(8, 4), grey(8, 4));
        view(&mut sample).paste(&mut view(&mut partner)).unwrap();
        assert_eq!((sample.objects.len(), partner.objects.len(), partner.size()), (2, 0, Size::default()));
    }

    #[test]
    fn parts_are_copied_and_canvases_blend() {
        let (mut sample, mut partner) = (grey(8, 4), grey(8, 4));
        view(&mut partner).recolor(HsvGains { v: 2.0, ..HsvGains::NEUTRAL }).unwrap();
        let mut seen = view(&mut sample);
        let area = trainer_image::Object::new(0, Bbox::new(0.0, 0.0, 2.0, 1.0));
        seen.paste_inside(&view(&mut partner), &Matrix::IDENTITY, std::slice::from_ref(&area)).unwrap();
        let mut outlined = area.clone();
        outlined.polygon = vec![[6.0, 0.0], [8.0, 0.0], [8.0, 1.0], [6.0, 1.0]];
        seen.paste_mirrored(&[outlined]).unwrap();
        let reds = |sample: &Image| sample.render()[..24].iter().step_by(3).copied().collect::<Vec<_>>();
        assert_eq!((reds(&sample), sample.objects.len()), (vec![100, 100, 50, 50, 50, 50, 100, 100], 1));
        let mut seen = view(&mut sample);
        let wrong = seen.blend(&mut view(&mut partner), 1.5).unwrap_err().to_string();
        assert_eq!(wrong, "a share of 1.5: it must lie between 0 and 1");
        seen.blend(&mut view(&mut partner), 0.5).unwrap();
        assert_eq!((reds(&sample)[1..3].to_vec(), sample.objects.len()), (vec![100, 75], 2));
        assert_eq!((partner.objects.len(), partner.size()), (0, Size::default()));
    }

    #[test]
    fn bad_numbers_are_refused_and_change_nothing() {
        let mut sample = grey(8, 4);
        let mut seen = view(&mut sample);
        let nan = seen.warp(&Matrix::scale(f64::NAN, 1.0), Size::square(4)).unwrap_err().to_string();
        assert!(nan.starts_with("the matrix") && nan.ends_with("is not finite"), "{nan}");
        let huge = seen.warp(&Matrix::IDENTITY, Size::new(40000, 1)).unwrap_err().to_string();
        assert_eq!(huge, "a canvas of 40000x1 pixels: its sides must be between 1 and 16384");
        let wrong = trainer_image::Object::new(0, Bbox::new(f32::NAN, 0.0, 1.0, 1.0));
        assert_eq!(seen.set_objects(&[wrong]).unwrap_err().to_string(), "object 0 has a number that is not finite");
        assert_eq!(
            seen.recolor(HsvGains { h: 1.0, s: f32::INFINITY, v: 1.0 }).unwrap_err().to_string(),
            "the factors 1, inf, 1 are not finite"
        );
        let itself = seen.raw();
        // SAFETY: C could do as much; the sample lives on.
        let mut again = unsafe { Sample::from_raw(itself) };
        assert_eq!(seen.paste(&mut again).unwrap_err().to_string(), "a sample cannot be pasted on itself");
        assert_eq!((sample.size(), sample.objects.len()), (Size::new(8, 4), 1));
    }
}
