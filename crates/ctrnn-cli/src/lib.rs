//! The train-ctrnn command line, as a library.
