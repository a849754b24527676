//! What the disk and the memory allow: plain writes into prepared files and one flush for each
//! group of pages; reads from a mapped file.
//!
//! It has no index on the disk, no checksums and no recovery.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::Mmap;

use super::disk;
use super::measure::{self, BATCH, Load, WRITERS, folder, millis, per_second, ratio};
use super::metric::{Metric, Reading};
use super::page::{Key, Page};
use super::pages::{Readable, Reader};
use super::prepared::{self, FILE_BYTES};
use crate::error::AnyError;
use crate::report;

/// Values begin at multiples of this.
const ALIGNMENT: u64 = 8;

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    file: usize,
    offset: u64,
    bytes: usize,
}

/// Where each page goes, and how long each file is by that.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    places: Vec<Place>,
    files: Vec<u64>,
}

/// Measures it once, in a folder that is empty.
pub(crate) fn run(load: &Load, pages: &[Page], dir: &Path) -> Result<Vec<Reading>, AnyError> {
    let mut readings = Vec::new();
    let mut read = |metric, value| readings.push(Reading { metric, value });

    let times = written(pages, 1, &folder(dir, "put1")?)?;
    read(Metric::Put1PerS, per_second(pages.len(), times.iter().sum()));
    read(Metric::Put1P999Ms, millis(report::per_mille(&times, 999)));
    let times = written(pages, WRITERS, &folder(dir, "put8")?)?;
    read(Metric::Put8PerS, per_second(pages.len(), times.iter().sum()));
    let batches = folder(dir, "batch100")?;
    let times = written(pages, BATCH, &batches)?;
    read(Metric::Batch100PerS, per_second(pages.len(), times.iter().sum()));
    read(Metric::SpaceRatio, ratio(disk::allocated(&batches)?, measure::bytes(pages)));

    let mapped = Mapped::open(&batches, pages, &layout(pages, BATCH))?;
    readings.extend(measure::read_back(&mapped, load, pages)?);
    Ok(readings)
}

/// How long each group of so many pages took, from its first write to the end of its flush.
fn written(pages: &[Page], group: usize, dir: &Path) -> Result<Vec<Duration>, AnyError> {
    let layout = layout(pages, group);
    let create = |(number, &bytes): (usize, &u64)| prepared::create(&path(dir, number), bytes);
    let files: Vec<File> =
        layout.files.iter().enumerate().map(create).collect::<io::Result<_>>()?;
    disk::settle(dir)?;
    let mut times = Vec::with_capacity(pages.len().div_ceil(group));
    for (pages, places) in pages.chunks(group).zip(layout.places.chunks(group)) {
        let started = Instant::now();
        for (page, place) in pages.iter().zip(places) {
            file_of(&files, *place)?.write_all_at(&page.bytes, place.offset)?;
        }
        // A group lies in one file.
        let place = places.first().ok_or("invariant: no group is empty")?;
        file_of(&files, *place)?.sync_data()?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// One page after the other; a group that does not fit into the rest of a file begins the next.
fn layout(pages: &[Page], group: usize) -> Layout {
    let aligned = |page: &Page| (page.bytes.len() as u64).next_multiple_of(ALIGNMENT);
    let (mut places, mut files) = (Vec::with_capacity(pages.len()), vec![0_u64]);
    for pages in pages.chunks(group) {
        let bytes: u64 = pages.iter().map(aligned).sum();
        if files.last().is_some_and(|&filled| filled > 0 && filled + bytes > FILE_BYTES) {
            files.push(0);
        }
        let file = files.len() - 1;
        for page in pages {
            if let Some(filled) = files.last_mut() {
                places.push(Place { file, offset: *filled, bytes: page.bytes.len() });
                *filled += aligned(page);
            }
        }
    }
    Layout { places, files }
}

fn path(dir: &Path, number: usize) -> std::path::PathBuf {
    dir.join(number.to_string())
}

fn file_of(files: &[File], place: Place) -> Result<&File, AnyError> {
    Ok(files.get(place.file).ok_or("invariant: the layout names the files that were made")?)
}

/// The files, mapped, and where each value lies in them.
struct Mapped {
    maps: Vec<Mmap>,
    places: HashMap<Key, Place>,
}

impl Mapped {
    fn open(dir: &Path, pages: &[Page], layout: &Layout) -> Result<Self, AnyError> {
        let map = |number| {
            let file = File::open(path(dir, number))?;
            // SAFETY: the folder is this measurement's own, and nothing writes to its files any
            // more.
            unsafe { Mmap::map(&file) }
        };
        let maps = (0..layout.files.len()).map(map).collect::<io::Result<_>>()?;
        let places = pages.iter().map(|page| page.key).zip(layout.places.iter().copied()).collect();
        Ok(Self { maps, places })
    }
}

impl Readable for Mapped {
    fn reader(&self) -> Result<impl Reader + '_, AnyError> {
        Ok(self)
    }
}

impl Reader for &Mapped {
    fn look<T>(&mut self, key: &Key, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, AnyError> {
        let Some(place) = self.places.get(key) else { return Ok(None) };
        let start = usize::try_from(place.offset)?;
        let map = self.maps.get(place.file);
        let bytes = map.and_then(|map| map.get(start..start + place.bytes));
        Ok(bytes.map(look))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lie_in_one_file_and_pages_do_not_overlap() {
        let pages: Vec<_> = [20_000_001, 20_000_000, 20_000_000, 7]
            .map(|bytes| Page::new("", vec![0; bytes]))
            .into();
        let by_one = layout(&pages, 1);
        assert_eq!(by_one.files, [60_000_016]);
        assert_eq!(by_one.places[1], Place { file: 0, offset: 20_000_008, bytes: 20_000_000 });
        assert_eq!(by_one.places[3], Place { file: 0, offset: 60_000_008, bytes: 7 });
        let six = [pages.clone(), pages].concat();
        let by_two = layout(&six, 2);
        assert_eq!(by_two.files, [60_000_016, 60_000_016]);
        assert_eq!(by_two.places[4].file, 1);
    }
}
