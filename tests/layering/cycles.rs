//! Files that import each other, directly or around a corner, can only be understood together.
//! There is a limit to how many of them may form one cycle.
//!
//! An import leads to the file that defines what is named, through the re-exports of other files.
//! The face of a part (`store/mod.rs`) is left out: what it re-exports leads to the files behind it,
//! and what it defines itself is the part's own interface. Code for tests is left out as well.

use std::collections::{BTreeMap, BTreeSet};

use super::assert_none;
use super::source::{Import, Named, Token, from_root, imports, modules_of, paths, sources};
use super::test_code::untested;

/// The largest cycle of files that a part may have.
const LARGEST: usize = 4;

/// How many re-exports are followed to where a name is defined.
const REEXPORTS: usize = 8;

/// How many imports a path may lead through in one file.
const IMPORTS: usize = 4;

type Module = Vec<String>;

/// A file of the library, without its tests.
struct File {
    tokens: Vec<Token>,
    imports: Vec<Import>,
}

/// The files of the library by their modules.
struct Library(BTreeMap<Module, File>);

impl Library {
    /// Takes paths below `src` and texts.
    fn new(sources: &[(String, String)]) -> Self {
        let kept = untested(sources).into_iter();
        Self(
            kept.map(|(file, tokens)| {
                let imports = imports(&tokens);
                (modules_of(&file), File { tokens, imports })
            })
            .collect(),
        )
    }

    /// Where a path that is written in `module` leads from the root of the library, if it stays in it.
    fn absolute(&self, module: &Module, named: &Named) -> Option<Module> {
        self.through_imports(module, named, IMPORTS)
    }

    /// The same for a path that may begin with a name that the file imports.
    fn through_imports(&self, module: &Module, named: &Named, imports: usize) -> Option<Module> {
        if let Some(path) = from_root(module, named) {
            return Some(path);
        }
        let own = named.segments.strip_prefix(&["self".to_owned()]).unwrap_or(&named.segments);
        let (first, rest) = own.split_first()?;
        let child = inside(module, first);
        let explicit = own.len() < named.segments.len();
        if explicit || named.inside.is_empty() && self.0.contains_key(&child) {
            return Some(module.iter().chain(own).cloned().collect());
        }
        let imports = imports.checked_sub(1)?;
        let mut found = self.0.get(module)?.imports.iter().filter(|import| import.name == *first);
        found.find_map(|import| {
            let path = self.through_imports(module, &import.named, imports)?;
            // `{self as name}` is the module itself.
            let path = path.into_iter().filter(|word| word != "self");
            Some(path.chain(rest.iter().cloned()).collect())
        })
    }

    /// The file that defines what a path from the root names.
    fn definer(&self, path: &[String], reexports: usize) -> Option<Module> {
        let length = (0..=path.len())
            .rev()
            .find(|&length| path.get(..length).is_some_and(|module| self.0.contains_key(module)))?;
        let (module, rest) = path.split_at(length);
        let module = module.to_vec();
        let Some((name, behind)) = rest.split_first().filter(|_| reexports > 0) else {
            return Some(module);
        };
        let file = self.0.get(&module)?;
        let origin = file.imports.iter().filter(|import| import.named.inside.is_empty());
        let origin = origin.filter(|import| import.name == *name).find_map(|import| {
            let path = self.absolute(&module, &import.named)?;
            self.definer(
                &path.into_iter().chain(behind.iter().cloned()).collect::<Vec<_>>(),
                reexports - 1,
            )
        });
        Some(origin.unwrap_or(module))
    }

    /// The files that a file names.
    fn named_by(&self, module: &Module) -> BTreeSet<Module> {
        let Some(file) = self.0.get(module) else { return BTreeSet::new() };
        let named = paths(&file.tokens).into_iter().filter(|path| path.segments.len() > 1);
        named
            .filter_map(|path| self.absolute(module, &path))
            .filter_map(|path| self.definer(&path, REEXPORTS))
            .filter(|target| target != module)
            .collect()
    }

