//! What the whole program does, as its users see it.
