//! What one execution may cost. Go has no such limits; a template that reaches one would have hung or killed the process.

/// Bounds of one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes visited and functions called.
    pub steps: u64,
    /// Bytes written, and bytes of texts that functions made, together.
    pub bytes: usize,
}

impl Default for Limits {
    /// A second or two of work, and more text than anybody reads.
    fn default() -> Self {
        Self { steps: 20_000_000, bytes: 64 << 20 }
    }
}

/// How deep expressions may nest at run time, over all templates that `tmpl` runs inside of each other.
const MAX_DEPTH: usize = 120;

/// What is left of the limits.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: u64,
    bytes: usize,
    depth: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { steps: limits.steps, bytes: limits.bytes, depth: 0 }
    }

    pub(crate) fn step(&mut self) -> Result<(), String> {
        self.steps = self.steps.checked_sub(1).ok_or("template takes too many steps")?;
        Ok(())
    }

    /// Charges a text.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or("template makes too much text")?;
        Ok(())
    }

    /// One byte more than may still be made, so that who fills it is refused when it is charged.
    pub(crate) fn room(&self) -> usize {
        self.bytes.saturating_add(1)
    }

    pub(crate) fn enter(&mut self, levels: usize) -> Result<(), String> {
        if self.depth + levels > MAX_DEPTH {
            return Err("template expressions nest too deep".to_owned());
        }
        self.depth += levels;
        Ok(())
    }

    pub(crate) fn leave(&mut self, levels: usize) {
        self.depth -= levels;
    }
}
