//! Circles: files that cannot be understood without each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::modules::Arrow;

/// The circles among files, each with the arrows that close it, for a person to cut.
pub fn circles(arrows: &[Arrow]) -> Vec<String> {
    let mut next: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for arrow in arrows {
        next.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = next.keys().map(|&file| (file, reached(&next, file))).collect();
    let leads = |from: &Path, to: &Path| reached.get(from).is_some_and(|files| files.contains(to));
    let mut told: BTreeSet<&Path> = BTreeSet::new();
    let mut found = Vec::new();
    for &file in next.keys() {
        if !leads(file, file) || told.contains(file) {
            continue;
        }
        let circle: BTreeSet<&Path> = reached[file].iter().copied().filter(|&other| leads(other, file)).collect();
        told.extend(&circle);
        found.push(describe(&circle, arrows));
    }
    found
}

fn reached<'a>(next: &BTreeMap<&'a Path, BTreeSet<&'a Path>>, from: &Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&Path> = next.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = ahead.pop() {
        if reached.insert(file) {
            ahead.extend(next.get(file).into_iter().flatten());
        }
    }
    reached
}

fn describe(circle: &BTreeSet<&Path>, arrows: &[Arrow]) -> String {
    let mut by_pair: BTreeMap<(&PathBuf, &PathBuf), Vec<&str>> = BTreeMap::new();
    for arrow in arrows.iter().filter(|arrow| circle.contains(&*arrow.from) && circle.contains(&*arrow.to)) {
        by_pair.entry((&arrow.from, &arrow.to)).or_default().push(&arrow.path);
    }
    let lines =
        by_pair.iter().map(|((from, to), paths)| format!("\n  {} -> {}: {}", from.display(), to.display(), paths.join(", ")));
    let files: Vec<String> = circle.iter().map(|file| file.display().to_string()).collect();
    format!("a circle of {}{}", files.join(", "), lines.collect::<String>())
}
