//! Maps of the plane: 3x3 matrices over continuous pixel coordinates (x right, y down, pixel centres at i + 0.5).

use crate::half_plane::HalfPlane;

/// A projective map; rows first, so that `(x', y', w') = m * (x, y, 1)` and the point lands at `(x'/w', y'/w')`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix(pub [[f64; 3]; 3]);

impl Matrix {
    /// Leaves every point where it is.
    pub const IDENTITY: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// Moves by (x, y) pixels.
    #[must_use]
    pub const fn translate(x: f64, y: f64) -> Self {
        Self([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
    }

    /// Multiplies x and y, about the origin; a negative factor mirrors.
    #[must_use]
    pub const fn scale(x: f64, y: f64) -> Self {
        Self([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])
    }

    /// Turns about the origin, counter-clockwise as seen on the screen.
    #[must_use]
    pub fn rotate(degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    }

    /// Slants: x' = x + `x` * y, y' = y + `y` * x.
    #[must_use]
    pub const fn shear(x: f64, y: f64) -> Self {
        Self([[1.0, x, 0.0], [y, 1.0, 0.0], [0.0, 0.0, 1.0]])
    }

    /// Tilts the plane: points are divided by 1 + `x` * x + `y` * y.
    #[must_use]
    pub const fn perspective(x: f64, y: f64) -> Self {
        Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [x, y, 1.0]])
    }

    /// The map that does `self` first and `next` after it.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let cell = |r: usize, c: usize| (0..3).map(|k| next.0[r][k] * self.0[k][c]).sum();
        Self(std::array::from_fn(|r| std::array::from_fn(|c| cell(r, c))))
    }

    /// The map back; `None` where there is none (a singular or non-finite matrix).
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        let Self([[a, b, c], [d, e, f], [g, h, i]]) = *self;
        let cofactors = [
            [e * i - f * h, c * h - b * i, b * f - c * e],
            [f * g - d * i, a * i - c * g, c * d - a * f],
            [d * h - e * g, b * g - a * h, a * e - b * d],
        ];
        let determinant = g * cofactors[0][2] + h * cofactors[1][2] + i * cofactors[2][2];
        let inverse = cofactors.map(|row| row.map(|cell| cell / determinant));
        inverse.iter().flatten().all(|cell| cell.is_finite()).then_some(Self(inverse))
    }

    /// Where the point lands; not finite for points on the horizon of a perspective map.
    #[must_use]
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [u, v, w] = self.0.map(|[a, b, c]| a * x + b * y + c);
        [u / w, v / w]
    }

    /// Whether parallels stay parallel, i.e. the last row is 0 0 1.
    #[must_use]
    pub fn is_affine(&self) -> bool {
        self.0[2] == [0.0, 0.0, 1.0]
    }

    /// The polygon's image; what lies behind the horizon of a perspective map is cut off.
    pub(crate) fn apply_polygon(&self, points: impl Iterator<Item = [f64; 2]>) -> Vec<[f64; 2]> {
        let mut points: Vec<_> = points.collect();
        if !self.is_affine() {
            let [x, y, w] = self.0[2];
            points = HalfPlane([x, y, w - NEAR]).cut(&points);
        }
        points.iter().map(|&point| self.apply(point)).collect()
    }
}

/// The smallest w' of a visible point: a millionth of the distance of the picture's centre.
const NEAR: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: [f64; 2], b: [f64; 2]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn maps_compose_from_left_to_right() {
        let matrix = Matrix::translate(-1.0, -2.0).then(&Matrix::scale(2.0, 3.0));
        assert_eq!(matrix.apply([4.0, 4.0]), [6.0, 6.0]);
        assert!(close(Matrix::rotate(90.0).apply([1.0, 0.0]), [0.0, -1.0])); // up on the screen
        assert_eq!(Matrix::shear(0.5, 0.0).apply([1.0, 2.0]), [2.0, 2.0]);
        assert_eq!(Matrix::perspective(0.1, 0.0).apply([10.0, 4.0]), [5.0, 2.0]);
    }

    #[test]
    fn the_inverse_leads_back() {
        let turned = Matrix::rotate(30.0).then(&Matrix::shear(0.2, -0.1)).then(&Matrix::translate(7.0, -3.0));
        assert!(turned.inverse().unwrap().is_affine());
        let tilted = turned.then(&Matrix::perspective(1e-3, -2e-3));
        let back = tilted.inverse().unwrap();
        assert!(close(back.apply(tilted.apply([20.0, 11.0])), [20.0, 11.0]));
        assert_eq!(Matrix::scale(0.0, 1.0).inverse(), None);
        assert_eq!(Matrix::scale(f64::NAN, 1.0).inverse(), None);
    }

    #[test]
    fn a_polygon_is_cut_at_the_horizon() {
        let tilted = Matrix::perspective(-0.1, 0.0); // the horizon is x = 10
        let points = [[0.0, 0.0], [20.0, 0.0], [20.0, 5.0], [0.0, 5.0]];
        let seen = tilted.apply_polygon(points.into_iter());
        assert!(seen.iter().all(|p| p[0] >= 0.0 && p[0].is_finite()), "{seen:?}");
    }
}
