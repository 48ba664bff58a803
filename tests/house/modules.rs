//! The modules of a crate and what each names of the others, read from its sources. What is compiled for tests only is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::syntax::{self, Declared, Source, Use};

/// Sources by their path below `src`.
pub type Sources = BTreeMap<PathBuf, String>;

pub struct Crate {
    modules: Vec<Module>,
    /// What lies in `src` itself, without `.rs`: also what is compiled for tests only.
    top: BTreeSet<String>,
}

struct Module {
    /// Below the crate, as `["store", "db"]`; the root's is empty.
    name: Vec<String>,
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    uses: Vec<Use>,
    paths: Vec<Vec<String>>,
}

/// One file names something that another one holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: PathBuf,
    pub to: PathBuf,
    pub from_room: String,
    pub to_room: String,
    /// As it stands in the source.
    pub path: String,
}

/// A path that leads out of the crate.
pub struct Foreign {
    pub room: String,
    pub file: PathBuf,
    pub path: String,
}

/// Where a path leads.
#[derive(Clone, Copy)]
struct Target {
    module: usize,
    /// It names the module itself, nothing in it.
    is_module: bool,
}

/// Re-exports of re-exports; beyond it a name stands for itself.
const DEPTH: usize = 16;

impl Crate {
    /// Reads a crate from its root, `lib.rs` or `main.rs`.
    pub fn read(sources: &Sources, root: &str) -> Self {
        let top = sources.keys().filter_map(|file| Some(file.iter().next()?.to_string_lossy().replace(".rs", ""))).collect();
        let mut this = Self { modules: Vec::new(), top };
        this.add_file(sources, Module::new(Vec::new(), Path::new(root), None));
        this
    }

