//! The deterministic parts against the reference's numbers (tests/golden/augment.json).

use std::{fs, sync::Arc};

use serde::Deserialize;
use trainer_sdk::{Bbox, HsvGains, Image, Matrix, Object, Size, sample_store::view};

use super::{
    clahe::equalise,
    letterbox::letterbox,
    perspective::{Before, Draw},
};

const IMGSZ: u32 = 640;

#[derive(Deserialize)]
struct Golden {
    warps: Vec<Warp>,
    letterboxes: Vec<Letterboxed>,
    hsv: Vec<Tables>,
    clahe: Vec<Equalised>,
}

#[derive(Deserialize)]
struct Warp {
    canvas: u32,
    draw: [f64; 8],
    matrix: [f64; 9],
    boxes: Vec<f32>,
    moved: Vec<f32>,
    kept: Vec<u8>,
    kept_outlined: Vec<u8>,
}

#[derive(Deserialize)]
struct Letterboxed {
    size: [u32; 2],
    corners: [f32; 4],
}

#[derive(Deserialize)]
struct Tables {
    gains: [f64; 3],
    hue: Vec<u8>,
    saturation: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Deserialize)]
struct Equalised {
    size: [u32; 2],
    limit: f64,
    pixels: Vec<u8>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/augment.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn boxes(values: &[f32]) -> Vec<Bbox> {
    values.as_chunks::<4>().0.iter().map(|&[x1, y1, x2, y2]| Bbox::new(x1, y1, x2, y2)).collect()
}

fn blank(size: Size) -> trainer_image::Sample {
    let pixel = Image::rgb(Size::square(1), vec![0; 3]).unwrap();
    trainer_image::Sample::new(Arc::new(pixel), size)
}

#[test]
fn warps_move_boxes_and_the_filter_keeps_those_that_the_reference_keeps() {
    let (mut kept, mut of) = (0, 0);
    for warp in golden().warps {
        let [tilt_x, tilt_y, degrees, scale, slant_x, slant_y, x, y] = warp.draw;
        let draw = Draw { tilt: [tilt_x, tilt_y], degrees, scale, slant: [slant_x, slant_y], centre: [x, y] };
        let matrix = draw.matrix(Size::square(warp.canvas), Size::square(IMGSZ));
        // the reference composes in single precision
        for (ours, theirs) in matrix.0.as_flattened().iter().zip(warp.matrix) {
            assert!((ours - theirs).abs() < 2e-6 * theirs.abs().max(1.0) * 30.0, "{ours} {theirs}");
        }
        let mut sample = blank(Size::square(warp.canvas));
        let before = boxes(&warp.boxes);
        sample.objects = before.iter().map(|bbox| Object::new(0, *bbox)).collect();
        sample.warp(&matrix, Size::square(IMGSZ));
        for (i, (object, theirs)) in sample.objects.iter().zip(boxes(&warp.moved)).enumerate() {
            let ours = object.bbox;
            let pairs = [(ours.x1, theirs.x1), (ours.y1, theirs.y1), (ours.x2, theirs.x2), (ours.y2, theirs.y2)];
            assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 0.01), "box {i}: {ours:?} {theirs:?}");
            for (has_outline, theirs) in [(false, warp.kept[i]), (true, warp.kept_outlined[i])] {
                let is_kept = Before { area: before[i].area(), has_outline }.leaves(&ours, scale);
                assert_eq!(u8::from(is_kept), theirs, "box {i}");
                (kept, of) = (kept + usize::from(is_kept), of + 1);
            }
        }
    }
    assert!(of == 960 && (200..760).contains(&kept), "{kept} of {of}");
}

#[test]
fn letterboxes_lie_where_the_reference_has_them() {
    for Letterboxed { size: [width, height], corners: [x1, y1, x2, y2] } in golden().letterboxes {
        let mut sample = blank(Size::new(width, height));
        sample.objects = vec![Object::new(0, Bbox::new(0.0, 0.0, width as f32, height as f32))];
        sample.fit(IMGSZ);
        letterbox(&mut view(&mut sample), IMGSZ).unwrap();
        assert_eq!(sample.objects[0].bbox, Bbox::new(x1, y1, x2, y2), "{width} x {height}");
    }
}

/// A pixel of full value whose saturation is `s`, and whose hue is red.
fn saturated(s: u8) -> [u8; 3] {
    [255, 255 - s, 255 - s]
}

/// A pixel of full value and saturation whose hue is `h`, 0 to 179.
fn hued(h: u8) -> [u8; 3] {
    let (sector, part) = (h / 30, f32::from(h % 30) * 8.5);
    let (up, down) = (part.round() as u8, (255.0 - part).round() as u8);
    [[255, up, 0], [down, 255, 0], [0, 255, up], [0, down, 255], [up, 0, 255], [255, 0, down]][usize::from(sector)]
}

#[test]
fn hsv_gains_act_as_the_references_tables() {
    for Tables { gains: [h, s, v], hue, saturation, value } in golden().hsv {
        let [h, s, v] = [h as f32, s as f32, v as f32];
        let changed = |gains: HsvGains, mut pixel: [u8; 3]| {
            gains.apply(&mut pixel);
            pixel
        };
        for level in 0..=255_u8 {
            let place = usize::from(level);
            let ours = changed(HsvGains { h, s, v }, [level; 3]);
            assert_eq!(ours, [value[place]; 3], "value {level} times {v}");
            let ours = changed(HsvGains { s, ..HsvGains::NEUTRAL }, saturated(level));
            assert_eq!(ours, saturated(saturation[place]), "saturation {level} times {s}");
        }
        for level in 0..180 {
            let ours = changed(HsvGains { h, ..HsvGains::NEUTRAL }, hued(level));
            let theirs = hued(hue[usize::from(level)]);
            let distance = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(distance <= 1, "hue {level} times {h}: {ours:?} {theirs:?}; the next hue is 8 away");
        }
    }
}

#[test]
fn clahe_of_a_channel_is_opencvs() {
    for Equalised { size: [width, height], limit, pixels } in golden().clahe {
        let value = |x: u32, y: u32| ((3 * x * x + 7 * y * y + x * y) / 9 % 160 + 40) as u8;
        let mut ours: Vec<u8> = (0..height).flat_map(|y| (0..width).map(move |x| value(x, y))).collect();
        equalise(&mut ours, Size::new(width, height), limit, 8);
        let differences: Vec<_> = ours.iter().zip(&pixels).map(|(a, b)| a.abs_diff(*b)).filter(|d| *d > 0).collect();
        let rare = differences.len() * 100 <= ours.len() && differences.iter().all(|difference| *difference == 1);
        assert!(rare, "{width} x {height}, limit {limit}: {} of {} differ", differences.len(), ours.len());
    }
}

#[test]
fn an_untouched_matrix_is_the_identity() {
    let draw = Draw { tilt: [0.0; 2], degrees: 0.0, scale: 1.0, slant: [0.0; 2], centre: [0.5; 2] };
    assert_eq!(draw.matrix(Size::square(IMGSZ), Size::square(IMGSZ)), Matrix::IDENTITY);
}
