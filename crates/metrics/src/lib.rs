//! (story to come)
