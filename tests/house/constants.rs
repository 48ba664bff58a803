//! Constants in the sources, for documents that repeat them.

use std::path::{Path, PathBuf};

use osm_api::domain::{DAY, HOUR, MINUTE, SECOND};
use syn::{Expr, ExprBinary, ExprLit, ExprPath, Item, ItemConst, Lit};

use crate::modules::Sources;

pub struct Constant {
    pub file: PathBuf,
    pub name: String,
    value: Expr,
}

/// All constants that stand at the top of a source.
pub fn constants(sources: &Sources) -> Vec<Constant> {
    let of_file = |(file, text): (&PathBuf, &String)| {
        let items = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display())).items;
        constants_of(file, items)
    };
    sources.iter().flat_map(of_file).collect()
}

/// The constants among the items of a source or module.
pub fn constants_of(file: &Path, items: Vec<Item>) -> impl Iterator<Item = Constant> + use<> {
    let file = file.to_owned();
    items.into_iter().filter_map(move |item| match item {
        Item::Const(ItemConst { ident, expr, .. }) => {
            Some(Constant { file: file.clone(), name: ident.to_string(), value: *expr })
        }
        _ => None,
    })
}

impl Constant {
    /// A time, or another product of whole numbers.
    pub fn number(&self) -> i64 {
        number(&self.value).unwrap_or_else(|| panic!("{}: {} is no product of numbers", self.file.display(), self.name))
    }

    /// The texts in it, in their order.
    pub fn texts(&self) -> Vec<String> {
        let mut found = Vec::new();
        texts(&self.value, &mut found);
        found
    }
}

fn number(value: &Expr) -> Option<i64> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        Expr::Binary(ExprBinary { left, op: syn::BinOp::Mul(_), right, .. }) => Some(number(left)? * number(right)?),
        Expr::Path(ExprPath { path, .. }) => match path.segments.last()?.ident.to_string().as_str() {
            "SECOND" => Some(SECOND),
            "MINUTE" => Some(MINUTE),
            "HOUR" => Some(HOUR),
            "DAY" => Some(DAY),
            _ => None,
        },
        _ => None,
    }
}

fn texts(value: &Expr, found: &mut Vec<String>) {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => found.push(text.value()),
        Expr::Array(array) => array.elems.iter().for_each(|element| texts(element, found)),
        Expr::Tuple(tuple) => tuple.elems.iter().for_each(|element| texts(element, found)),
        Expr::Reference(reference) => texts(&reference.expr, found),
        _ => {}
    }
}
