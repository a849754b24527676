//! The ids of the keyspaces by name.

use std::collections::HashMap;

/// The keyspaces by name.
#[derive(Debug)]
pub(in crate::store) struct KeyspaceIds {
    by_name: HashMap<String, u32>,
    /// Names whose creation is in flight, or whose outcome is unknown. The id may be in the log
    /// already, so it is kept for the same name and given to no other.
    pending: HashMap<String, u32>,
    last: u32,
}

impl KeyspaceIds {
    pub(in crate::store) fn new(ids: HashMap<String, u32>) -> Self {
        let last = ids.values().max().copied().unwrap_or(0);
        Self { by_name: ids, pending: HashMap::new(), last }
    }

    /// The id of the keyspace with this name.
    pub(in crate::store) fn get(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The names and their ids, in no order.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = (&String, u32)> {
        self.by_name.iter().map(|(name, id)| (name, *id))
    }

    /// Notes that the keyspace is created.
    pub(in crate::store) fn created(&mut self, name: &str, id: u32) {
        self.pending.remove(name);
        self.by_name.insert(name.to_owned(), id);
    }

    /// The id to ask for under a name that has none.
    pub(in crate::store) fn ask(&mut self, name: &str) -> u32 {
        *self.pending.entry(name.to_owned()).or_insert_with(|| {
            self.last += 1;
            self.last
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_the_id_that_was_asked_for_and_no_other_gets_it() {
        let mut names = KeyspaceIds::new(HashMap::from([("old".to_owned(), 7)]));
        // The outcome of the first attempt is unknown.
        assert_eq!(names.ask("slow"), 8);
        assert_eq!(names.ask("other"), 9);
        assert_eq!(names.ask("slow"), 8);
    }
}
