//! Initialisation of the weights: drawn on the host, from the seed alone, the same on every device.
//!
//! Every step acts on the effective weights: the drawn numbers get mask and signs, then the balance, then the spectral radius. The
//! raw (trained) weights follow from them by the parametrization.

use burn::tensor::TensorData;
use ctrnn_random::{Key, Rng, Stream};
use faer::Mat;

use crate::connectivity::Matrix;
use crate::spectrum::{MOST_UNITS_FOR_RADIUS, has_loop, positive_radius, spectral_radius};
use crate::synapses::Constraints;
use crate::{
    Activation, Balance, CtrnnConfig, Gamma, Gaussian, Lognormal, LowRank, ModelError, Uniform,
    WeightInit, Weights, factors,
};

impl CtrnnConfig {
    /// Returns the balance of the initial recurrent weights: the one asked for, or the default.
    ///
    /// The default is `row` under Dale's law (Song et al. 2016): without it the columns of four excitatory units to one inhibitory
    /// add up to an eigenvalue of about `0.5 sqrt(N)`, and rates grow without bound. It is `none` where no unit can receive both
    /// kinds, or the weights are not random.
    ///
    /// ```
    /// use ctrnn_model::{Balance, CtrnnConfig, Dale};
    /// let config = CtrnnConfig { dale: Some(Dale::default()), ..CtrnnConfig::new(3, 128, 2) };
    /// assert_eq!((config.balance(), config.spectral_radius()), (Balance::Row, Some(1.0)));
    /// ```
    pub fn balance(&self) -> Balance {
        if let Some(balance) = self.init.balance {
            return balance;
        }
        let is_random = !matches!(
            self.init.recurrent,
            WeightInit::Zero | WeightInit::Diagonal(_)
        );
        if is_random && self.can_balance() {
            Balance::Row
        } else {
            Balance::None
        }
    }

    /// Returns the spectral radius of the initial recurrent weights, or `None` if they keep their natural scale: the one asked for
    /// or, where no balance is asked for either, the default.
    ///
    /// The default is 1 under Dale's law, as unconstrained gaussian weights have it: neither rates nor gradients grow with the
    /// length of a trial. It is 0.2 for `power`, whose slope grows with the rate. It is absent without Dale's law, without a loop
    /// of connections (the radius is then 0), with fixed weights or a distribution that sets a scale of its own, and above 1024
    /// units, where finding it takes minutes.
    pub fn spectral_radius(&self) -> Option<f64> {
        if let Some(radius) = self.init.spectral_radius {
            return radius.asked();
        }
        let is_usual = self.init.balance.is_none()
            && self.dale.is_some()
            && self.connectivity.recurrent.fixed.is_none()
            && self.n_units <= MOST_UNITS_FOR_RADIUS
            && self.init.recurrent != WeightInit::Zero
            && !self.init.recurrent.has_own_scale();
        let usual = match self.activation {
            Activation::Power(law) if law.exponent > 1.0 => 0.2,
            _ => 1.0,
        };
        (is_usual && self.has_loops()).then_some(usual)
    }

    /// Returns the same network with every absent value that follows from other values filled in.
    #[must_use]
    pub fn written_out(self) -> Self {
        self.map_layers(Self::layer_written_out)
    }

    fn layer_written_out(mut self) -> Self {
        let (balance, radius) = (self.balance(), self.spectral_radius());
        self.init.balance = Some(balance);
        if let Some(radius) = radius {
            self.init.spectral_radius = Some(radius.into());
        }
        // The fraction is a default of areas.
        if let Some(dale) = &mut self.dale
            && self.areas.is_empty()
            && (dale.signs.is_some() || self.connectivity.signs.is_some())
        {
            dale.excitatory_fraction = None;
        }
        self
    }

    /// Returns true if some unit can receive excitation and inhibition that are trained, whatever the density.
    fn can_balance(&self) -> bool {
        let (Some(signs), n) = (self.signs(Matrix::Recurrent), self.n_units) else {
            return false;
        };
        let possible = self.possible(Matrix::Recurrent);
        let fixed = self.connectivity.recurrent.fixed.as_ref();
        let is_plastic = |k: usize| {
            possible.as_ref().is_none_or(|p| p[k] == 1.0) && fixed.is_none_or(|f| f[k] == 0.0)
        };
        (0..n).any(|post| {
            let receives =
                |sign: f64| (0..n).any(|pre| signs[pre] == sign && is_plastic(post * n + pre));
            receives(1.0) && receives(-1.0)
        })
    }

