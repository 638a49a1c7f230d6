//! The leaky recurrent network as a burn module.
