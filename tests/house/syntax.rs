//! What one source says of modules: those it declares, what it imports, and the paths it names, those in macros included. What is
//! compiled for tests only is left out.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, Meta, UseTree, Visibility,
    visit::{self, Visit},
};

#[derive(Default)]
pub struct Source {
    pub declared: Vec<(String, Declared)>,
    pub uses: Vec<Use>,
    /// Those of two segments at least.
    pub paths: Vec<Vec<String>>,
}

pub enum Declared {
    Here(Source),
    /// In a file of its own; `#[path]` may name it.
    InFile(Option<String>),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    pub path: Vec<String>,
    /// Under which name; `None` for all of a module.
    pub name: Option<String>,
    /// `pub use` and its like.
    pub is_passed_on: bool,
}

impl Use {
    pub fn is_glob(&self) -> bool {
        self.name.is_none()
    }
}

pub fn read(text: &str) -> syn::Result<Source> {
    Ok(source(&syn::parse_file(text)?.items))
}

fn source(items: &[Item]) -> Source {
    let mut source = Source::default();
    for item in items {
        source.visit_item(item);
    }
    source
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_for_tests = matches!(item, ImplItem::Fn(function) if function.attrs.iter().any(is_for_tests));
        if !is_for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let declared = match &module.content {
            Some((_, items)) => Declared::Here(source(items)),
            None => Declared::InFile(module.attrs.iter().find_map(path_of)),
        };
        self.declared.push((module.ident.to_string(), declared));
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        let is_passed_on = !matches!(import.vis, Visibility::Inherited);
        if import.leading_colon.is_none() {
            leaves(&import.tree, &mut Vec::new(), is_passed_on, &mut self.uses);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    // What stands in brackets after `pub` is no arrow, nor is what attributes say.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        paths_in(call.tokens.clone(), &mut self.paths);
    }
}

fn leaves(tree: &UseTree, before: &mut Vec<String>, is_passed_on: bool, found: &mut Vec<Use>) {
    let mut leaf = |name: Option<String>, last: Option<String>| {
        let path = before.iter().cloned().chain(last).collect();
        found.push(Use { path, name, is_passed_on });
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, is_passed_on, found);
            before.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, is_passed_on, found)),
        UseTree::Name(name) if name.ident == "self" => leaf(before.last().cloned(), None),
        UseTree::Name(name) => leaf(Some(name.ident.to_string()), Some(name.ident.to_string())),
        UseTree::Rename(rename) if rename.ident == "self" => leaf(Some(rename.rename.to_string()), None),
        UseTree::Rename(rename) => leaf(Some(rename.rename.to_string()), Some(rename.ident.to_string())),
        UseTree::Glob(_) => leaf(None, None),
    }
}

/// The paths of two segments and more in what a macro is given.
fn paths_in(tokens: TokenStream, found: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is =
        |at: usize, punctuation: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == punctuation);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Group(group) => paths_in(group.stream(), found),
            // `$crate` is of the macro's own crate, and after a dot stands a method.
            TokenTree::Ident(first)
                if at == 0 || !(is(at - 1, '$') || is(at - 1, '.') || is(at - 1, ':') && is(at.wrapping_sub(2), ':')) =>
            {
                let mut path = vec![first.to_string()];
                while is(at + 1, ':') && is(at + 2, ':') {
                    let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                    path.push(next.to_string());
                    at += 3;
                }
                if path.len() > 1 {
                    found.push(path);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, and `#[cfg(all(test, …))]`.
fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let condition = list.tokens.to_string().replace(' ', "");
    list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
}

/// `#[path = "…"]`.
fn path_of(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &pair.value else { return None };
    pair.path.is_ident("path").then(|| path.value())
}
