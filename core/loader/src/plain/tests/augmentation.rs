//! examples/c_augmentation, on real pixels.

use std::{fs, sync::LazyLock, thread};

use trainer_abi::AugmentationTable;
use trainer_sdk::{
    Augmentation, Result, Size,
    testing::{AugmentBench, picture},
};

use super::build::{example, start};
use crate::{
    Manifest,
    guest::{Factory, Instance},
};

const SIZE: Size = Size { width: 96, height: 64 };

fn made(options: &str) -> Result<Box<dyn Augmentation>> {
    static FACTORY: LazyLock<Factory<AugmentationTable>> =
        LazyLock::new(|| start(&example("c_augmentation", "salt_pepper.so").1).0);
    Ok(Box::new(Instance::make(&FACTORY, options)?))
}

/// What the augmentation makes of a picture: its pixels, and left and top edge of its object.
fn applied(options: &str, seed: u64) -> (Vec<u8>, [f32; 2]) {
    let bench = AugmentBench { seed, ..AugmentBench::default() };
    let sample = bench.apply(&*made(options).unwrap(), &picture(SIZE)).unwrap();
    (sample.render(), [sample.objects[0].bbox.x1, sample.objects[0].bbox.y1])
}

#[test]
fn the_file_is_a_plugin() {
    let (_dir, file) = example("c_augmentation", "salt_pepper.so");
    let manifest = Manifest::read(&file, &fs::read(&file).unwrap()).unwrap();
    assert_eq!((&*manifest.components[0].kind, &*manifest.components[0].name), ("augmentation", "salt_pepper"));
    assert_eq!(made("{}").unwrap().partners(), 0);
}

#[test]
fn without_strength_nothing_changes() {
    let plain = picture(SIZE);
    let (pixels, corner) = applied(r#"{"amount": 0, "shift": 0}"#, 1);
    assert_eq!((pixels, corner), (plain.render(), [plain.objects[0].bbox.x1, plain.objects[0].bbox.y1]));
}

#[test]
fn a_share_of_the_pixels_turns_black_or_white() {
    let plain = picture(SIZE).render();
    let (pixels, _) = applied(r#"{"amount": 0.1, "shift": 0}"#, 1);
    let changed = pixels.chunks(3).zip(plain.chunks(3)).filter(|(new, old)| new != old);
    let changed: Vec<_> = changed.map(|(new, _)| new).collect();
    let share = changed.len() as f64 / SIZE.area() as f64;
    assert!((0.08..0.12).contains(&share), "{share}");
    assert!(changed.iter().all(|pixel| [[0; 3], [255; 3]].iter().any(|wanted| wanted == *pixel)));
    let white = changed.iter().filter(|pixel| pixel[0] == 255).count() as f64 / changed.len() as f64;
    assert!((0.4..0.6).contains(&white), "{white}");
}

#[test]
fn objects_follow_the_move() {
    let [x, y] = applied(r#"{"amount": 0, "shift": 0.1}"#, 3).1;
    let (dx, dy) = (x - 24.0, y - 16.0);
    assert!(dx != 0.0 && dx.abs() <= 9.6 && dy != 0.0 && dy.abs() <= 6.4, "{dx} {dy}");
}

#[test]
fn the_seed_alone_decides_on_any_number_of_threads() {
    let options = r#"{"amount": 0.2, "shift": 0.1}"#;
    let (augmentation, wanted) = (made(options).unwrap(), applied(options, 5).0);
    let once =
        || AugmentBench { seed: 5, ..AugmentBench::default() }.apply(&*augmentation, &picture(SIZE)).unwrap().render();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(once)).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == wanted));
    });
    assert_ne!(applied(options, 6).0, wanted);
}

#[test]
fn bad_options_are_refused_by_name() {
    for (options, wanted) in [
        (r#"{"amount": 2}"#, "option `amount` must be in 0 to 1"),
        (r#"{"shift": null}"#, "option `shift` must be a number"),
    ] {
        let refused = made(options).err().unwrap().to_string();
        assert_eq!(refused, format!("plugin example.so refuses the options: {wanted}"));
    }
}
