//! From the loader's bytes to tensors on the device, a whole batch or a part of one.

use std::ops::Range;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::{data::loader::RawBatch, loss::Objects, torch};

/// Sides of the input are multiples of this, the network's coarsest stride.
const STRIDE: i64 = 32;

/// Images and objects of one batch.
#[derive(Debug)]
pub struct Batch {
    /// Float (B, 3, H, W), 0..1, channels innermost in memory.
    pub images: Tensor,
    /// What is in the images, in pixels of the input.
    pub objects: Objects,
    /// The images' ids.
    pub image_ids: Vec<u64>,
}

/// Some images of a batch, still as bytes.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The batch.
    pub raw: &'a RawBatch,
    /// Which of its images.
    pub images: Range<usize>,
    /// What the longer side of the images is stretched to, in pixels.
    pub side: usize,
}

impl<'a> Part<'a> {
    /// All of a batch.
    #[must_use]
    pub fn whole(raw: &'a RawBatch, side: usize) -> Self {
        Self { raw, images: 0..raw.samples.len(), side }
    }

    /// As few parts as are needed for at most `most` images in each, sizes as equal as can be.
    #[must_use]
    pub fn split(&self, most: usize) -> Vec<Self> {
        let (start, count) = (self.images.start, self.images.len());
        let number = count.div_ceil(most.max(1));
        let edge = |i: usize| start + i * count / number;
        (0..number).map(|i| Self { images: edge(i)..edge(i + 1), ..self.clone() }).collect()
    }

    /// Copies the images to the device; bytes travel, floats are made there.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn load(&self, kind: Kind, device: Device) -> Result<Batch> {
        Batch::of(self.raw, self.images.clone(), kind, device)?.resized(self.side)
    }
}

impl Batch {
    /// Copies a batch to the device; bytes travel, floats are made there.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn new(raw: &RawBatch, kind: Kind, device: Device) -> Result<Self> {
        Self::of(raw, 0..raw.samples.len(), kind, device)
    }

    /// As [`new`](Self::new), some of its images only.
    fn of(raw: &RawBatch, images: Range<usize>, kind: Kind, device: Device) -> Result<Self> {
        let (height, width) = (i64::from(raw.size.height), i64::from(raw.size.width));
        let sizes = [images.len() as i64, height, width, 3];
        Ok(Self {
            images: torch::images(&raw.pixels, images.start, sizes, kind, device)?,
            objects: objects(raw, &images, kind, device)?,
            image_ids: raw.samples[images].iter().map(|sample| sample.id).collect(),
        })
    }

    /// Stretches the images (bilinear) so that the longer side has `side` pixels, both sides rounded up to multiples of
    /// the stride, and the boxes with them. A batch of that size stays as it is.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn resized(mut self, side: usize) -> Result<Self> {
        let (_, _, height, width) = self.images.size4()?;
        let longer = height.max(width);
        if longer == side as i64 {
            return Ok(self);
        }
        let new = |length: i64| (length * side as i64 + longer * STRIDE - 1) / (longer * STRIDE) * STRIDE; // rounded up
        let (new_height, new_width) = (new(height), new(width));
        self.images = self.images.f_upsample_bilinear2d([new_height, new_width], false, None, None)?;
        let (x, y) = (new_width as f64 / width as f64, new_height as f64 / height as f64);
        let factors = Tensor::f_from_slice(&[x, y, x, y])?.f_to_kind(self.objects.boxes.kind())?;
        self.objects.boxes = self.objects.boxes.f_mul(&factors.f_to_device(self.images.device())?)?;
        Ok(self)
    }
}

