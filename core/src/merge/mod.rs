//! Merging: how concurrent branches of one key become one state.

pub mod sequence;
