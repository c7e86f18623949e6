//! Colours of classes, and of text on them.

use super::canvas::{Color, INK, WHITE};

/// The colour of a class: bright, and far from those of the classes around it. Hues go round by the golden ratio, so
/// that any number of first classes is spread over the circle; brightness and purity change every three and five.
#[must_use]
pub fn of_class(class: u32) -> Color {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    const FIRST: f64 = 0.53; // a light blue, rare on photos
    let hue = (FIRST + f64::from(class) * GOLDEN).fract();
    let saturation = [1.0, 0.72, 0.86][class as usize % 3];
    let value = [1.0, 0.95, 0.82, 1.0, 0.9][class as usize / 3 % 5];
    from_hsv(hue, saturation, value)
}

/// Black or white, whichever is easier to read on `color`.
#[must_use]
pub fn ink_on(color: Color) -> Color {
    if luminance(color) > 0.24 { INK } else { WHITE } // a little above where both have the same contrast
}

/// Relative luminance, 0 to 1, as WCAG 2 has it.
fn luminance(color: Color) -> f64 {
    let linear = color.map(|value| (f64::from(value) / 255.0).powf(2.2));
    linear[0] * 0.2126 + linear[1] * 0.7152 + linear[2] * 0.0722
}

/// All from 0 to 1.
fn from_hsv(hue: f64, saturation: f64, value: f64) -> Color {
    [5.0, 3.0, 1.0].map(|shift| {
        let k = (shift + hue * 6.0) % 6.0;
        let part = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (part * 255.0).round() as u8
    })
}

/// From white, for 0, to a dark blue, for 1.
#[must_use]
pub fn of_density(share: f64) -> Color {
    const STOPS: [[f64; 3]; 5] =
        [[255.0, 255.0, 255.0], [198.0, 219.0, 239.0], [107.0, 174.0, 214.0], [33.0, 113.0, 181.0], [8.0, 48.0, 107.0]];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let low = (at as usize).min(STOPS.len() - 2);
    let part = at - low as f64;
    std::array::from_fn(|i| (STOPS[low][i] + (STOPS[low + 1][i] - STOPS[low][i]) * part).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_differ_and_text_on_them_can_be_read() {
        let distance = |a: Color, b: Color| a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b))).sum::<u32>();
        for class in 0..80 {
            let color = of_class(class);
            for other in class + 1..(class + 6).min(80) {
                let far = distance(color, of_class(other));
                assert!(far > 90, "{class} {color:?} and {other} {:?}: {far}", of_class(other));
            }
            let (a, b) = (luminance(color), luminance(ink_on(color)));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast > 3.5, "{class} {color:?}: {contrast}");
        }
        let all: std::collections::BTreeSet<_> = (0..80).map(of_class).collect();
        assert_eq!(all.len(), 80);
        assert_ne!(of_class(u32::MAX), of_class(u32::MAX - 1));
    }

    #[test]
    fn known_colors() {
        assert_eq!(from_hsv(0.0, 1.0, 1.0), [255, 0, 0]);
        assert_eq!(from_hsv(1.0 / 3.0, 1.0, 1.0), [0, 255, 0]);
        assert_eq!(from_hsv(0.5, 0.5, 1.0), [128, 255, 255]);
        assert_eq!((of_density(0.0), of_density(1.0)), (WHITE, [8, 48, 107]));
        assert_eq!((ink_on([255, 230, 0]), ink_on([0, 0, 160])), (INK, WHITE));
    }
}
