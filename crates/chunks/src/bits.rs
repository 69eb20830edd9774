//! Bits in and out: what all encodings are made of.
//!
//! Holds: the reader, the writer, numbers of varying width, and floats as difference to the one before. Bits go high one
//! first. Always true: reading never passes the end of the bytes; a number that ends there is [`End`], never a panic.
//! Facts: Prometheus `tsdb/docs/format/chunks.md`, `<varbit_int>`, `<varbit_uint>`, `<varbit_xor>`.

mod reader;
mod varbit;
mod writer;
mod xor_value;

pub(crate) use reader::{BitReader, End};
pub(crate) use varbit::PutBits;
pub(crate) use writer::BitWriter;
pub(crate) use xor_value::{Window, XorValue};
