//! One file of the simulated disk.

use super::Random;

/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// What a file system hands out as a whole.
pub(super) const BLOCK: usize = 4096;

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

/// What programs see, what would survive a loss of power, and the unsynced changes in between.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Which blocks take room on the disk; a file that was only extended has holes.
    blocks: Vec<bool>,
    /// Names and open handles: without either its room is given back.
    pub(super) owners: usize,
}

impl Content {
    /// Bytes of the disk that the file takes.
    pub(super) fn room(&self) -> u64 {
        let taken = if self.owners == 0 { 0 } else { self.blocks.iter().filter(|b| **b).count() };
        (taken * BLOCK) as u64
    }

    /// Bytes that a write or a reservation of this range would take beyond what is taken.
    pub(super) fn room_for(&self, offset: usize, length: usize) -> u64 {
        let taken = |block: &usize| self.blocks.get(*block).copied().unwrap_or(false);
        (blocks_of(offset, length).filter(|block| !taken(block)).count() * BLOCK) as u64
    }

    pub(super) fn write(&mut self, offset: usize, bytes: Vec<u8>) {
        self.take(offset, bytes.len());
        put(&mut self.seen, offset, &bytes);
        self.unsynced.push(Change::Write(offset, bytes));
    }

    pub(super) fn set_len(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.blocks.truncate(length.div_ceil(BLOCK));
        self.unsynced.push(Change::SetLen(length));
    }

    pub(super) fn allocate(&mut self, length: usize) {
        if length > self.seen.len() {
            self.set_len(length);
        }
        self.take(0, length);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write(offset, bytes) => put(&mut self.durable, offset, &bytes),
                Change::SetLen(length) => self.durable.resize(length, 0),
            }
        }
    }

    /// A flush that fails: the system takes what was written for clean from then on, so no later
    /// flush writes it. Some of it has reached the disk. Lengths are the file system's own and stay
    /// to be written.
    pub(super) fn fail_to_sync(&mut self, random: &mut Random) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write(offset, bytes) => {
                    for (at, part) in sectors(offset, &bytes).filter(|_| random.below(2) == 0) {
                        put(&mut self.durable, at, part);
                    }
                }
                change @ Change::SetLen(_) => self.unsynced.push(change),
            }
        }
    }

    fn take(&mut self, offset: usize, length: usize) {
        for block in blocks_of(offset, length) {
            if self.blocks.len() <= block {
                self.blocks.resize(block + 1, false);
            }
            self.blocks[block] = true;
        }
    }

    /// What is there after a loss of power: each sector of each unsynced write is there or is not,
    /// and those that are came in any order; so did the changes of the length.
    pub(super) fn survive(&self, random: &mut Random) -> Self {
        let mut pieces: Vec<(usize, Option<&[u8]>)> = Vec::new();
        let keep_all = random.below(3) == 0;
        for change in &self.unsynced {
            let kept = |random: &mut Random| keep_all || random.below(2) == 0;
            match change {
                Change::SetLen(length) if kept(random) => pieces.push((*length, None)),
                Change::SetLen(_) => {}
                Change::Write(offset, bytes) => {
                    let sectors = sectors(*offset, bytes).map(|(at, part)| (at, Some(part)));
                    pieces.extend(sectors.filter(|_| kept(random)));
                }
            }
        }
        if !keep_all && random.below(2) == 0 {
            for at in (1..pieces.len()).rev() {
                let other = random.below(at as u64 + 1);
                pieces.swap(at, usize::try_from(other).expect("an index of a vector"));
            }
        }
        let mut image = self.durable.clone();
        for (at, bytes) in pieces {
            match bytes {
                Some(bytes) => put(&mut image, at, bytes),
                None => image.resize(at, 0),
            }
        }
        let blocks = vec![true; image.len().div_ceil(BLOCK)];
        Self { seen: image.clone(), durable: image, blocks, ..Self::default() }
    }
}

fn blocks_of(offset: usize, length: usize) -> std::ops::Range<usize> {
    if length == 0 { 0..0 } else { offset / BLOCK..(offset + length).div_ceil(BLOCK) }
}

/// The bytes of a write by the sectors that they lie in.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
        let part = bytes.get(at..end).filter(|part| !part.is_empty())?;
        let place = offset + at;
        at = end;
        Some((place, part))
    })
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if image.len() < offset + bytes.len() {
        image.resize(offset + bytes.len(), 0);
    }
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
}
