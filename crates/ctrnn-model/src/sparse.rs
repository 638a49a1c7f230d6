//! Connections that are drawn from the seed: subsets of the possible ones.

use crate::CtrnnConfig;
use crate::connectivity::{Matrix, Share};

/// A choice of connections among candidates, all choices equally likely; those that are fixed are always taken.
pub(crate) struct Choice {
    /// Address of its random numbers, which further choices of the same block share.
    pub address: u64,
    /// Possible connections of the block.
    pub candidates: Vec<usize>,
    /// Number of connections that exist.
    pub count: usize,
}

impl CtrnnConfig {
    /// Returns true if some connections of a matrix are drawn from the seed.
    pub(crate) fn has_drawn_connections(&self, matrix: Matrix) -> bool {
        self.density_of(matrix) < 1.0 || !self.connectivity.of(matrix).sparse.is_empty()
    }

    /// Returns the choices by which the connections of a matrix are drawn. Their candidates are among the `possible`
    /// connections, and those of no choice all exist.
    pub(crate) fn choices(&self, matrix: Matrix, possible: Option<&[f64]>) -> Vec<Choice> {
        let [n_post, n_pre] = matrix.shape(self);
        let is_possible = |k: &usize| possible.is_none_or(|possible| possible[*k] == 1.0);
        let fixed = self.connectivity.of(matrix).fixed.as_ref();
        let n_fixed = |candidates: &[usize]| {
            let is_fixed = |k: &&usize| fixed.is_some_and(|fixed| fixed[**k] != 0.0);
            candidates.iter().filter(is_fixed).count()
        };
        let choice = |address: u64, candidates: Vec<usize>, share: Share| {
            let n = candidates.len();
            let asked = match share {
                Share::Density(density) => (density * n as f64).round() as usize,
                Share::InDegree(degree) | Share::OutDegree(degree) => degree.min(n),
            };
            Choice {
                address,
                count: asked.max(n_fixed(&candidates)),
                candidates,
            }
        };
        let density = self.density_of(matrix);
        if density < 1.0 {
            let all = (0..n_post * n_pre).filter(is_possible).collect();
            return vec![choice(0, all, Share::Density(density))];
        }
        let mut choices = Vec::new();
        for block in &self.connectivity.of(matrix).sparse {
            let among = |post: &[usize], pre: &[usize]| {
                let pairs = post
                    .iter()
                    .flat_map(|i| pre.iter().map(move |j| i * n_pre + j));
                pairs.filter(is_possible).collect()
            };
            let mut add = |post: &[usize], pre: &[usize]| {
                choices.push(choice(1 + block.number, among(post, pre), block.share));
            };
            match block.share {
                Share::Density(_) => add(&block.post, &block.pre),
                Share::InDegree(_) => block.post.iter().for_each(|i| add(&[*i], &block.pre)),
                Share::OutDegree(_) => block.pre.iter().for_each(|j| add(&block.post, &[*j])),
            }
        }
        choices
    }
}