    /// The cycles of files in a part, each with what its files name in it; the largest first.
    fn cycles(&self, part: &str) -> Vec<BTreeMap<Module, BTreeSet<Module>>> {
        let files =
            self.0.keys().filter(|file| file.len() > 1 && file.first().is_some_and(|p| p == part));
        let files: BTreeSet<Module> = files.cloned().collect();
        let named: BTreeMap<Module, BTreeSet<Module>> = files
            .iter()
            .map(|file| (file.clone(), self.named_by(file).intersection(&files).cloned().collect()))
            .collect();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            files.iter().map(|file| (file, reached_from(file, &named))).collect();
        let mut left: BTreeSet<&Module> = files.iter().collect();
        let mut cycles = Vec::new();
        while let Some(file) = left.pop_first() {
            let onward = reached.get(file).into_iter().flatten().copied();
            let back = |other: &&Module| reached.get(*other).is_some_and(|to| to.contains(file));
            let cycle: BTreeSet<Module> = onward.filter(back).cloned().collect();
            left.retain(|other| !cycle.contains(*other));
            let within = cycle.iter().filter_map(|file| {
                let to = named.get(file)?.intersection(&cycle).cloned().collect();
                Some((file.clone(), to))
            });
            cycles.push(within.collect::<BTreeMap<_, _>>());
        }
        cycles.retain(|cycle| cycle.len() > 1);
        cycles.sort_by_key(|cycle| std::cmp::Reverse(cycle.len()));
        cycles
    }

    fn parts(&self) -> BTreeSet<String> {
        self.0.keys().filter_map(|module| module.first().cloned()).collect()
    }

    /// Parts that name each other, directly or around a corner.
    fn cycles_of_parts(&self) -> Vec<String> {
        let mut named: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for file in self.0.keys().filter(|file| !file.is_empty()) {
            let part = |module: &[String]| module.iter().take(1).cloned().collect::<Module>();
            let parts = self
                .named_by(file)
                .iter()
                .map(|to| part(to))
                .filter(|to| !to.is_empty())
                .collect::<Vec<_>>();
            named
                .entry(part(file))
                .or_default()
                .extend(parts.into_iter().filter(|to| *to != part(file)));
        }
        let back = named.keys().filter(|part| reached_from(part, &named).contains(part));
        back.map(|part| format!("`{}` names parts that name it", part.join("::"))).collect()
    }
}

fn inside(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// What can be reached from a file in one step or more.
fn reached_from<'a>(
    file: &Module,
    named: &'a BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Module> = named.get(file).into_iter().flatten().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(named.get(file).into_iter().flatten());
        }
    }
    reached
}

/// Cycles that are larger than a part may have.
fn violations(library: &Library) -> Vec<String> {
    let mut wrong = Vec::new();
    for part in library.parts() {
        for cycle in library.cycles(&part).into_iter().filter(|cycle| cycle.len() > LARGEST) {
            wrong
                .push(format!("{part}: {} files in one cycle, {LARGEST} are allowed", cycle.len()));
            wrong.extend(cycle.iter().map(|(file, to)| {
                let to: Vec<String> = to.iter().map(|file| file.join("::")).collect();
                format!("    {} names {}", file.join("::"), to.join(", "))
            }));
        }
    }
    wrong
}

fn library() -> Library {
    let library = sources().into_iter().filter(|(file, _)| !file.starts_with("bin/"));
    Library::new(&library.collect::<Vec<_>>())
}

#[test]
fn cycles_of_files_are_small() {
    assert_none(&violations(&library()));
}

#[test]
fn parts_do_not_name_each_other() {
    assert_none(&library().cycles_of_parts());
}

/// Files of a part `p` made of these texts, and the sizes of its cycles.
fn sizes(files: &[(&str, &str)]) -> Vec<usize> {
    let files = files.iter().map(|(file, text)| (format!("p/{file}.rs"), (*text).to_owned()));
    let library = Library::new(&files.collect::<Vec<_>>());
    library.cycles("p").iter().map(BTreeMap::len).collect()
}

