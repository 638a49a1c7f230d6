//! Counter-based random numbers for ctrnn: Philox, streams, distributions.
