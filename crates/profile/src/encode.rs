//! The form that `go tool pprof` reads: one message of protobuf, compressed by gzip. Functions are named here, so that no reader
//! needs our binary.
//!
//! Facts: `proto/profile.proto` of github.com/google/pprof: strings by their place in a table whose first is empty, numbers of
//! mappings, locations and functions from 1 on, the main program's mapping first.

mod messages;

use std::collections::HashMap;
use std::io::Write as _;
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use self::messages as pb;
use crate::profile::{Profile, Row};
use crate::symbols::{self, Image, Symbols};

/// The profile as a compressed message.
#[must_use]
pub fn encode(profile: &Profile, symbols: &Symbols) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to a vector cannot fail";
    let message = message(profile, symbols).encode_to_vec();
    let mut gzip = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
    gzip.write_all(&message).expect(IN_MEMORY);
    gzip.finish().expect(IN_MEMORY)
}

fn message(profile: &Profile, symbols: &Symbols) -> pb::Profile {
    let mut tables = Tables::new(symbols);
    let sample_type = profile.kind.values().iter().map(|v| tables.value_type(*v)).collect();
    let period_type = Some(tables.value_type(profile.kind.period_type()));
    let sample = profile.rows.iter().map(|row| tables.sample(row)).collect();
    let comment = profile.comments.iter().map(|text| tables.string(text)).collect();
    let default_sample_type = tables.string(profile.kind.default_value());
    let time_nanos = profile.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    pb::Profile {
        sample_type,
        sample,
        mapping: tables.mappings,
        location: tables.locations,
        function: tables.functions,
        string_table: tables.strings,
        time_nanos: i64::try_from(time_nanos).unwrap_or(0),
        duration_nanos: i64::try_from(profile.duration.as_nanos()).unwrap_or(i64::MAX),
        period_type,
        period: profile.period,
        comment,
        default_sample_type,
    }
}

/// What samples refer to by number.
struct Tables<'a> {
    symbols: &'a Symbols,
    strings: Vec<String>,
    string_at: HashMap<String, i64>,
    mappings: Vec<pb::Mapping>,
    locations: Vec<pb::Location>,
    location_of: HashMap<usize, u64>,
    functions: Vec<pb::Function>,
    function_of: HashMap<String, u64>,
}

impl<'a> Tables<'a> {
    fn new(symbols: &'a Symbols) -> Self {
        let mut tables = Self {
            symbols,
            strings: vec![String::new()],
            string_at: HashMap::from([(String::new(), 0)]),
            mappings: Vec::new(),
            locations: Vec::new(),
            location_of: HashMap::new(),
            functions: Vec::new(),
            function_of: HashMap::new(),
        };
        tables.mappings = symbols.mappings().zip(1..).map(|(m, id)| tables.mapping(m, id)).collect();
        tables
    }

    fn mapping(&mut self, (mapping, image): (&symbols::Mapping, Option<&Image>), id: u64) -> pb::Mapping {
        pb::Mapping {
            id,
            memory_start: mapping.start,
            memory_limit: mapping.end,
            file_offset: mapping.offset,
            filename: self.string(&mapping.path),
            build_id: self.string(image.map_or("", |image| &image.build_id)),
            // Of files without names a reader looks for them itself, by the build id.
            has_functions: image.is_some_and(Image::has_names),
        }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(at) = self.string_at.get(text) {
            return *at;
        }
        let at = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.string_at.insert(text.to_owned(), at);
        at
    }

    fn value_type(&mut self, (kind, unit): (&str, &str)) -> pb::ValueType {
        pb::ValueType { kind: self.string(kind), unit: self.string(unit) }
    }