#[test]
fn a_cycle_is_found_however_it_is_written() {
    let bad: &[&[(&str, &str)]] = &[
        &[("a", "use super::b::B;"), ("b", "use crate::p::a::A;")],
        &[("a", "fn f() { super::b::f() }"), ("b", "use crate::{p::{a::{A, C}}};")],
        // Through what a face re-exports, under another name, and through the face of the crate.
        &[("mod", "pub use b::B;"), ("a", "use super::B;"), ("b", "use super::a;")],
        &[("mod", "pub(crate) use b::B as C;"), ("a", "use crate::p::C;"), ("b", "use super::a;")],
        &[("mod", "pub use self::b::B;"), ("a", "fn f(x: super::B) {}"), ("b", "use super::a;")],
        &[
            ("mod", "pub use c::C;"),
            ("c/mod", "pub use d::C;"),
            ("c/d", "use crate::p::a;"),
            ("a", "use super::C;"),
        ],
        // Through a name that the file imports.
        &[("a", "use crate::p; fn f() { p::b::f() }"), ("b", "use super::a::A;")],
        &[("a", "use super::super::p as q; use q::b::B;"), ("b", "use super::a::A;")],
        &[("a", "use crate::p::{self as q}; type T = q::b::B;"), ("b", "use super::a::A;")],
        // A folder's own face is a file like any other.
        &[("a/mod", "mod b; use b::B; struct A;"), ("a/b", "use super::A;")],
        &[("a/mod", "fn f() { b::f() } struct A;"), ("a/b", "mod deep { use super::super::A; }")],
        &[("a", "#[cfg(not(test))] use super::b::B;"), ("b", "use super::a::A;")],
        &[("a", "#[cfg(any(test, unix))] use super::b::B;"), ("b", "use super::a::A;")],
    ];
    for files in bad {
        assert_eq!(sizes(files), [2], "{files:?}");
    }
    let two = [
        ("a", "use super::b;"),
        ("b", "use super::c;"),
        ("c", "use super::a;"),
        ("d", "use super::e;"),
        ("e", "use super::d; use super::a;"),
    ];
    assert_eq!(sizes(&two), [3, 2]);
}

#[test]
fn what_is_no_cycle_is_not_called_one() {
    let good: &[&[(&str, &str)]] = &[
        &[("a", "use super::b::B;"), ("b", "")],
        // The face of the part names everything, and everything may name it.
        &[("mod", "use a::A; struct P;"), ("a", "use super::P;")],
        &[("a", "use super::b;"), ("b", "#[cfg(test)] mod tests { use super::super::a; }")],
        &[
            ("a", "use super::b;"),
            ("b", "#[cfg(all(test, unix))] mod tests;"),
            ("b/tests", "use super::super::a;"),
        ],
        &[("a", "use super::b;"), ("b", "impl B { #[cfg(test)] fn f<K, V>(a: super::a::A) {} }")],
        &[("a", "use super::b;"), ("b", "struct B { #[cfg(test)] a: super::a::A, b: u8 }")],
        &[("a", "use super::b;"), ("b", "// super::a\nconst A: &str = \"super::a::A\";")],
        // A word that happens to be a file's name elsewhere.
        &[("a", "use super::b;"), ("b", "fn f() { a::b() } use std::a;")],
        &[("a", "use crate::q::b;"), ("b", "use super::a;")],
    ];
    for files in good {
        assert_eq!(sizes(files), [0; 0], "{files:?}");
    }
}

#[test]
fn parts_that_name_each_other_are_found() {
    let cycles = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
        Library::new(&files.collect::<Vec<_>>()).cycles_of_parts().len()
    };
    assert_eq!(cycles(&[("a/mod.rs", "use crate::b;"), ("b.rs", "use crate::a::A;")]), 2);
    let three = [
        ("a/mod.rs", ""),
        ("a/x.rs", "use crate::b;"),
        ("b.rs", "use crate::c;"),
        ("c.rs", "use crate::a::x::X;"),
        ("d.rs", "use crate::a;"),
    ];
    assert_eq!(cycles(&three), 3);
    assert_eq!(cycles(&[("a.rs", "use crate::b;"), ("b.rs", "use super::c;"), ("c.rs", "")]), 0);
}
