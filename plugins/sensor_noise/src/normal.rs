//! Normal numbers at the price of a look-up: 4096 values of equal probability, picked by 12 random bits each.

use std::sync::LazyLock;

const BITS: u32 = 12;
const COUNT: usize = 1 << BITS;

/// Numbers that 64 random bits give.
pub const DRAWS: usize = (u64::BITS / BITS) as usize;

/// The normal distribution as the medians of 4096 slices of equal probability, scaled to a deviation of exactly 1; the
/// ends are at 3.7.
pub fn quantiles() -> &'static [f32; COUNT] {
    static TABLE: LazyLock<[f32; COUNT]> = LazyLock::new(|| {
        // From the median up, by dx/dp = 1 / density = sqrt(2 pi) exp(x² / 2), in steps of the midpoint rule.
        let slope = |x: f64| (std::f64::consts::TAU).sqrt() * (x * x / 2.0).exp();
        let steps = 64;
        let step = 0.5 / COUNT as f64 / f64::from(steps);
        let mut x = 0.0;
        let mut half = [0.0; COUNT / 2];
        for (i, median) in half.iter_mut().enumerate() {
            for _ in 0..if i == 0 { steps } else { 2 * steps } {
                x += step * slope(x + step / 2.0 * slope(x));
            }
            *median = x;
        }
        let deviation = (half.iter().map(|x| x * x).sum::<f64>() / half.len() as f64).sqrt();
        std::array::from_fn(|i| {
            let (sign, at) = if i % 2 == 0 { (1.0, i / 2) } else { (-1.0, i / 2) };
            (sign * half[at] / deviation) as f32
        })
    });
    &TABLE
}

/// The next number, from the lowest of `bits`, which go.
pub fn draw(quantiles: &[f32; COUNT], bits: &mut u64) -> f32 {
    let index = *bits as usize % COUNT;
    *bits >>= BITS;
    quantiles[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_distributions_figures() {
        let mut sorted = quantiles().map(f64::from);
        sorted.sort_by(f64::total_cmp);
        let mean = |f: fn(f64) -> f64| sorted.iter().map(|x| f(*x)).sum::<f64>() / COUNT as f64;
        assert!(mean(|x| x).abs() < 1e-6);
        assert!((mean(|x| x * x) - 1.0).abs() < 1e-6);
        assert!((mean(|x| x.powi(4)) - 3.0).abs() < 0.02, "{}", mean(|x| x.powi(4)));
        // 97.5 % lie below 1.959964, 99.865 % below 3.
        assert!((sorted[(0.975 * COUNT as f64) as usize] - 1.959_964).abs() < 0.01);
        assert_eq!(sorted.iter().filter(|x| **x > 3.0).count(), 6);
        assert!(sorted[COUNT - 1] > 3.6 && sorted[COUNT - 1] < 3.75, "{}", sorted[COUNT - 1]);
    }

    #[test]
    fn every_draw_takes_bits_of_its_own() {
        let mut bits = 0x0005_0040_0300_2001;
        let drawn: Vec<_> = (0..DRAWS).map(|_| draw(quantiles(), &mut bits)).collect();
        assert_eq!(drawn, [1, 2, 3, 4, 5].map(|i| quantiles()[i]));
        assert_eq!(bits, 0);
    }
}