/// What is to be found in some of the images, padded to the fullest: crowds and regions to ignore are none of it.
fn objects(raw: &RawBatch, images: &Range<usize>, kind: Kind, device: Device) -> Result<Objects> {
    let mut rows = vec![Vec::new(); images.len()];
    for found in raw.objects.iter().filter(|found| !found.object.crowd && !found.object.ignore) {
        if images.contains(&(found.image as usize)) {
            rows[found.image as usize - images.start].push(&found.object);
        }
    }
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (mut classes, mut boxes, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        for i in 0..most {
            let object = row.get(i);
            classes.push(object.map_or(0, |object| i64::from(object.class)));
            boxes.extend(object.map_or([0.0; 4], |object| {
                let b = object.bbox;
                [b.x1, b.y1, b.x2, b.y2]
            }));
            valid.push(object.is_some());
        }
    }
    let shape = [rows.len() as i64, most as i64];
    Ok(Objects {
        classes: Tensor::f_from_slice(&classes)?.f_view(shape)?.f_to_device(device)?,
        boxes: Tensor::f_from_slice(&boxes)?.f_view([shape[0], shape[1], 4])?.f_to_kind(kind)?.f_to_device(device)?,
        valid: Tensor::f_from_slice(&valid)?.f_view(shape)?.f_to_device(device)?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use trainer_sdk::{Bbox, Matrix, Object, Size};

    use super::*;
    use crate::data::loader::{BatchObject, SampleInfo};

    #[test]
    fn crowds_and_regions_to_ignore_are_no_targets() {
        let object = |class| Object::new(class, Bbox::new(1.0, 1.0, 5.0, 5.0));
        let crowd = Object { crowd: true, ..object(1) };
        let ignore = Object { ignore: true, ..object(2) };
        let objects = [crowd, object(3), ignore].map(|object| BatchObject { image: 0, object }).to_vec();
        let size = Size::square(8);
        let sample =
            SampleInfo { id: 0, path: Path::new("a").into(), original: size, to_input: Matrix::scale(1.0, 1.0) };
        let raw =
            RawBatch { pixels: vec![0; 8 * 8 * 3].into(), size, objects, samples: vec![sample], skipped: Vec::new() };
        let objects = Batch::new(&raw, Kind::Float, Device::Cpu).unwrap().objects;
        assert_eq!(Vec::<i64>::try_from(objects.classes.view(-1)).unwrap(), [3]);
    }

    #[test]
    fn batches_are_cut_into_few_parts_of_like_size() {
        let size = Size::square(32);
        let raw =
            RawBatch { pixels: Vec::new().into(), size, objects: Vec::new(), samples: Vec::new(), skipped: Vec::new() };
        let split = |count: usize, most| Part { raw: &raw, images: 5..5 + count, side: 32 }.split(most);
        let sizes = |count, most| split(count, most).iter().map(|part| part.images.len()).collect::<Vec<_>>();
        assert_eq!(sizes(256, 256), [256]);
        assert_eq!(sizes(10, 4), [3, 3, 4]);
        assert_eq!((sizes(5, 4), sizes(3, 1), sizes(2, 100), sizes(0, 4)), (vec![2, 3], vec![1; 3], vec![2], vec![]));
        for (count, most) in [(256, 7), (256, 33), (31, 2), (1, 1)] {
            let sizes = sizes(count, most);
            let (least, largest) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(sizes.len() == count.div_ceil(most) && largest - least <= 1 && *largest <= most, "{count} {most}");
            let images = split(count, most).into_iter().flat_map(|part| part.images);
            assert_eq!(images.collect::<Vec<_>>(), (5..5 + count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn parts_have_the_images_and_objects_of_the_batch() {
        let size = Size::square(32);
        let sample = |id| SampleInfo { id, path: Path::new("a").into(), original: size, to_input: Matrix::IDENTITY };
        let object = |image, class| BatchObject { image, object: Object::new(class, Bbox::new(1.0, 2.0, 9.0, 9.0)) };
        let raw = RawBatch {
            pixels: (0..3 * 32 * 32 * 3).map(|i| (i / 3072 * 100) as u8).collect::<Vec<_>>().into(),
            size,
            objects: vec![object(0, 4), object(2, 5), object(1, 6), object(1, 7)],
            samples: vec![sample(10), sample(11), sample(12)],
            skipped: Vec::new(),
        };
        let load = |images| Part { raw: &raw, images, side: 32 }.load(Kind::Float, Device::Cpu).unwrap();
        let (whole, first, rest) = (load(0..3), load(0..1), load(1..3));
        assert!(Tensor::cat(&[first.images, rest.images], 0).equal(&whole.images));
        assert_eq!((first.image_ids, rest.image_ids), (vec![10], vec![11, 12]));
        let classes = |objects: &Objects| Vec::<i64>::try_from(objects.classes.view(-1)).unwrap();
        assert_eq!((classes(&first.objects), classes(&rest.objects)), (vec![4], vec![6, 7, 5, 0]));
        assert_eq!(Vec::<bool>::try_from(rest.objects.valid.view(-1)).unwrap(), [true, true, true, false]);
        assert_eq!(classes(&whole.objects), [4, 0, 6, 7, 5, 0]);
    }

    #[test]
    fn images_and_boxes_are_stretched_together() {
        let size = Size::new(64, 32);
        let sample = SampleInfo { id: 1, path: Path::new("a").into(), original: size, to_input: Matrix::IDENTITY };
        let raw = RawBatch {
            pixels: (0..size.area()).flat_map(|i| [4 * (i % 64) as u8; 3]).collect::<Vec<_>>().into(),
            size,
            objects: vec![BatchObject { image: 0, object: Object::new(3, Bbox::new(16.0, 8.0, 32.0, 24.0)) }],
            samples: vec![sample],
            skipped: Vec::new(),
        };
        let batch = |side| Batch::new(&raw, Kind::Float, Device::Cpu).unwrap().resized(side).unwrap();
        assert_eq!(batch(64).images.size(), [1, 3, 32, 64]);
        let double = batch(128);
        assert_eq!(double.images.size(), [1, 3, 64, 128]);
        assert_eq!(double.images.stride()[1], 1, "channels stay innermost in memory");
        assert_eq!(Vec::<f32>::try_from(double.objects.boxes.view(-1)).unwrap(), [32.0, 16.0, 64.0, 48.0]);
        let value = double.images.double_value(&[0, 1, 10, 21]) * 255.0; // between columns 10 (40) and 11 (44)
        assert!((value - 41.0).abs() < 1e-3, "{value}");
        let half = batch(32);
        assert_eq!(half.images.size(), [1, 3, 32, 32], "16 rows are rounded up to the stride");
        assert_eq!(Vec::<f32>::try_from(half.objects.boxes.view(-1)).unwrap(), [8.0, 8.0, 16.0, 24.0]);
    }
}
