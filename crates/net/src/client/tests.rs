//! The client against small servers of our own.