    /// Returns true if the possible recurrent connections form a loop, whatever the density.
    fn has_loops(&self) -> bool {
        let possible = self.possible(Matrix::Recurrent);
        let can_loop = possible.is_none_or(|possible| has_loop(&possible, self.n_units));
        self.density.recurrent > 0.0 && can_loop
    }
}

/// Draws the weight matrices and masks before the first training step, by the names of weight files.
///
/// # Errors
/// If a spectral radius or a balance is asked of a matrix that cannot have it.
pub(crate) fn draw(config: &CtrnnConfig, seed: u64) -> Result<Weights, ModelError> {
    let key = Key::new(seed, Stream::Weights, config.layer.into());
    let mut weights = Weights::new();
    let full = config.low_rank.as_ref().is_none_or(LowRank::has_full);
    for (index, matrix) in (0..).zip(Matrix::ALL) {
        if matrix == Matrix::Recurrent && !full {
            continue;
        }
        // Masks have generators of their own, 3 to 5, after those of the weights, 0 to 2.
        let mask = draw_mask(config, matrix, |address| Rng::new(key, 3 + index, address));
        let constraints = Constraints::new(config, matrix, mask);
        let mut effective = draw_effective(config, &constraints, &mut Rng::new(key, index, 0));
        if matrix == Matrix::Recurrent {
            if let Some(factors) = &config.low_rank {
                effective
                    .iter_mut()
                    .for_each(|weight| *weight *= factors.gain);
            }
            balance(config.balance(), &constraints, &mut effective)?;
            if let Some(asked) = config.spectral_radius() {
                scale_to(&mut effective, &constraints, asked)?;
            }
        }
        weights.extend(constraints.arrays());
        let data = TensorData::new(effective, constraints.shape);
        weights.insert(matrix.array("weight"), data);
    }
    if let Some(factors) = &config.low_rank {
        factors::draw(config, factors, key, &mut weights)?;
    }
    Ok(weights)
}

/// Draws the connections of a matrix: the possible ones, or as many of them as densities and degrees ask for; `rng` makes the
/// generator of an address.
fn draw_mask(config: &CtrnnConfig, matrix: Matrix, rng: impl Fn(u64) -> Rng) -> Option<Vec<f64>> {
    let possible = config.possible(matrix);
    if !config.has_drawn_connections(matrix) {
        return possible;
    }
    let choices = config.choices(matrix, possible.as_deref());
    let size: usize = matrix.shape(config).iter().product();
    let mut mask = possible.unwrap_or_else(|| vec![1.0; size]);
    let fixed = config.connectivity.of(matrix).fixed.as_ref();
    let is_fixed = |k: usize| fixed.is_some_and(|fixed| fixed[k] != 0.0);
    for block in choices.chunk_by(|a, b| a.address == b.address) {
        let mut rng = rng(block[0].address);
        for choice in block {
            let all = choice.candidates.iter().copied();
            let (fixed, mut others): (Vec<usize>, Vec<usize>) = all.partition(|&k| is_fixed(k));
            rng.shuffle(&mut others);
            others[choice.count - fixed.len()..]
                .iter()
                .for_each(|&k| mask[k] = 0.0);
        }
    }
    Some(mask)
}

/// Draws weights and applies mask, signs and fixed weights.
fn draw_effective(config: &CtrnnConfig, constraints: &Constraints, rng: &mut Rng) -> Vec<f64> {
    let [post, pre] = constraints.shape;
    let fan_in = match &constraints.mask {
        None => pre as f64,
        Some(mask) => mask.iter().sum::<f64>() / post as f64,
    };
    let bound = 1.0 / fan_in.max(1.0).sqrt();
    let init = config.init.of(constraints.matrix);
    let drawn = init.draw(post, pre, bound, rng);
    let constrained = |(k, weight): (usize, f64)| match constraints.sign(k) {
        _ if !constraints.is_plastic(k) => constraints.fixed_weight(k),
        Some(sign) => sign * weight.abs(),
        None => weight,
    };
    drawn.into_iter().enumerate().map(constrained).collect()
}

