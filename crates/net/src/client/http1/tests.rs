//! Heads and bodies as servers write them, whole and in pieces.

