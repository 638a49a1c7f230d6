//! The vanishing-gradient penalty Omega, within a backward sweep.

/// Vanishing-gradient penalty on the recurrent weights, which a backward sweep computes on its way.
///
/// With `d(t)` the gradient of the loss with respect to the potentials after time step t, and x the potentials,
///
/// ```text
/// q     = d(t+1) dx(t+1)/dx(t) = decay d(t+1) + f'(x(t)) * ((gain d(t+1)) W_rc)
/// Omega = mean ( |q|^2 / |d(t+1)|^2 - 1 )^2
/// ```
///
/// over all time steps of all trials in which `|d(t+1)|^2` is above a bound. Its gradient is the immediate one: `d` and `x` are held
/// constant, so that it reaches `W_rc` alone.
///
/// # References
/// Pascanu, Mikolov and Bengio (2013), equations 9 and 10.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OmegaTerm {
    /// Factor of the penalty.
    pub weight: f64,
    /// Bound on `|d|^2`: time steps at or below it do not count.
    pub bound: f64,
    /// True if `d(t+1)` is paired with `f'(x(t+1))` in place of `f'(x(t))`.
    pub slopes_after: bool,
}
