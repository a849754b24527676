//! The work: which keys are overwritten with which pages.

use super::super::page::{self, Key, Page};
use crate::error::AnyError;
use crate::numbers::Numbers;

/// Pages in a batch.
pub(super) const BATCH: usize = 8;

const SEED: u64 = 0xE0D0;

/// A live set of pages, and an endless sequence of batches that overwrite some of them.
pub(super) struct Overwrites<'p> {
    /// The values.
    pages: &'p [Page],
    /// Which page each key has; keys are numbers.
    live: Vec<usize>,
    live_bytes: u64,
    numbers: Numbers,
    batch: Vec<Page>,
}

impl<'p> Overwrites<'p> {
    /// Keys whose values have so many bytes, or a few more, and nothing written yet. There must be
    /// pages.
    pub(super) fn of(pages: &'p [Page], live_bytes: u64) -> Self {
        let mut set = Self {
            pages,
            live: Vec::new(),
            live_bytes: 0,
            numbers: Numbers::from_seed(SEED),
            batch: Vec::with_capacity(BATCH),
        };
        while set.live_bytes < live_bytes && !pages.is_empty() {
            let page = set.draw(pages.len());
            set.live.push(page);
            set.live_bytes += set.bytes_of(page);
        }
        set
    }

    /// Bytes of all keys and their present values.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Calls `put` with the whole live set, batch by batch.
    pub(super) fn fill(
        &mut self,
        mut put: impl FnMut(&[Page]) -> Result<(), AnyError>,
    ) -> Result<(), AnyError> {
        let live = std::mem::take(&mut self.live);
        for (number, batch) in live.chunks(BATCH).enumerate() {
            self.batch.clear();
            for (place, &page) in batch.iter().enumerate() {
                self.add(number * BATCH + place, page);
            }
            put(&self.batch)?;
        }
        self.live = live;
        Ok(())
    }

    /// The next batch: random keys with random pages. It counts as put.
    pub(super) fn next(&mut self) -> &[Page] {
        // Buffers are used again, so that the batches themselves take no memory.
        let mut filled = 0;
        while filled < BATCH && !self.live.is_empty() {
            let (number, page) = (self.draw(self.live.len()), self.draw(self.pages.len()));
            let before = self.live.get(number).map_or(0, |&page| self.bytes_of(page));
            self.live_bytes = self.live_bytes + self.bytes_of(page) - before;
            if let Some(live) = self.live.get_mut(number) {
                *live = page;
            }
            match (self.batch.get_mut(filled), self.pages.get(page)) {
                (Some(slot), Some(page)) => {
                    slot.key = key_of(number);
                    slot.bytes.clone_from(&page.bytes);
                    slot.sum = page.sum;
                }
                _ => self.add(number, page),
            }
            filled += 1;
        }
        self.batch.truncate(filled);
        &self.batch
    }

    /// The key and the page of each key, as of now.
    pub(super) fn live(&self) -> impl Iterator<Item = (Key, &'p Page)> {
        let pages = self.pages;
        let page_of = move |(number, &page): (usize, &usize)| {
            pages.get(page).map(|page| (key_of(number), page))
        };
        self.live.iter().enumerate().filter_map(page_of)
    }

    fn add(&mut self, number: usize, page: usize) {
        if let Some(page) = self.pages.get(page) {
            self.batch.push(Page { key: key_of(number), ..page.clone() });
        }
    }

    fn bytes_of(&self, page: usize) -> u64 {
        self.pages.get(page).map_or(0, Page::len)
    }

    fn draw(&mut self, end: usize) -> usize {
        usize::try_from(self.numbers.below(end as u64)).unwrap_or(0)
    }
}

fn key_of(number: usize) -> Key {
    page::key(&number.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn live_bytes_are_those_of_the_present_values() {
        let pages: Vec<_> = [10, 200, 3000].map(|bytes| Page::new("", vec![b'x'; bytes])).to_vec();
        let mut set = Overwrites::of(&pages, 50_000);
        let mut model = HashMap::new();
        set.fill(|batch| {
            model.extend(batch.iter().map(|page| (page.key, page.bytes.len())));
            Ok(())
        })
        .unwrap();
        for _ in 0..100 {
            let batch = set.next();
            assert_eq!(batch.len(), BATCH);
            model.extend(batch.iter().map(|page| (page.key, page.bytes.len())));
            let bytes: usize = model.values().map(|bytes| bytes + 16).sum();
            assert_eq!(set.live_bytes(), bytes as u64);
        }
        let live: HashMap<_, _> = set.live().map(|(key, page)| (key, page.bytes.len())).collect();
        assert_eq!(live, model);
    }
}
