//! Configuration, training loop, losses, optimizers, checkpoints.
