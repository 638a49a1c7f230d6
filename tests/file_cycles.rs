//! Imports between the files of a crate run one way: no file uses another one that uses it back.
//!
//! A parent that lists its children with `mod` and re-exports their items does not use them; a child that takes a type from its parent,
//! which uses the child, is a cycle. The cure is a file of its own for the type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Files of a crate that use each other, and what they share.
struct Exception {
    crate_name: &'static str,
    files: &'static [&'static str],
    shared: &'static str,
}

/// The cycles that there may be. One that is no longer there must be removed from the list.
const EXCEPTIONS: &[Exception] = &[
    of_train(
        &["evaluation", "evaluation::accuracy", "monitors", "observer"],
        "a validation set and its report",
    ),
    of_train(
        &[
            "objective::config",
            "objective::penalty::formulas",
            "objective::unit_rates",
        ],
        "the tables of penalties",
    ),
    of_train(&["perturbation", "perturbation::window"], "`Active`"),
    of_train(
        &[
            "trainer",
            "trainer::continual",
            "trainer::lbfgs",
            "trainer::rollback",
            "trainer::trials",
        ],
        "`Trainer` and the types of its fields",
    ),
];

const fn of_train(files: &'static [&'static str], shared: &'static str) -> Exception {
    Exception {
        crate_name: "ctrnn-train",
        files,
        shared,
    }
}

#[test]
fn files_use_each_other_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut found = BTreeMap::new();
    for folder in fs::read_dir(&root).expect("the crates") {
        let folder = folder.expect("an entry");
        let name = folder.file_name().to_string_lossy().into_owned();
        for cycle in Crate::read(&folder.path()).cycles() {
            found.insert((name.clone(), cycle.files), cycle.imports);
        }
    }
    let is_listed = |crate_name: &str, files: &[String]| {
        let mut exceptions = EXCEPTIONS.iter();
        exceptions.any(|exception| exception.crate_name == crate_name && exception.files == files)
    };
    let new = (found.iter()).filter(|((name, files), _)| !is_listed(name, files));
    let new = new.map(|((name, files), imports)| {
        format!("{name}: {}\n{}", files.join(", "), imports.join("\n"))
    });
    let new: Names = new.collect();
    assert!(
        new.is_empty(),
        "files use each other; move what they share into a file of its own:\n{}",
        new.join("\n")
    );
    for exception in EXCEPTIONS {
        let files = exception.files.iter().map(|&file| file.to_owned());
        let key = (exception.crate_name.to_owned(), files.collect::<Vec<_>>());
        assert!(
            found.contains_key(&key),
            "{}: {:?}, which shared {}, use each other no longer; remove the exception",
            exception.crate_name,
            exception.files,
            exception.shared
        );
    }
}

/// A path in the source, or the place of a file in its crate.
type Names = Vec<String>;

/// A file as far as imports go; tests are left out.
#[derive(Default)]
struct SourceFile {
    /// Names of the children, `mod name;`.
    children: Names,
    /// Names of the items that the file defines.
    items: BTreeSet<String>,
    /// Paths that `use` gives a name.
    imports: BTreeMap<String, Names>,
    /// Names among these that are re-exported.
    exports: BTreeSet<String>,
    /// Paths in the code, and single names of items that may be re-exported ones.
    paths: Vec<Names>,
}

impl SourceFile {
    fn parse(text: &str) -> Self {
        let tokens: TokenStream = text.parse().expect("a Rust file");
        let mut file = Self::default();
        file.take(&tokens.into_iter().collect::<Vec<_>>());
        file
    }

    /// Takes items and paths out of tokens.
    fn take(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() == '#' && is_for_tests(tokens, at) => {
                    end_of_item(tokens, at + 2)
                }
                TokenTree::Group(group) => {
                    self.take(&group.stream().into_iter().collect::<Vec<_>>());
                    at + 1
                }
                TokenTree::Ident(ident) => self.take_word(tokens, at, &ident.to_string()),
                _ => at + 1,
            };
        }
    }

    /// Takes what begins with a word, and returns the place after it.
    fn take_word(&mut self, tokens: &[TokenTree], at: usize, word: &str) -> usize {
        match word {
            "use" => {
                let end = end_of_item(tokens, at);
                let is_export = follows_pub(tokens, at);
                for (name, path) in imports(&tokens[at + 1..end - 1]) {
                    if is_export {
                        self.exports.insert(name.clone());
                    }
                    self.imports.insert(name, path);
                }
                end
            }
            "mod" if is_punct(tokens, at + 2, ';') => {
                self.children.extend(ident(tokens, at + 1));
                at + 3
            }
            "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" => {
                self.items.extend(ident(tokens, at + 1));
                at + 1
            }
            "macro_rules" => {
                self.items.extend(ident(tokens, at + 2));
                at + 3
            }
            _ => {
                let (path, end) = path_at(tokens, at);
                self.paths.push(path);
                end
            }
        }
    }
}