impl WeightInit {
    /// Draws a matrix `[post, pre]`, row-major. `bound` is its natural scale, which the gain multiplies: the root mean square of
    /// its entries (`uniform`: their bound).
    pub(crate) fn draw(self, post: usize, pre: usize, bound: f64, rng: &mut Rng) -> Vec<f64> {
        let size = post * pre;
        if size == 0 {
            return Vec::new();
        }
        let (gain, bound) = (self.gain(), self.gain() * bound);
        let fill = |draw: &mut dyn FnMut() -> f64| (0..size).map(|_| draw()).collect::<Vec<_>>();
        match self {
            Self::Gaussian(Gaussian { mean, std, .. }) => {
                let std = std.unwrap_or(bound);
                fill(&mut || mean + std * f64::from(rng.normal()))
            }
            Self::Uniform(Uniform { low, high, .. }) => {
                let (low, high) = (low.unwrap_or(-bound), high.unwrap_or(bound));
                fill(&mut || rng.uniform_in(low, high))
            }
            Self::Gamma(Gamma { shape, scale, .. }) => {
                // A gamma variable of scale 1 has the mean square k (k + 1).
                let scale = scale.map_or(bound, |s| s * (shape * (shape + 1.0)).sqrt());
                fill(&mut || {
                    let drawn = gamma(shape, rng);
                    let magnitude = scale * drawn / (shape * (shape + 1.0)).sqrt();
                    random_sign(rng) * magnitude
                })
            }
            // The mean square of exp(sigma n) is exp(2 sigma^2).
            Self::Lognormal(Lognormal { sigma, mu, .. }) => fill(&mut || {
                let n = sigma * f64::from(rng.normal());
                let magnitude = match mu {
                    None => bound * (n - sigma * sigma).exp(),
                    Some(mu) => (n + mu).exp(),
                };
                random_sign(rng) * magnitude
            }),
            Self::Orthogonal(_) => {
                let entries = orthonormal(&fill(&mut || f64::from(rng.normal())), post, pre);
                entries.into_iter().map(|entry| gain * entry).collect()
            }
            Self::Diagonal(_) => (0..size)
                .map(|k| if k / pre == k % pre { gain } else { 0.0 })
                .collect(),
            Self::Zero => vec![0.0; size],
        }
    }
}

