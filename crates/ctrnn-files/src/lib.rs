//! What ctrnn writes and reads: npz, safetensors, atomic files, run folders.
