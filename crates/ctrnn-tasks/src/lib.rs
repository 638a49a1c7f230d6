//! Cognitive tasks: trials as host arrays.
