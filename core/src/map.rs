//! Hash maps for handles: short texts and ids, hashed far more often than they come from a caller.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A hash map, seeded anew in each process.
pub type Map<K, V> = HashMap<K, V, RandomState>;

/// A hash set, seeded anew in each process.
pub(crate) type Set<K> = HashSet<K, RandomState>;