fn ident(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_punct(tokens: &[TokenTree], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// Returns true if a `#` begins `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn is_for_tests(tokens: &[TokenTree], at: usize) -> bool {
    let Some(TokenTree::Group(attribute)) = tokens.get(at + 1) else {
        return false;
    };
    let text = attribute.stream().to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test")
}

/// Returns the place after the item that begins at `at`: after its `;`, or after its braces.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |place: &usize| match &tokens[*place] {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => {
            group.delimiter() == Delimiter::Brace && !is_punct(tokens, place + 1, ';')
        }
        _ => false,
    };
    (at..tokens.len())
        .find(is_end)
        .map_or(tokens.len(), |place| place + 1)
}

/// Returns true if `pub` or `pub(..)` stands before a place.
fn follows_pub(tokens: &[TokenTree], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|at| ident(tokens, at));
    let is_group = at > 0 && matches!(tokens[at - 1], TokenTree::Group(_));
    before(1).is_some_and(|word| word == "pub")
        || (is_group && before(2).is_some_and(|word| word == "pub"))
}

/// Returns the path that begins with the word at a place, and the place after it.
fn path_at(tokens: &[TokenTree], at: usize) -> (Names, usize) {
    let mut path: Names = ident(tokens, at).into_iter().collect();
    let mut end = at + 1;
    while is_punct(tokens, end, ':') && is_punct(tokens, end + 1, ':') {
        let Some(next) = ident(tokens, end + 2) else {
            break;
        };
        path.push(next);
        end += 3;
    }
    (path, end)
}

/// Returns the names that the tree of a `use` gives, each with its path.
fn imports(tree: &[TokenTree]) -> Vec<(String, Names)> {
    let mut found = Vec::new();
    for branch in tree.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
        let (path, end) = path_at(branch, 0);
        // After the `::` that a group or a `*` follows, or at `as NAME`.
        match branch.get(end + 2) {
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let joined = |(name, rest): (String, Names)| match rest.as_slice() {
                    [own] if own == "self" => (path.last().cloned().unwrap_or(name), path.clone()),
                    _ => (name, [path.clone(), rest].concat()),
                };
                found.extend(imports(&inner).into_iter().map(joined));
            }
            _ => {
                let renamed = ident(branch, end).and_then(|_| ident(branch, end + 1));
                let name = renamed.or_else(|| path.last().cloned());
                found.extend(name.map(|name| (name, path)));
            }
        }
    }
    found
}

/// Files that use each other.
struct Cycle {
    files: Names,
    /// The imports between them, for a message.
    imports: Names,
}

/// The files of a crate by their places, such as `["objective", "penalty"]`.
struct Crate(BTreeMap<Names, SourceFile>);

impl Crate {
    fn read(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        for root in ["lib.rs", "main.rs"] {
            let source = folder.join("src");
            read_into(&mut files, &source.join(root), Names::new(), &source);
        }
        Self(files)
    }

