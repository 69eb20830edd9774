//! `section!`: one table per YAML object, from which the struct, its defaults, its reader and its printer come.
//!
//! A line reads: field and type, default, then the key in the file, the presence, and the codec that reads and prints the
//! value. Presence is `omit` (an empty value is left out when printed), `show` (always printed), or `inline` (the codec is
//! another section, whose keys stand among ours; the key is empty). `beside` fields are not in the file at all.
//! After the struct's name stands the name that Prometheus' errors give the type.
//! Always true: the order of the lines is the order in which `/api/v1/status/config` prints the keys.

/// See the module's story.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident($go:literal) {
            $( $(#[$fmeta:meta])* $field:ident : $ty:ty = $default:expr => $key:literal $presence:ident $codec:ty ),* $(,)?
        }
        $( beside { $( $(#[$bmeta:meta])* $bfield:ident : $bty:ty = $bdefault:expr ),* $(,)? } )?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $( $(#[$fmeta])* pub $field: $ty, )*
            $( $( $(#[$bmeta])* pub $bfield: $bty, )* )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $( $field: $default, )*
                    $( $( $bfield: $bdefault, )* )?
                }
            }
        }

        const _: () = {
            #[allow(unused_imports, reason = "a section of one kind of field needs few codecs")]
            use crate::codec::*;
            use crate::decode::{Decoder, Section};
            use crate::section::field;
            use crate::yaml::{NodeRef, Yaml};

            impl Section for $name {
                const GO_TYPE: &'static str = $go;

                fn zero() -> Self {
                    Self {
                        $( $field: field!(zero $presence $codec), )*
                        $( $( $bfield: $bdefault, )* )?
                    }
                }

                fn read_key(&mut self, key: &str, value: NodeRef<'_>, d: &mut Decoder) -> bool {
                    false $( || field!(read $presence $codec, $key, self.$field, key, value, d) )*
                }

                fn keys(out: &mut Vec<&'static str>) {
                    $( field!(keys $presence $codec, $key, out); )*
                }

                fn print_keys(&self, out: &mut Vec<(String, Yaml)>) {
                    $( field!(print $presence $codec, $key, self.$field, out); )*
                }

                fn is_zero(&self) -> bool {
                    true $( && field!(is_zero $presence $codec, self.$field) )*
                }
            }
        };
    };
}
pub(crate) use section;

/// What `section!` does for one field, by its presence.
macro_rules! field {
    (zero inline $codec:ty) => {
        <$codec as Section>::zero()
    };
    (zero $presence:ident $codec:ty) => {
        <$codec as Codec>::zero()
    };

    (read inline $codec:ty, $key:literal, $place:expr, $found:ident, $value:ident, $d:ident) => {
        $place.read_key($found, $value, $d)
    };
    (read $presence:ident $codec:ty, $key:literal, $place:expr, $found:ident, $value:ident, $d:ident) => {
        $found == $key && {
            if let Some(read) = $d.field::<$codec>($value) {
                $place = read;
            }
            true
        }
    };

    (keys inline $codec:ty, $key:literal, $out:ident) => {
        <$codec as Section>::keys($out)
    };
    (keys $presence:ident $codec:ty, $key:literal, $out:ident) => {
        $out.push($key)
    };

    (print inline $codec:ty, $key:literal, $place:expr, $out:ident) => {
        $place.print_keys($out)
    };
    (print show $codec:ty, $key:literal, $place:expr, $out:ident) => {
        $out.push(($key.to_owned(), <$codec as Codec>::print(&$place)))
    };
    (print omit $codec:ty, $key:literal, $place:expr, $out:ident) => {
        if !<$codec as Codec>::is_zero(&$place) {
            $out.push(($key.to_owned(), <$codec as Codec>::print(&$place)));
        }
    };

    (is_zero inline $codec:ty, $place:expr) => {
        $place.is_zero()
    };
    (is_zero $presence:ident $codec:ty, $place:expr) => {
        <$codec as Codec>::is_zero(&$place)
    };
}
pub(crate) use field;
