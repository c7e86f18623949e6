//! From the loader's bytes to tensors on the device.

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

impl Batch {
    /// Copies a batch to the device; bytes travel, floats are made there.
    ///
    /// # Errors
    /// If the device runs out of memory.
    pub fn new(raw: &RawBatch, kind: Kind, device: Device) -> Result<Self> {
        let count = raw.samples.len() as i64;
        let (height, width) = (i64::from(raw.size.height), i64::from(raw.size.width));
        Ok(Self {
            images: torch::images(&raw.pixels, [count, height, width, 3], kind, device)?,
            objects: objects(raw, kind, device)?,
            image_ids: raw.samples.iter().map(|sample| sample.id).collect(),
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

/// What is to be found, padded to the fullest image: crowds and regions to ignore are none of it.
fn objects(raw: &RawBatch, kind: Kind, device: Device) -> Result<Objects> {
    let mut rows = vec![Vec::new(); raw.samples.len()];
    for found in raw.objects.iter().filter(|found| !found.object.crowd && !found.object.ignore) {
        rows[found.image as usize].push(&found.object);
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
