//! Statistics of 10^6 normals. Seeds are fixed, so a bound of five standard errors either
//! always holds or never.

use ctrnn_random::{Key, Rng, Stream, unit_normals};

const N: usize = 1 << 20;
/// 1/sqrt(N): the standard error of a mean, and of a correlation, of N normals.
const ERROR: f64 = 1.0 / 1024.0;

fn filled(n: usize) -> Vec<f32> {
    let mut normals = vec![0.0; n];
    Rng::new(Key::new(2024, Stream::Eps, 0), 0, 0).fill_normal(&mut normals);
    normals
}

fn moment(normals: &[f32], power: i32) -> f64 {
    normals
        .iter()
        .map(|&n| f64::from(n).powi(power))
        .sum::<f64>()
        / normals.len() as f64
}

/// Moments 1 to 4 of a standard normal are 0, 1, 0, 3; n^k has the variances 1, 2, 15, 96.
#[test]
fn moments() {
    let normals = filled(N);
    for (power, expected, variance) in [
        (1, 0.0, 1.0),
        (2, 1.0, 2.0),
        (3, 0.0, 15.0),
        (4, 3.0, 96.0_f64),
    ] {
        let found = moment(&normals, power);
        assert!(
            (found - expected).abs() < 5.0 * variance.sqrt() * ERROR,
            "moment {power}: {found}"
        );
    }
}

/// P(|n| > 1, 2, 3, 4) = 0.317311, 0.0455003, 0.0026998, 6.3342e-5; a count has the standard
/// deviation sqrt(N p (1 - p)).
#[test]
fn tails() {
    let normals = filled(N);
    for (bound, p) in [
        (1.0, 0.317_311),
        (2.0, 0.045_500_3),
        (3.0, 0.002_699_8),
        (4.0, 6.3342e-5),
    ] {
        let count = normals.iter().filter(|n| n.abs() > bound).count() as f64;
        let expected = N as f64 * p;
        assert!(
            (count - expected).abs() < 5.0 * (expected * (1.0 - p)).sqrt(),
            "beyond {bound}: {count}, not {expected}"
        );
    }
}

/// Neighbours in every direction of the address, and the four time steps of one call, are
/// uncorrelated; so are their squares, which would show a shared radius.
#[test]
fn neighbours_are_uncorrelated() {
    let key = |seed, stream, layer| Key::new(seed, stream, layer);
    let base = key(5, Stream::Eps, 0);
    let at = |i: usize| {
        [
            i as u32 % 64,
            i as u32 / 64 % 32,
            i as u32 / 2048 % 16,
            i as u32 / 32_768,
        ]
    };
    let normals = |key: Key, shift: [u32; 4]| -> Vec<[f32; 4]> {
        let address = |i| -> [u32; 4] { std::array::from_fn(|word| at(i)[word] + shift[word]) };
        (0..N / 4)
            .map(address)
            .map(|[unit, trial, block, step]| unit_normals(key, unit, trial, block, step))
            .collect()
    };
    let here = normals(base, [0; 4]);
    let neighbours = [
        ("unit", normals(base, [1, 0, 0, 0])),
        ("trial", normals(base, [0, 1, 0, 0])),
        ("time", normals(base, [0, 0, 1, 0])),
        ("step", normals(base, [0, 0, 0, 1])),
        ("seed", normals(key(6, Stream::Eps, 0), [0; 4])),
        ("stream", normals(key(5, Stream::Xi, 0), [0; 4])),
        ("layer", normals(key(5, Stream::Eps, 1), [0; 4])),
        (
            "time within a call",
            here.iter().map(|&[a, b, c, d]| [b, c, d, a]).collect(),
        ),
    ];
    for (direction, there) in neighbours {
        let pairs = || {
            here.as_flattened()
                .iter()
                .zip(there.as_flattened())
                .map(|(&a, &b)| (f64::from(a), f64::from(b)))
        };
        let product = pairs().map(|(a, b)| a * b).sum::<f64>() / N as f64;
        let squares = pairs()
            .map(|(a, b)| (a * a - 1.0) * (b * b - 1.0))
            .sum::<f64>()
            / N as f64;
        // The variance of a b is 1, of (a^2 - 1)(b^2 - 1) it is 4.
        assert!(product.abs() < 5.0 * ERROR, "{direction}: {product}");
        assert!(
            squares.abs() < 10.0 * ERROR,
            "{direction}, squares: {squares}"
        );
    }
}
