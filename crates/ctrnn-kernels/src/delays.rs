//! Delays of recurrent connections.

/// Delays of the recurrent connections in whole time steps: a connection with delay d contributes `W_ij r_j(t - d)` to the drive
/// where one without delay contributes `W_ij r_j(t)`, and likewise what plastic synapses transmit. Before the first time step that is
/// the same as in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Distinct delays, increasing from 0.
    steps: Vec<usize>,
    /// Place of each connection's delay among the distinct ones, `[post, pre]`.
    numbers: Vec<usize>,
    units: usize,
}

impl Delays {
    /// Creates the delays of a network from that of each connection `[post, pre]`; `None` if no connection is delayed.
    ///
    /// # Panics
    /// If the connections are not those of a square matrix.
    #[must_use]
    pub fn new(of_connections: &[usize]) -> Option<Self> {
        let units = of_connections.len().isqrt();
        assert_eq!(units * units, of_connections.len(), "a delay for each pair");
        let mut steps = of_connections.to_vec();
        steps.push(0);
        steps.sort_unstable();
        steps.dedup();
        let place = |delay: &usize| {
            steps
                .binary_search(delay)
                .expect("one of the distinct ones")
        };
        let numbers = of_connections.iter().map(place).collect();
        (steps.len() > 1).then_some(Self {
            steps,
            numbers,
            units,
        })
    }

    /// Returns the distinct delays in time steps, increasing; the first is 0.
    #[must_use]
    pub fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// Returns the place of a connection's delay in [`Delays::steps`].
    #[must_use]
    pub fn number(&self, post: usize, pre: usize) -> usize {
        self.numbers[post * self.units + pre]
    }

    /// Returns the number of units.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.units
    }

    /// Returns the longest delay in time steps.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.steps.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_delays_are_numbered_from_none() {
        let delays = Delays::new(&[3, 3, 1, 3]).unwrap();
        assert_eq!(delays.steps(), [0, 1, 3]);
        assert_eq!([delays.number(0, 1), delays.number(1, 0)], [2, 1]);
        assert_eq!(delays.longest(), 3);
        assert_eq!(Delays::new(&[0; 4]), None);
    }
}
