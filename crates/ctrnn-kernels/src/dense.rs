//! Sums of vectors in double precision, for learning rules that run time step by time step.

/// Adds a multiple of a vector to another.
pub fn add_scaled(to: &mut [f64], factor: f64, vector: &[f64]) {
    for (to, x) in to.iter_mut().zip(vector) {
        *to += factor * x;
    }
}

/// Replaces a vector by a multiple of it plus a multiple of another.
pub fn decay_and_add(to: &mut [f64], decay: f64, factor: f64, vector: &[f64]) {
    for (to, x) in to.iter_mut().zip(vector) {
        *to = decay * *to + factor * x;
    }
}

/// Subtracts `factor v v'` from a symmetric matrix, row by row, which stays symmetric to the bit.
pub fn subtract_square(matrix: &mut [f64], factor: f64, v: &[f64]) {
    for (row, &a) in matrix.chunks_exact_mut(v.len()).zip(v) {
        for (entry, &b) in row.iter_mut().zip(v) {
            *entry -= factor * (a * b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_hand() {
        let mut x = [1.0, 2.0];
        add_scaled(&mut x, 2.0, &[3.0, -1.0]);
        assert_eq!(x, [7.0, 0.0]);
        decay_and_add(&mut x, 0.5, 2.0, &[1.0, 1.0]);
        assert_eq!(x, [5.5, 2.0]);
        let mut matrix = [1.0, 0.0, 0.0, 1.0];
        subtract_square(&mut matrix, 0.5, &[1.0, 2.0]);
        assert_eq!(matrix, [0.5, -1.0, -1.0, -1.0]);
    }
}
