//! Lines of text in DejaVu Sans, which has Latin, Greek, Cyrillic and many symbols.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, Glyph, PxScale, ScaleFont as _, point};

/// More characters of a line are never looked at.
const MAX_CHARS: usize = 512;

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()).expect("the built-in font is whole"));

/// Whether the font has every character of the text.
#[must_use]
pub fn is_shown(text: &str) -> bool {
    text.chars().all(|c| c.is_control() || FONT.glyph_id(c).0 != 0)
}

/// The width of a line in pixels.
#[must_use]
pub fn width(line: &str, size: f32) -> f32 {
    place(line, size, |_| {})
}

/// The text, cut to end in `…` where it is wider than `width` pixels.
#[must_use]
pub fn fitted(text: &str, size: f32, width: f32) -> String {
    let mut chars: Vec<char> = text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let whole: String = chars.iter().collect();
    if chars.len() == text.chars().take(MAX_CHARS + 1).count() && self::width(&whole, size) <= width {
        return whole;
    }
    while !chars.is_empty() {
        let cut = chars.iter().collect::<String>().trim_end().to_owned() + "…";
        if self::width(&cut, size) <= width {
            return cut;
        }
        chars.pop();
    }
    String::new()
}

/// Draws a line with its upper left corner at `x`, `y`: for each of its pixels `pixel` is told its place and how much
/// of it is covered, 0 to 1. What reaches beyond the line's height is left out.
pub fn draw(line: &str, x: f32, y: f32, size: f32, mut pixel: impl FnMut(i32, i32, f32)) {
    let rows = y.floor() as i32..(y + size).ceil() as i32;
    let baseline = (y + FONT.as_scaled(size).ascent()).round();
    place(line, size, |glyph| {
        let at = point(x + glyph.position.x, baseline);
        let Some(outlined) = FONT.outline_glyph(Glyph { position: at, ..glyph }) else { return };
        let (left, top) = (outlined.px_bounds().min.x as i32, outlined.px_bounds().min.y as i32);
        outlined.draw(|x, y, share| {
            let (x, y) = (left.saturating_add_unsigned(x), top.saturating_add_unsigned(y));
            if rows.contains(&y) {
                pixel(x, y, share.min(1.0));
            }
        });
    });
}

/// Hands over the glyphs, at their distances from the line's start, and returns the line's width.
fn place(line: &str, size: f32, mut each: impl FnMut(Glyph)) -> f32 {
    let scaled = FONT.as_scaled(size);
    let (mut x, mut before) = (0.0, None);
    for c in line.chars().take(MAX_CHARS) {
        let id = FONT.glyph_id(c);
        x += before.map_or(0.0, |before| scaled.kern(before, id));
        each(id.with_scale_and_position(PxScale::from(size), point(x, 0.0)));
        x += scaled.h_advance(id);
        before = Some(id);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_as_wide_as_it_says() {
        let (mut left, mut right, mut top, mut bottom) = (i32::MAX, 0, i32::MAX, 0);
        draw("HgÄ|", 10.0, 20.0, 16.0, |x, y, share| {
            if share > 0.0 {
                (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
            }
        });
        assert!(left >= 10 && (right as f32) < 10.0 + width("HgÄ|", 16.0), "{left} {right}");
        assert!(top >= 20 && bottom < 36, "{top} {bottom}");
        assert!(width("mm", 16.0) > width("ii", 16.0));
        assert_eq!(width("", 16.0), 0.0);
    }

    #[test]
    fn long_text_is_cut() {
        let long = "n".repeat(200);
        let cut = fitted(&long, 14.0, 100.0);
        assert!(cut.ends_with("n…") && width(&cut, 14.0) <= 100.0 && width(&cut, 14.0) > 85.0, "{cut}");
        assert_eq!(fitted("short", 14.0, 100.0), "short");
        assert_eq!(fitted("a\tb\n", 14.0, 100.0), "a b ");
        assert_eq!(fitted("any", 14.0, 1.0), "");
        let endless = fitted(&"i".repeat(100_000), 14.0, 1e9);
        assert!(endless.ends_with('…') && endless.chars().count() == MAX_CHARS + 1);
    }

    #[test]
    fn the_font_knows_what_it_has() {
        assert!(is_shown("Fußgänger, Ελλάδα, пешеход, ∞"));
        assert!(!is_shown("人") && !is_shown("🚗"));
    }
}
