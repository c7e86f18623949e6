//! The plugin on the test kit: the trainer's own samples, drawn by its own renderer.

// ANCHOR: test
use trainer_sdk::{
    Size,
    testing::{self, AugmentBench},
};

#[test]
fn red_and_blue_change_places() {
    let sample = testing::picture(Size::new(32, 16));
    let flip = testing::component("augmentation", "flip_colors").make_augmentation(r#"{"p": 1}"#).unwrap();
    let flipped = AugmentBench::default().apply(flip.as_ref(), &sample).unwrap();
    let swapped: Vec<u8> = sample.render().chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    assert_eq!(flipped.render(), swapped);
    assert_eq!(flipped.objects, sample.objects);
}
// ANCHOR_END: test

#[test]
fn p_is_a_chance() {
    let component = testing::component("augmentation", "flip_colors");
    assert_eq!(component.options_default()["p"], 0.5);
    assert!(component.make_augmentation(r#"{"p": 1.5}"#).is_err());
}