/// Draws from the gamma distribution of a shape, with scale 1.
///
/// # References
/// Marsaglia and Tsang (2000), "A simple method for generating gamma variables".
fn gamma(shape: f64, rng: &mut Rng) -> f64 {
    if shape == 2.0 {
        let mut exponential = || rng.truncated_exponential(1.0, 0.0, f64::INFINITY);
        return exponential() + exponential();
    }
    if shape < 1.0 {
        let power = (1.0 - rng.uniform()).powf(1.0 / shape); // above 0
        return gamma(shape + 1.0, rng) * power;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(rng.normal());
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - rng.uniform();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

fn random_sign(rng: &mut Rng) -> f64 {
    match rng.below(2) {
        0 => 1.0,
        _ => -1.0,
    }
}

/// Returns the orthonormal factor of a gaussian matrix, with signs chosen so that it is uniform over orthogonal matrices.
///
/// # References
/// Mezzadri (2007), "How to generate random matrices from the classical compact groups", section 5.
fn orthonormal(normals: &[f64], post: usize, pre: usize) -> Vec<f64> {
    let (long, short) = (post.max(pre), post.min(pre));
    let qr = Mat::from_fn(long, short, |row, col| normals[row * short + col]).qr();
    let (q, r) = (qr.compute_thin_Q(), qr.thin_R());
    let entry = |row: usize, col: usize| q[(row, col)] * r[(col, col)].signum();
    (0..post * pre)
        .map(|k| (k / pre, k % pre))
        .map(|(row, col)| {
            if post >= pre {
                entry(row, col)
            } else {
                entry(col, row)
            }
        })
        .collect()
}

/// Scales the inhibitory weights so that they cancel the excitatory ones, over each row or over the whole matrix.
///
/// A row without plastic inhibition or without excitation stays as it is.
fn balance(
    balance: Balance,
    constraints: &Constraints,
    effective: &mut [f64],
) -> Result<(), ModelError> {
    let [post, pre] = constraints.shape;
    let width = match balance {
        Balance::None => return Ok(()),
        Balance::Row => pre,
        Balance::Total => post * pre,
    };
    let mut n_balanced = 0;
    for first in (0..post * pre).step_by(width) {
        let entries = first..first + width;
        let is_plastic_inhibition =
            |k: usize| constraints.is_plastic(k) && constraints.sign(k) == Some(-1.0);
        let total: f64 = entries.clone().map(|k| effective[k]).sum();
        let inhibition: f64 = entries
            .clone()
            .filter(|&k| is_plastic_inhibition(k))
            .map(|k| -effective[k])
            .sum();
        let target = total + inhibition; // what is not plastic inhibition, summed
        if inhibition > 0.0 && target > 0.0 {
            n_balanced += 1;
            entries
                .filter(|&k| is_plastic_inhibition(k))
                .for_each(|k| effective[k] *= target / inhibition);
        }
    }
    if n_balanced > 0 {
        return Ok(());
    }
    Err(ModelError::Unbalanced)
}

/// Scales the plastic weights so that the whole matrix has the spectral radius `asked`.
fn scale_to(
    effective: &mut [f64],
    constraints: &Constraints,
    asked: f64,
) -> Result<(), ModelError> {
    let n = constraints.shape[0];
    let scaled = |factor: f64| -> Vec<f64> {
        let scale = |(k, &w): (usize, &f64)| {
            if constraints.is_plastic(k) {
                factor * w
            } else {
                w
            }
        };
        effective.iter().enumerate().map(scale).collect()
    };
    let found = positive_radius(effective, n)?.ok_or(ModelError::ZeroSpectralRadius { asked })?;
    let factor = match &constraints.fixed {
        None => asked / found,
        Some(_) => {
            let excess =
                |factor: f64| spectral_radius(&scaled(factor), n).map(|found| found - asked);
            root_above_zero(excess)?.ok_or(ModelError::FixedSpectralRadius { asked })?
        }
    };
    let scaled = scaled(factor);
    effective.copy_from_slice(&scaled);
    Ok(())
}

/// Finds a zero of a continuous function that is negative at zero, by doubling and halving.
///
/// Returns `None` if the function is not negative at zero, or is still negative near 1e6.
fn root_above_zero(f: impl Fn(f64) -> Result<f64, ModelError>) -> Result<Option<f64>, ModelError> {
    if f(0.0)? >= 0.0 {
        return Ok(None);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while f(high)? < 0.0 {
        (low, high) = (high, 2.0 * high);
        if high > 1e6 {
            return Ok(None);
        }
    }
    while high - low > 1e-9 * high {
        let middle = 0.5 * (low + high);
        if f(middle)? < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dale, Gain, SpectralRadius, WeightInits};

    fn network(recurrent: WeightInit, spectral_radius: Option<f64>) -> CtrnnConfig {
        let init = WeightInits {
            recurrent,
            spectral_radius: spectral_radius.map(SpectralRadius::Of),
            ..WeightInits::default()
        };
        CtrnnConfig {
            init,
            ..CtrnnConfig::new(3, 50, 2)
        }
    }

    fn dale(excitatory_fraction: f64) -> Option<Dale> {
        Some(Dale {
            excitatory_fraction: Some(excitatory_fraction),
            ..Dale::default()
        })
    }

    fn values(weights: &Weights, name: &str) -> Vec<f64> {
        weights[name].iter::<f64>().collect()
    }

    fn recurrent(config: &CtrnnConfig, seed: u64) -> Vec<f64> {
        values(&draw(config, seed).unwrap(), "recurrent.weight")
    }

    #[test]
    fn spectral_radius_is_the_one_asked_for() {
        for init in WeightInit::ALL
            .into_iter()
            .filter(|&i| i != WeightInit::Zero)
        {
            for seed in 0..3 {
                let weights = recurrent(&network(init, Some(1.3)), seed);
                let found = spectral_radius(&weights, 50).unwrap();
                assert!((found - 1.3).abs() < 1e-9, "{init:?}: {found}");
            }
        }
    }

    #[test]
    fn orthogonal_weights_have_orthonormal_rows_or_columns() {
        let mut rng = Rng::new(Key::new(7, Stream::Weights, 0), 0, 0);
        for (post, pre) in [(4, 4), (3, 5), (5, 3), (1, 4)] {
            let w = WeightInit::ORTHOGONAL.draw(post, pre, 1.0, &mut rng);
            let short = post.min(pre);
            for a in 0..short {
                for b in 0..short {
                    let dot: f64 = (0..post.max(pre))
                        .map(|k| {
                            if post >= pre {
                                w[k * pre + a] * w[k * pre + b]
                            } else {
                                w[a * pre + k] * w[b * pre + k]
                            }
                        })
                        .sum();
                    let expected = f64::from(u8::from(a == b));
                    assert!((dot - expected).abs() < 1e-12, "[{post},{pre}]: {dot}");
                }
            }
        }
    }

    /// 1/50 for 50 connections onto each unit, 1/25 for 25. The standard error of a mean of 2500 squares is 2.8 % for
    /// gaussian, 3.1 % for gamma (fourth moment 120/36 of the squared second) and 15 % for lognormal (e^4).
    #[test]
    fn the_mean_square_of_a_weight_is_one_over_its_fan_in() {
        let bounds = [
            (WeightInit::GAUSSIAN, 0.1),
            (WeightInit::GAMMA, 0.2),
            (WeightInit::LOGNORMAL, 0.6),
        ];
        for ((init, bound), density) in bounds.into_iter().flat_map(|b| [(b, 1.0), (b, 0.5)]) {
            let mut config = network(init, None);
            config.density.recurrent = density;
            let weights = recurrent(&config, 1);
            let n_connections = 2500.0 * density;
            let mean_square = weights.iter().map(|w| w * w).sum::<f64>() / n_connections;
            let expected = 1.0 / (50.0 * density);
            assert!(
                (mean_square / expected - 1.0).abs() < bound,
                "{init:?}: {mean_square}"
            );
        }
    }

    #[test]
    fn balanced_rows_and_matrices_sum_to_zero() {
        for (kind, density) in [
            (Balance::Row, 1.0),
            (Balance::Row, 0.5),
            (Balance::Total, 0.3),
        ] {
            let mut config = network(WeightInit::GAMMA, Some(1.5));
            config.dale = dale(0.8);
            config.density.recurrent = density;
            config.init.balance = Some(kind);
            let weights = recurrent(&config, 4);
            let width = if kind == Balance::Row { 50 } else { 2500 };
            for group in weights.chunks(width) {
                let sum: f64 = group.iter().sum();
                let has_both = group.iter().any(|&w| w > 0.0) && group.iter().any(|&w| w < 0.0);
                assert!(!has_both || sum.abs() < 1e-12, "{kind:?}: {sum}");
            }
        }
    }

    /// Default balances and radii never ask for something that the connections cannot have.
    #[test]
    fn what_is_usual_under_dales_law() {
        let usual = |change: &dyn Fn(&mut CtrnnConfig)| {
            let mut config = network(WeightInit::GAUSSIAN, None);
            config.dale = dale(0.8);
            change(&mut config);
            draw(&config, 1).unwrap();
            (config.balance(), config.spectral_radius())
        };
        let below = |k: usize| f64::from(u8::from(k / 50 > k % 50));
        let fixed = |k: usize| if k == 1 { 2.0 } else { 0.0 };
        let (row, none) = (Balance::Row, Balance::None);
        assert_eq!(usual(&|_| {}), (row, Some(1.0)));
        assert_eq!(usual(&|c| c.dale = None), (none, None));
        assert_eq!(usual(&|c| c.dale = dale(1.0)), (none, Some(1.0)));
        assert_eq!(usual(&|c| c.dale = dale(0.0)), (none, Some(1.0)));
        let power = Activation::POWER;
        assert_eq!(usual(&|c| c.activation = power), (row, Some(0.2)));
        let init = |recurrent| move |c: &mut CtrnnConfig| c.init.recurrent = recurrent;
        assert_eq!(usual(&init(WeightInit::Zero)), (none, None));
        assert_eq!(usual(&init(WeightInit::DIAGONAL)), (none, Some(1.0)));
        let mask = |values: Vec<f64>| {
            move |c: &mut CtrnnConfig| c.connectivity.recurrent.mask = Some(values.clone())
        };
        let chain = mask((0..2500).map(below).collect());
        assert_eq!(usual(&chain), (row, None)); // unit 49 has both kinds, no unit a loop
        assert_eq!(usual(&mask(vec![0.0; 2500])), (none, None));
        let fixed = |c: &mut CtrnnConfig| {
            c.connectivity.recurrent.fixed = Some((0..2500).map(fixed).collect());
        };
        assert_eq!(usual(&fixed), (row, None));
        let alone = |c: &mut CtrnnConfig| {
            *c = CtrnnConfig {
                dale: dale(0.8),
                ..CtrnnConfig::new(1, 1, 1)
            };
        };
        assert_eq!(usual(&alone), (none, Some(1.0)));
    }

    #[test]
    fn nothing_can_be_balanced_without_inhibition() {
        let mut config = network(WeightInit::GAMMA, None);
        config.dale = dale(1.0);
        config.init.balance = Some(Balance::Row);
        assert_eq!(draw(&config, 1), Err(ModelError::Unbalanced));
    }

    #[test]
    fn a_matrix_without_loops_has_no_radius_to_scale() {
        let mut chain = network(WeightInit::GAUSSIAN, Some(1.0));
        let below = |k: usize| f64::from(u8::from(k / 50 > k % 50));
        chain.connectivity.recurrent.mask = Some((0..2500).map(below).collect());
        let mut zero = network(WeightInit::GAUSSIAN, Some(1.0));
        zero.density.recurrent = 0.0;
        for config in [chain, zero] {
            let refused = draw(&config, 1).unwrap_err();
            assert_eq!(refused, ModelError::ZeroSpectralRadius { asked: 1.0 });
        }
    }

    /// Fixed weights stay; the others are scaled until the whole has the radius asked for.
    #[test]
    fn fixed_weights_count_in_the_spectral_radius_and_stay() {
        let mut config = network(WeightInit::GAUSSIAN, Some(1.5));
        let mut fixed = vec![0.0; 2500];
        (0..25).for_each(|unit| fixed[51 * unit] = 0.9);
        config.connectivity.recurrent.fixed = Some(fixed);
        let weights = recurrent(&config, 2);
        assert!((0..25).all(|unit| weights[51 * unit] == 0.9));
        let found = spectral_radius(&weights, 50).unwrap();
        assert!((found - 1.5).abs() < 1e-6, "{found}");
        config.init.spectral_radius = Some(0.8.into());
        let refused = draw(&config, 2).unwrap_err();
        assert_eq!(refused, ModelError::FixedSpectralRadius { asked: 0.8 });
    }

    #[test]
    fn a_mask_has_exactly_its_number_of_connections_and_draws_of_its_own() {
        let mut config = network(WeightInit::GAUSSIAN, None);
        config.self_connections = false;
        config.density.recurrent = 0.3;
        config.density.input = 0.5;
        let weights = draw(&config, 3).unwrap();
        let count = |name| values(&weights, name).iter().sum::<f64>();
        assert_eq!(count("recurrent.mask"), 735.0); // 0.3 * 50 * 49
        assert_eq!(count("input.mask"), 75.0);
        config.init.recurrent = WeightInit::UNIFORM;
        let other = draw(&config, 3).unwrap();
        assert_eq!(other["recurrent.mask"], weights["recurrent.mask"]);
        assert_ne!(
            draw(&config, 4).unwrap()["recurrent.mask"],
            weights["recurrent.mask"]
        );
    }

    #[test]
    fn each_matrix_has_its_own_draws_and_each_seed_its_own_network() {
        let config = network(WeightInit::GAUSSIAN, None);
        let (a, b) = (draw(&config, 1).unwrap(), draw(&config, 2).unwrap());
        assert_ne!(a["recurrent.weight"], b["recurrent.weight"]);
        let first = |name| values(&a, name)[0];
        assert_ne!(
            first("input.weight") / first("recurrent.weight"),
            (50.0f64 / 3.0).sqrt()
        );
        assert_eq!(
            a["output.weight"],
            draw(&config, 1).unwrap()["output.weight"]
        );
    }

    /// Mean and standard deviation of 10^4 weights whose natural scale is 0.1.
    fn mean_and_std(init: WeightInit) -> [f64; 2] {
        let mut rng = Rng::new(Key::new(5, Stream::Weights, 0), 0, 0);
        let drawn = init.draw(100, 100, 0.1, &mut rng);
        let mean = drawn.iter().sum::<f64>() / 1e4;
        let square = drawn.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / 1e4;
        [mean, square.sqrt()]
    }

    /// Standard errors of the mean are 1 % of the standard deviation; those of the standard deviation 1 to 3 % of it.
    #[test]
    fn distributions_have_the_moments_of_their_parameters() {
        let normal = |std| {
            WeightInit::Gaussian(Gaussian {
                gain: 1.0,
                mean: 0.5,
                std: Some(std),
            })
        };
        let uniform = WeightInit::Uniform(Uniform {
            gain: 1.0,
            low: Some(0.0),
            high: Some(0.1),
        });
        let doubled = WeightInit::Uniform(Uniform {
            gain: 2.0,
            low: None,
            high: None,
        });
        let gamma = |shape| {
            WeightInit::Gamma(Gamma {
                gain: 1.0,
                shape,
                scale: Some(0.3),
            })
        };
        let lognormal = WeightInit::Lognormal(Lognormal {
            gain: 1.0,
            sigma: 0.5,
            mu: Some(-2.0),
        });
        // Of either sign: the mean is 0 and the square is that of the magnitude, k (k + 1) scale^2 and exp(2 mu + 2 sigma^2).
        let of_gamma = |k: f64| 0.3 * (k * (k + 1.0)).sqrt();
        for (init, mean, std) in [
            (normal(0.02), 0.5, 0.02),
            (uniform, 0.05, 0.1 / 12.0_f64.sqrt()),
            (doubled, 0.0, 0.4 / 12.0_f64.sqrt()),
            (gamma(0.5), 0.0, of_gamma(0.5)),
            (gamma(2.0), 0.0, of_gamma(2.0)),
            (gamma(3.5), 0.0, of_gamma(3.5)),
            (lognormal, 0.0, (-2.0_f64 + 0.25).exp()),
        ] {
            let found = mean_and_std(init);
            assert!((found[0] - mean).abs() < 0.04 * std, "{init:?}: {found:?}");
            assert!((found[1] / std - 1.0).abs() < 0.05, "{init:?}: {found:?}");
        }
        let identity = WeightInit::Diagonal(Gain { gain: 0.5 });
        let mut rng = Rng::new(Key::new(5, Stream::Weights, 0), 0, 0);
        assert_eq!(identity.draw(2, 2, 0.1, &mut rng), [0.5, 0.0, 0.0, 0.5]);
    }

    /// Twice a number is exact.
    #[test]
    fn a_gain_multiplies_what_a_word_draws() {
        let draw = |init: WeightInit| {
            let mut rng = Rng::new(Key::new(5, Stream::Weights, 0), 0, 0);
            init.draw(3, 3, 0.1, &mut rng)
        };
        let gain = 2.0;
        for (word, table) in [
            (
                WeightInit::GAUSSIAN,
                WeightInit::Gaussian(Gaussian {
                    gain,
                    ..Gaussian::default()
                }),
            ),
            (
                WeightInit::GAMMA,
                WeightInit::Gamma(Gamma {
                    gain,
                    ..Gamma::default()
                }),
            ),
            (
                WeightInit::ORTHOGONAL,
                WeightInit::Orthogonal(Gain { gain }),
            ),
        ] {
            let doubled: Vec<f64> = draw(word).iter().map(|w| 2.0 * w).collect();
            assert_eq!(draw(table), doubled, "{word}");
        }
    }
}