    fn add_file(&mut self, sources: &Sources, module: Module) -> usize {
        let file = module.file.display();
        let text = sources.get(&module.file).unwrap_or_else(|| panic!("{file}: no such source"));
        let source = syntax::read(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.add(sources, module, source)
    }

    fn add(&mut self, sources: &Sources, module: Module, source: Source) -> usize {
        let index = self.modules.len();
        let (name, file) = (module.name.clone(), module.file.clone());
        self.modules.push(Module { uses: source.uses, paths: source.paths, ..module });
        for (child, declared) in source.declared {
            let child_name = [name.clone(), vec![child.clone()]].concat();
            let added = match declared {
                Declared::Here(source) => self.add(sources, Module::new(child_name, &file, Some(index)), source),
                Declared::InFile(path) => {
                    let file = path.map_or_else(|| file_of(sources, &child_name), |path| file.with_file_name(path));
                    self.add_file(sources, Module::new(child_name, &file, Some(index)))
                }
            };
            self.modules[index].children.insert(child, added);
        }
        index
    }

    /// All arrows between files, each once.
    pub fn arrows(&self) -> Vec<Arrow> {
        let mut arrows: Vec<Arrow> = (0..self.modules.len()).flat_map(|index| self.arrows_of(index)).collect();
        arrows.sort();
        arrows.dedup();
        arrows
    }

    fn arrows_of(&self, index: usize) -> Vec<Arrow> {
        let module = &self.modules[index];
        // A name that a module passes on is an arrow of those who take it from there.
        let imported = module.uses.iter().filter(|import| !import.is_passed_on).map(|import| (&import.path, import.is_glob()));
        let named = module.paths.iter().map(|path| (path, false));
        imported
            .chain(named)
            .filter_map(|(path, is_glob)| {
                let target = self.resolve(index, path, 0)?;
                // To name a module is no arrow yet: what is taken from it is one.
                (!target.is_module || is_glob).then(|| self.arrow(index, target, path))
            })
            .filter(|arrow| arrow.from != arrow.to)
            .collect()
    }

    fn arrow(&self, index: usize, target: Target, path: &[String]) -> Arrow {
        let (from, to) = (&self.modules[index], &self.modules[target.module]);
        Arrow { from: from.file.clone(), to: to.file.clone(), from_room: from.room(), to_room: to.room(), path: path.join("::") }
    }

    /// Whether there is a file or a folder for a room.
    pub fn has(&self, room: &str) -> bool {
        self.top.contains(room)
    }

    /// The names of the crate's rooms: the modules that its root declares, and the root itself.
    pub fn rooms(&self) -> Vec<String> {
        self.modules.iter().filter(|module| module.name.len() <= 1).map(Module::room).collect()
    }

    /// The paths that lead out of the crate.
    pub fn foreign(&self) -> Vec<Foreign> {
        let modules = self.modules.iter().enumerate();
        let paths = modules.flat_map(|(index, module)| {
            module.uses.iter().map(|import| &import.path).chain(&module.paths).map(move |path| (index, path))
        });
        let foreign = paths.filter(|(index, path)| self.resolve(*index, path, 0).is_none());
        let named = |(index, path): (usize, &Vec<String>)| {
            let module: &Module = &self.modules[index];
            Foreign { room: module.room(), file: module.file.clone(), path: path.join("::") }
        };
        foreign.map(named).collect()
    }

    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Target> {
        if depth > DEPTH {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let module = &self.modules[from];
        let start = match first.as_str() {
            "crate" => Target { module: 0, is_module: true },
            "self" => Target { module: from, is_module: true },
            "super" => Target { module: module.parent?, is_module: true },
            name => match module.children.get(name) {
                Some(&child) => Target { module: child, is_module: true },
                None => self.imported(from, path.len() == 1, name, depth)?,
            },
        };
        Some(self.walk(start, rest, depth))
    }

    /// What a name stands for that a `use` brought into a module.
    fn imported(&self, from: usize, is_whole: bool, name: &str, depth: usize) -> Option<Target> {
        let import = self.modules[from].uses.iter().find(|import| import.name.as_deref() == Some(name))?;
        let is_itself = is_whole && import.path.len() == 1;
        if is_itself { None } else { self.resolve(from, &import.path, depth + 1) }
    }

    /// Goes down from a module; a name that is passed on leads to where it comes from.
    fn walk(&self, mut at: Target, path: &[String], depth: usize) -> Target {
        for (position, name) in path.iter().enumerate() {
            if !at.is_module {
                break;
            }
            let module = &self.modules[at.module];
            if name == "super" {
                at.module = module.parent.unwrap_or(at.module);
            } else if let Some(&child) = module.children.get(name) {
                at.module = child;
            } else if let Some(target) = self.passed_on(at.module, name, depth) {
                return self.walk(target, &path[position + 1..], depth + 1);
            } else {
                at.is_module = false;
            }
        }
        at
    }

    fn passed_on(&self, module: usize, name: &str, depth: usize) -> Option<Target> {
        let import =
            self.modules[module].uses.iter().find(|import| import.is_passed_on && import.name.as_deref() == Some(name))?;
        if import.path.len() == 1 { None } else { self.resolve(module, &import.path, depth + 1) }
    }
}

impl Module {
    fn new(name: Vec<String>, file: &Path, parent: Option<usize>) -> Self {
        let (children, uses, paths) = Default::default();
        Self { name, file: file.to_owned(), parent, children, uses, paths }
    }

    fn room(&self) -> String {
        let root = || self.file.file_stem().expect("a file's name").to_string_lossy().into_owned();
        self.name.first().cloned().unwrap_or_else(root)
    }
}

fn file_of(sources: &Sources, name: &[String]) -> PathBuf {
    let folder: PathBuf = name.iter().collect();
    let (own, of_folder) = (folder.with_extension("rs"), folder.join("mod.rs"));
    if sources.contains_key(&own) { own } else { of_folder }
}

/// The sources of a crate from its folder `src`.
pub fn sources(src: &Path) -> Sources {
    let mut found = Sources::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                found.insert(path.strip_prefix(src).expect("a source below src").to_owned(), text);
            }
        }
    }
    found
}
