//! The recurrence on CPU backends.

use burn_ndarray::NdArray;

use super::RecurrenceBackend;

impl RecurrenceBackend for NdArray<f32> {}
impl RecurrenceBackend for NdArray<f64> {}
