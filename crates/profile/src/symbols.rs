//! Names of addresses in this process: its mapped programs and libraries, and the symbol tables of their files.
//!
//! Always true: read anew each time somebody wants a profile and given back after it, as the tables take several MB. What cannot be
//! read has no names, and that is all.

mod elf;
mod maps;

use std::fs::File;

pub(crate) use elf::Image;
pub(crate) use maps::Mapping;

/// What is mapped, and what its parts are called.
#[derive(Debug)]
pub struct Symbols {
    mapped: Vec<(Mapping, Option<usize>)>,
    images: Vec<Image>,
}

/// Where an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Index into [`Symbols::mappings`].
    pub(crate) mapping: usize,
    /// The function as the linker knows it.
    pub(crate) symbol: Option<&'a str>,
}

impl Symbols {
    /// Reads what is mapped now.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mappings = maps::executable(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default());
        let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let program = program.to_string_lossy();
        let (mut paths, mut images): (Vec<String>, Vec<Image>) = (Vec::new(), Vec::new());
        let mut mapped = Vec::new();
        for mapping in mappings {
            let known = paths.iter().position(|path| *path == mapping.path);
            let image = known.or_else(|| {
                // By this name also when the file was replaced while we run.
                let path = if mapping.path == program { "/proc/self/exe" } else { &mapping.path };
                images.push(elf::read(&File::open(path).ok()?)?);
                paths.push(mapping.path.clone());
                Some(images.len() - 1)
            });
            mapped.push((mapping, image));
        }
        // The program itself comes first, as readers expect.
        mapped.sort_by_key(|(mapping, _)| mapping.path != program);
        Self { mapped, images }
    }

    /// The function that an address lies in, as people write it.
    #[must_use]
    pub fn name(&self, address: usize) -> Option<String> {
        self.place(address)?.symbol.map(readable)
    }

    /// Executable mappings, that of the program itself first, each with what its file says.
    pub(crate) fn mappings(&self) -> impl Iterator<Item = (&Mapping, Option<&Image>)> {
        self.mapped.iter().map(|(m, image)| (m, image.map(|i| &self.images[i])))
    }

    /// Where an address lies; `None` outside of everything that can be executed.
    pub(crate) fn place(&self, address: usize) -> Option<Place<'_>> {
        let address = address as u64;
        let mapping = self.mapped.iter().position(|(m, _)| (m.start..m.end).contains(&address))?;
        let (mapped, image) = &self.mapped[mapping];
        let in_file = address - mapped.start + mapped.offset;
        let symbol = image.and_then(|i| self.images[i].symbol_at(in_file));
        Some(Place { mapping, symbol })
    }
}

/// A symbol as people write it.
pub(crate) fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_functions_and_those_of_the_system_have_names() {
        let symbols = Symbols::of_this_process();
        let own =
            symbols.name(own_functions_and_those_of_the_system_have_names as *const () as usize).unwrap();
        assert!(own.ends_with("own_functions_and_those_of_the_system_have_names"), "{own}");
        assert_eq!(symbols.name(libc::getpid as *const () as usize).as_deref(), Some("getpid"));
        assert_eq!((symbols.name(0), symbols.name(usize::MAX)), (None, None));
    }
}
