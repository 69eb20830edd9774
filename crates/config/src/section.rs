//! `section!`: one table per YAML object, from which the struct, its defaults, its reader and its printer come.
//!
//! A line reads: field and type, default, then the key in the file, whether an empty value is left out when printed
//! (`omit`) or always shown (`show`), and the codec that reads and prints it. `inline` fields share the object's keys.
//! Always true: the order of the lines is the order in which `/api/v1/status/config` prints the keys.

/// See the module's story.
macro_rules! section {
    (
        $(#[$meta:meta])*
        pub struct $name:ident($go:literal) {
            $( $(#[$fmeta:meta])* $field:ident : $ty:ty = $default:expr => $key:literal $presence:ident $codec:ty ),* $(,)?
        }
        $( inline { $( $(#[$imeta:meta])* $ifield:ident : $ity:ty = $idefault:expr ),* $(,)? } )?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$fmeta])* pub $field: $ty, )*
            $( $( $(#[$imeta])* pub $ifield: $ity, )* )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $( $field: $default, )*
                    $( $( $ifield: $idefault, )* )?
                }
            }
        }
    };
}
pub(crate) use section;