    fn sample(&mut self, row: &Row) -> pb::Sample {
        let mut location_id: Vec<u64> = row.stack.iter().map(|address| self.location(*address)).collect();
        if location_id.is_empty() {
            let name = if row.thread.is_empty() { "(no stack)" } else { &row.thread };
            location_id.push(self.bare_location(name));
        }
        let label = match row.thread.as_str() {
            "" => Vec::new(),
            thread => vec![pb::Label { key: self.string("thread"), str: self.string(thread) }],
        };
        pb::Sample { location_id, value: row.values.clone(), label }
    }

    fn location(&mut self, address: usize) -> u64 {
        if let Some(id) = self.location_of.get(&address) {
            return *id;
        }
        let place = self.symbols.place(address);
        let (mapping_id, symbol) = place.map_or((0, None), |p| (p.mapping as u64 + 1, p.symbol));
        let line = symbol.map(|symbol| pb::Line { function_id: self.function(symbol) });
        let id = self.push_location(mapping_id, address as u64, line.into_iter().collect());
        self.location_of.insert(address, id);
        id
    }

    /// A place that is only a name.
    fn bare_location(&mut self, name: &str) -> u64 {
        let function_id = self.function(name);
        self.push_location(0, 0, vec![pb::Line { function_id }])
    }

    fn push_location(&mut self, mapping_id: u64, address: u64, line: Vec<pb::Line>) -> u64 {
        let id = self.locations.len() as u64 + 1;
        self.locations.push(pb::Location { id, mapping_id, address, line });
        id
    }

    fn function(&mut self, symbol: &str) -> u64 {
        if let Some(id) = self.function_of.get(symbol) {
            return *id;
        }
        let id = self.functions.len() as u64 + 1;
        let (name, system_name) = (self.string(&symbols::readable(symbol)), self.string(symbol));
        self.functions.push(pb::Function { id, name, system_name });
        self.function_of.insert(symbol.to_owned(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::profile::Kind;

    #[test]
    fn a_profile_comes_back_with_its_names() {
        let mut profile = Profile::new(Kind::Heap, 7);
        let here = a_profile_comes_back_with_its_names as *const () as usize;
        let row = |stack: &[usize], thread: &str, value| Row {
            stack: stack.into(),
            thread: thread.to_owned(),
            values: vec![value; 4],
        };
        profile.rows = vec![row(&[here, 1], "worker", 5), row(&[], "worker", 6), row(&[], "", 7)];
        profile.comments = vec!["a remark".to_owned()];
        let mut plain = Vec::new();
        let zipped = encode(&profile, &Symbols::of_this_process());
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut plain).unwrap();
        let back = pb::Profile::decode(&plain[..]).unwrap();
        let text = |at: i64| back.string_table[at as usize].as_str();
        let names = |sample: &pb::Sample| -> Vec<String> {
            let location = |id: &u64| &back.location[*id as usize - 1];
            let name = |l: &pb::Location| {
                l.line.first().map_or("", |line| text(back.function[line.function_id as usize - 1].name))
            };
            sample.location_id.iter().map(|id| name(location(id)).to_owned()).collect()
        };
        assert_eq!(back.string_table[0], "");
        assert_eq!(back.sample_type.len(), 4);
        assert_eq!((text(back.default_sample_type), back.period), ("inuse_space", 7));
        assert_eq!(text(back.comment[0]), "a remark");
        assert!(names(&back.sample[0])[0].ends_with("a_profile_comes_back_with_its_names"));
        assert_eq!(names(&back.sample[0])[1], "");
        assert_eq!(back.sample[0].value, [5; 4]);
        assert_eq!(
            (text(back.sample[0].label[0].key), text(back.sample[0].label[0].str)),
            ("thread", "worker")
        );
        assert_eq!(names(&back.sample[1]), ["worker"]);
        assert_eq!(names(&back.sample[2]), ["(no stack)"]);
        let own = std::env::current_exe().unwrap();
        assert_eq!(text(back.mapping[0].filename), own.to_str().unwrap());
        assert!(back.location[0].address >= back.mapping[0].memory_start);
    }
}
