//! Golden files: what is stored, sent or signed, in the form it has outside of this program. One file for each type, one form a
//! line, each line the very bytes that are written.
//!
//! The tests of other crates include this file, so that all of them mean the same by a golden file.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

const FIX: &str = "\
These forms are stored by running backends, lie on servers, or are signed: a change that cannot read them loses what people
have. Until the first release replace the lines in the commit that changes the form, and say in its body why. From then on
lines are only added: what was written once is read, and written like this, for ever.";

/// The variants of an enum by name, and the name of a value. A variant that is not named here does not compile.
macro_rules! variants {
    ($type:ident: $($variant:ident)*) => {
        (&[$(stringify!($variant)),*] as &[&str], |value: &$type| match value {
            $($type::$variant { .. } => stringify!($variant)),*
        })
    };
}

/// A folder of golden files, and what was found to be wrong with them.
pub struct Golden {
    folder: PathBuf,
    read: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Golden {
    /// The folder `golden` of the crate whose manifest lies in `crate_dir`.
    pub fn of(crate_dir: &str) -> Self {
        Self { folder: PathBuf::from(crate_dir).join("golden"), read: BTreeSet::new(), wrong: Vec::new() }
    }

    /// The path of a file or folder that the caller reads by itself.
    pub fn path(&mut self, name: &str) -> PathBuf {
        self.read.insert(name.to_owned());
        self.folder.join(name)
    }

    /// Reads a file as it is.
    pub fn text(&mut self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| {
            self.wrong.push(format!("golden/{file}: {error}"));
            String::new()
        })
    }

    /// Reads every form in a file with the present code, and holds that it would be written the same again.
    pub fn forms<T: Serialize + DeserializeOwned>(&mut self, file: &str) -> Vec<T> {
        let text = self.text(file);
        let mut forms = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            match serde_json::from_str::<T>(line) {
                Ok(form) => {
                    self.same(&format!("{file}, line {number}"), line, &serde_json::to_string(&form).expect("a JSON form"));
                    forms.push(form);
                }
                Err(error) => {
                    self.wrong.push(format!("golden/{file}, line {number}: cannot be read any more: {error}\n  {line}"));
                }
            }
        }
        forms
    }

    /// Holds that something is still what it was.
    pub fn same(&mut self, what: &str, was: &str, is: &str) {
        if was != is {
            self.wrong.push(format!("golden/{what}: is another now\n  was {was}\n  is  {is}"));
        }
    }

    /// Holds that every variant of an enum is among `values`, which come from `file`.
    pub fn every<'v, T: 'v>(
        &mut self,
        file: &str,
        values: impl IntoIterator<Item = &'v T>,
        (variants, name): (&[&'static str], impl Fn(&T) -> &'static str),
    ) {
        let found: BTreeSet<&str> = values.into_iter().map(name).collect();
        for variant in variants.iter().filter(|variant| !found.contains(*variant)) {
            self.wrong.push(format!("golden/{file}: no form for {variant}: add a line"));
        }
    }

    /// Fails with all that was found to be wrong, a file that nothing reads included.
    pub fn finish(mut self) {
        for entry in fs::read_dir(&self.folder).expect("the folder of golden files").flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if !self.read.contains(&file) {
                self.wrong.push(format!("golden/{file}: no test reads it"));
            }
        }
        assert!(self.wrong.is_empty(), "{}\n\n{FIX}", self.wrong.join("\n"));
    }
}
