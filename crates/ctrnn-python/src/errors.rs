//! Errors as exceptions of Python.

use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

/// Returns the `ValueError` with the message of an error.
pub fn of_value(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}