    /// Returns the file that defines the item of a path in `file`; `None` for a path to another crate.
    fn defining(&self, file: &Names, path: &[String], depth: usize) -> Option<Names> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Names::new(), &path[1..]),
            "self" => (file.clone(), &path[1..]),
            "super" => {
                let n = path.iter().take_while(|name| *name == "super").count();
                let outer = file.len().checked_sub(n)?;
                (file[..outer].to_vec(), &path[n..])
            }
            child if self.0[file].children.iter().any(|name| name == child) => (file.clone(), path),
            _ => return None,
        };
        while let Some((name, further)) = rest.split_first() {
            let child = [at.clone(), vec![name.clone()]].concat();
            if self.0.contains_key(&child) {
                (at, rest) = (child, further);
                continue;
            }
            return match self.0[&at].imports.get(name) {
                // A path that leads back to itself has another meaning than an item.
                Some(import) if depth < 12 && !self.0[&at].items.contains(name) => {
                    self.defining(&at, &[import, further].concat(), depth + 1)
                }
                _ => Some(at),
            };
        }
        Some(at)
    }

    /// Returns the files that a file uses, each with a path by which it does.
    fn used_by(&self, place: &Names, file: &SourceFile) -> BTreeMap<Names, String> {
        let private = file.imports.iter();
        let private = private.filter(|(name, _)| !file.exports.contains(*name));
        let imported = private.map(|(_, path)| path.clone());
        let in_code = file
            .paths
            .iter()
            .filter_map(|path| match file.imports.get(&path[0]) {
                Some(import) => Some([&import[..], &path[1..]].concat()),
                None => (path.len() > 1).then(|| path.clone()),
            });
        let mut used = BTreeMap::new();
        for path in imported.chain(in_code) {
            if let Some(other) = self
                .defining(place, &path, 0)
                .filter(|other| other != place)
            {
                used.entry(other).or_insert_with(|| path.join("::"));
            }
        }
        used
    }

    /// Returns the sets of files that use each other, directly or through others.
    fn cycles(&self) -> Vec<Cycle> {
        let used: BTreeMap<&Names, BTreeMap<Names, String>> = (self.0.iter())
            .map(|(place, file)| (place, self.used_by(place, file)))
            .collect();
        let reached: BTreeMap<&Names, BTreeSet<Names>> = (self.0.keys())
            .map(|place| (place, reached_from(place, &used)))
            .collect();
        let mut cycles: Vec<Cycle> = Vec::new();
        let mut seen = BTreeSet::new();
        for place in self
            .0
            .keys()
            .filter(|place| reached[place].contains(*place))
        {
            let own = reached[place].iter();
            let members: Vec<&Names> = own.filter(|other| reached[other].contains(place)).collect();
            if !seen.insert(members[0]) {
                continue;
            }
            let inside = |file: &Names| {
                let own = used[file]
                    .iter()
                    .filter(|(other, _)| members.contains(other));
                let line = |(other, by): (&Names, &String)| {
                    format!("    {} uses {}: {by}", name_of(file), name_of(other))
                };
                own.map(line).collect::<Names>()
            };
            cycles.push(Cycle {
                files: members.iter().map(|file| name_of(file)).collect(),
                imports: members.iter().flat_map(|file| inside(file)).collect(),
            });
        }
        cycles
    }
}

/// Returns the name of a file in messages and in the list of exceptions.
fn name_of(place: &Names) -> String {
    match place.as_slice() {
        [] => "crate".to_owned(),
        names => names.join("::"),
    }
}

/// Reads a file and its children, which are in `folder`.
fn read_into(files: &mut BTreeMap<Names, SourceFile>, path: &Path, place: Names, folder: &Path) {
    let Ok(text) = fs::read_to_string(path) else {
        return;
    };
    let file = SourceFile::parse(&text);
    for child in &file.children {
        let inner: PathBuf = folder.join(child);
        let place = [place.clone(), vec![child.clone()]].concat();
        for path in [folder.join(format!("{child}.rs")), inner.join("mod.rs")] {
            read_into(files, &path, place.clone(), &inner);
        }
    }
    files.insert(place, file);
}

fn reached_from(
    place: &Names,
    used: &BTreeMap<&Names, BTreeMap<Names, String>>,
) -> BTreeSet<Names> {
    let mut reached = BTreeSet::new();
    let mut next = vec![place];
    while let Some(file) = next.pop() {
        for other in used[file].keys() {
            if reached.insert(other.clone()) {
                next.push(other);
            }
        }
    }
    reached
}

#[test]
fn a_cycle_is_found_through_re_exports_and_not_in_tests() {
    let file = |place: &str, text: &str| {
        let place: Names = place
            .split("::")
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        (place, SourceFile::parse(text))
    };
    let files = [
        file("", "mod a; mod b; mod c; mod d; pub use a::A;"),
        file(
            "a",
            "//! use crate::d::D;\nuse crate::b::{self, make as made}; pub struct A(b::B);",
        ),
        file("b", "pub struct B; pub fn make(_: &crate::A) {}"),
        file(
            "c",
            "#[cfg(test)] mod tests { use crate::d::D; } pub struct C;",
        ),
        file(
            "d",
            "use super::c::C; pub struct D(C); const TEXT: &str = \"crate::d::D\";",
        ),
    ];
    let cycles = Crate(files.into()).cycles();
    let found: Vec<(Names, Names)> = cycles.into_iter().map(|c| (c.files, c.imports)).collect();
    let lines = ["    a uses b: crate::b", "    b uses a: crate::A"];
    assert_eq!(
        found,
        [(
            vec!["a".into(), "b".into()],
            lines.map(str::to_owned).to_vec()
        )]
    );
}
