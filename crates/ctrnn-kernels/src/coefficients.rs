//! Coefficients of the polynomials that approximate exponentials and logarithms, on the CPU and on GPUs (`scripts/minimax.py`).

/// Coefficients of the polynomials for an element type, from `scripts/minimax.py`; lowest power first.
pub trait Coefficients: Sized + 'static {
    /// `expm1(x) / x` for |x| <= ln(2) / 2; relative error 2.2e-8 (`f32`), 2.1e-17 (`f64`).
    const EXPM1: &[Self];
    /// `log1p(x) / x` on [0, 1]; relative error 3.3e-8 (`f32`), 6.9e-17 (`f64`).
    const LOG1P: &[Self];
    /// `ln 2` as a sum of two numbers; the first has so few bits that its product with an exponent is exact.
    const LN_2: [Self; 2];
    /// `1 / ln 2`
    const LOG2_E: Self;
    /// Size below which a state or a gradient counts as zero: far below any that matters, and far above the subnormal numbers, which
    /// many CPUs compute with a hundred times more slowly. A state decays to them in a few hundred time steps without input, and a
    /// gradient in as many that the loss does not count.
    const NEGLIGIBLE: Self;
    /// Smallest argument of the exponentials, which are constant below it: `2^n` would leave the normal numbers.
    const LOWEST: Self;
}

impl Coefficients for f32 {
    const EXPM1: &[Self] = &[
        1.0,
        0.49999997,
        0.16666506,
        0.041667137,
        0.008369138,
        0.0013888873,
    ];
    const LOG1P: &[Self] = &[
        1.0,
        -0.49999902,
        0.33329964,
        -0.24954134,
        0.19675939,
        -0.15305592,
        0.10603655,
        -0.056959536,
        0.019851463,
        -0.0032440252,
    ];
    const LN_2: [Self; 2] = [0.69314575, 1.4286068e-06];
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const NEGLIGIBLE: Self = 1e-30;
    const LOWEST: Self = -87.0;
}

impl Coefficients for f64 {
    const EXPM1: &[Self] = &[
        1.0,
        0.5000000000000006,
        0.16666666666666563,
        0.041666666666573184,
        0.008333333333398339,
        0.0013888888932513334,
        0.00019841269706683253,
        2.480150427886698e-05,
        2.755741516183068e-06,
        2.762639748609094e-07,
        2.505209702084636e-08,
    ];
    const LOG1P: &[Self] = &[
        1.0,
        -0.49999999999999856,
        0.3333333333330922,
        -0.24999999998422934,
        0.19999999945157382,
        -0.166666654932892,
        0.14285697425289962,
        -0.1249982758978879,
        0.11109804396423349,
        -0.09992437787582865,
        0.09056731801586654,
        -0.08210573036828511,
        0.07336860897458403,
        -0.06302992276783259,
        0.05028096325265341,
        -0.03575837034650723,
        0.021708305558940672,
        -0.010744093757739133,
        0.00410992428070609,
        -0.0011299546226542986,
        0.0001975085371433686,
        -1.6418507893122393e-05,
    ];
    const LN_2: [Self; 2] = [0.6931471805598903, 5.497923018708371e-14];
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const NEGLIGIBLE: Self = 1e-290;
    const LOWEST: Self = -708.0;
}
