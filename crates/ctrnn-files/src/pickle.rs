//! The part of Python's pickle format that a PyTorch state_dict uses, read without executing anything.
//!
//! A pickle is a program for a small stack machine, and may call any function of any Python module. This machine knows
//! the opcodes that `torch.save` writes (protocol 2) for a state_dict, and for a dictionary that holds one together with
//! plain values, as checkpoints do: numbers, strings, lists, tuples and dictionaries. It recognises four functions, which
//! it interprets instead of calling them: those that build an ordered dictionary, a tensor, a parameter, and the type of
//! a storage. Anything else is refused, and the error names it.
//!
//! Tuples, dictionaries and tensors are kept in three lists, and values refer to them by index. Nothing is nested in
//! memory, so no file can exhaust the stack or grow to exponential size by sharing.
//!
//! # References
//! Python's `pickletools` documents the opcodes; `torch/serialization.py` and `torch/_utils.py` what PyTorch does with them.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::array::Dtype;
use crate::error::FormatError;
use crate::limits::{MAX_ARRAYS, MAX_DIMENSIONS, MAX_NAME_BYTES};

/// A tensor as the pickle describes it: a view into a storage, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorView {
    /// Name of the storage within the archive.
    pub storage: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Number of elements that the storage holds.
    pub storage_len: u64,
    /// Index of the tensor's first element in the storage.
    pub offset: u64,
    /// Sizes, the slowest index first.
    pub shape: Vec<u64>,
    /// Distance between adjacent elements along each index.
    pub strides: Vec<u64>,
}

/// A dictionary of tensors in a pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateDict {
    /// Path of keys that leads to it, joined by dots; empty if it is the whole pickle.
    pub entry: String,
    /// The tensors by name, in the order of the file.
    pub tensors: Vec<(String, TensorView)>,
}

/// Reads the dictionary of tensors under `entry` of a pickle; without an entry, the whole pickle or the only one in it.
pub(crate) fn state_dict(bytes: &[u8], entry: Option<&str>) -> Result<StateDict, FormatError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        tuples: Vec::new(),
        dicts: Vec::new(),
        tensors: Vec::new(),
    };
    machine.run()?;
    machine.result(entry)
}

/// A value on the stack. Indices point into the lists of the [`Machine`].
#[derive(Debug, Clone)]
enum Value {
    None,
    Bool,
    Float,
    Int(i64),
    Text(Rc<str>),
    Tuple(usize),
    /// A list, whose items are dropped: no list leads to a state_dict.
    List,
    Dict(usize),
    Known(Known),
    Storage(Rc<Storage>),
    Tensor(usize),
}

/// A function or type that is recognised.
#[derive(Debug, Clone, Copy)]
enum Known {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageType(Dtype),
}

#[derive(Debug)]
struct Storage {
    key: Rc<str>,
    dtype: Dtype,
    len: u64,
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value>,
    tuples: Vec<Vec<Value>>,
    /// Dictionaries: the items whose keys are strings, and the number of others.
    dicts: Vec<Dict>,
    tensors: Vec<TensorView>,
}

#[derive(Debug, Default)]
struct Dict {
    named: Vec<(Rc<str>, Value)>,
    unnamed: usize,
}

/// The dictionaries that have been visited, and the dictionaries of tensors among them with their paths of keys.
struct Search {
    seen: Vec<bool>,
    found: Vec<(String, usize)>,
}

/// Maximum depth of nested dictionaries that are searched.
const MAX_DEPTH: usize = 8;

/// Maximum length of a string, such as the notes that a program stores next to its weights.
const MAX_TEXT_BYTES: usize = 1 << 16;

/// Maximum number of entries that a message names.
const MAX_NAMED: usize = 20;

/// Maximum number of arguments; the recognised functions take fewer.
const MAX_ARGUMENTS: usize = 8;

type Parsed<T = ()> = Result<T, FormatError>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Parsed {
        loop {
            let opcode = self.byte()?;
            if opcode == b'.' {
                return Ok(());
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Parsed {
        match opcode {
            0x80 => return self.protocol(),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool),
            b'K' => {
                let x = self.byte()?;
                self.push(Value::Int(x.into()));
            }
            b'M' => {
                let x = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(x.into()));
            }
            b'J' => {
                let x = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(x.into()));
            }
            b'G' => {
                let _eight_bytes: [u8; 8] = self.array()?;
                self.push(Value::Float);
            }
            0x8a => return self.long(),
            b'X' => return self.text(),
            b'c' => return self.global(),
            b')' => self.tuple_of(Vec::new()),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.tuple_of(items);
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.tuple_of(items);
            }
            b']' => self.push(Value::List),
            b'a' => {
                let _item = self.pop()?;
                return self.list_is_below();
            }
            b'e' => {
                let _items = self.pop_to_mark()?;
                return self.list_is_below();
            }
            b'}' => self.dict_of_nothing(),
            b's' => {
                let items = self.pop_many(2)?;
                return self.set_items(items);
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                return self.set_items(items);
            }
            b'q' => {
                let key = self.byte()?;
                return self.remember(key.into());
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                return self.remember(key);
            }
            b'h' => {
                let key = self.byte()?;
                return self.recall(key.into());
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                return self.recall(key);
            }
            b'Q' => return self.storage(),
            b'R' => return self.rebuild(),
            b'b' => return self.attributes(),
            other => {
                return Err(self.broken(format!(
                    "opcode 0x{other:02x} does not occur in a state_dict"
                )));
            }
        }
        Ok(())
    }

    fn protocol(&mut self) -> Parsed {
        match self.byte()? {
            2 => Ok(()),
            other => Err(self.broken(format!("it has protocol {other}, but torch.save writes 2"))),
        }
    }

    /// Reads an integer of variable length, at most 64 bits.
    fn long(&mut self) -> Parsed {
        let len = usize::from(self.byte()?);
        if len > 8 {
            return Err(self.broken("it has an integer of more than 64 bits".to_owned()));
        }
        let digits = self.take(len)?;
        let sign = match digits.last() {
            Some(&last) if last >= 0x80 => 0xff,
            _ => 0,
        };
        let mut wide = [sign; 8];
        wide[..len].copy_from_slice(digits);
        self.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn text(&mut self) -> Parsed {
        let len = u32::from_le_bytes(self.array()?) as usize;
        if len > MAX_TEXT_BYTES {
            return Err(self.broken(format!("it has a string of {len} bytes")));
        }
        let text = self.take(len)?;
        let text = str::from_utf8(text)
            .map_err(|_| self.broken("it has a string that is not UTF-8".to_owned()))?;
        self.push(Value::Text(text.into()));
        Ok(())
    }

    /// Reads the name of a function or type: two lines, the module and the name.
    fn global(&mut self) -> Parsed {
        let (module, name) = (self.line()?, self.line()?);
        let known = match (&module[..], &name[..]) {
            ("collections", "OrderedDict") => Known::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Known::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Known::RebuildParameter,
            ("torch", storage) => match storage_type(storage) {
                Some(dtype) => Known::StorageType(dtype),
                None => return Err(foreign(&module, &name)),
            },
            _ => return Err(foreign(&module, &name)),
        };
        self.push(Value::Known(known));
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Parsed {
        let last = self.stack.last().cloned();
        let last = last.ok_or_else(|| self.broken("the stack is empty".to_owned()))?;
        self.memo.insert(key, last);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Parsed {
        let value = self.memo.get(&key).cloned();
        let value = value.ok_or_else(|| self.broken(format!("nothing is stored as {key}")))?;
        self.push(value);
        Ok(())
    }

    /// Reads the description of a storage: `('storage', type, key, location, number of elements)`.
    fn storage(&mut self) -> Parsed {
        let id = self.pop_tuple()?;
        let [
            Value::Text(word),
            Value::Known(Known::StorageType(dtype)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(len),
        ] = &id[..]
        else {
            return Err(self
                .broken("the description of a storage is not as torch.save writes it".to_owned()));
        };
        let len =
            u64::try_from(*len).map_err(|_| self.broken("a length is negative".to_owned()))?;
        if &**word != "storage" {
            return Err(self.broken(format!("it refers to a {word:?}, which is not a storage")));
        }
        let (key, dtype) = (key.clone(), *dtype);
        self.push(Value::Storage(Rc::new(Storage { key, dtype, len })));
        Ok(())
    }

    /// Builds the result of calling a recognised function.
    fn rebuild(&mut self) -> Parsed {
        let arguments = self.pop_tuple()?;
        let Value::Known(function) = self.pop()? else {
            return Err(self.broken("it calls something that is not a function".to_owned()));
        };
        match (function, &arguments[..]) {
            (Known::OrderedDict, []) => self.dict_of_nothing(),
            (Known::RebuildParameter, [Value::Tensor(index), Value::Bool, _]) => {
                self.push(Value::Tensor(*index));
            }
            (
                Known::RebuildTensor,
                [
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Tuple(shape),
                    Value::Tuple(strides),
                    Value::Bool,
                    ..,
                ],
            ) => {
                let view = TensorView {
                    storage: storage.key.to_string(),
                    dtype: storage.dtype,
                    storage_len: storage.len,
                    offset: self.size(*offset)?,
                    shape: self.sizes(*shape)?,
                    strides: self.sizes(*strides)?,
                };
                if self.tensors.len() >= MAX_ARRAYS {
                    return Err(self.broken(format!("it has more than {MAX_ARRAYS} tensors")));
                }
                self.tensors.push(view);
                self.push(Value::Tensor(self.tensors.len() - 1));
            }
            _ => {
                return Err(self.broken(
                    "the arguments of a call are not as torch.save writes them".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Skips the attributes of a state_dict: they are the versions of its modules, which do not affect the tensors.
    fn attributes(&mut self) -> Parsed {
        match (self.pop()?, self.stack.last()) {
            (Value::Dict(_), Some(Value::Dict(_))) => Ok(()),
            _ => {
                Err(self
                    .broken("it sets attributes of something that is not a dictionary".to_owned()))
            }
        }
    }

    fn set_items(&mut self, items: Vec<Value>) -> Parsed {
        let Some(&Value::Dict(index)) = self.stack.last() else {
            return Err(
                self.broken("it adds an item to something that is not a dictionary".to_owned())
            );
        };
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.broken("a key has no value".to_owned()));
        }
        for [key, value] in pairs {
            match key {
                Value::Text(key) => self.dicts[index].named.push((key.clone(), value.clone())),
                Value::None | Value::Bool | Value::Float | Value::Int(_) | Value::Tuple(_) => {
                    self.dicts[index].unnamed += 1;
                }
                _ => {
                    return Err(
                        self.broken("a key has a type that no dictionary allows".to_owned())
                    );
                }
            }
        }
        Ok(())
    }

    fn list_is_below(&self) -> Parsed {
        match self.stack.last() {
            Some(Value::List) => Ok(()),
            _ => Err(self.broken("it adds an item to something that is not a list".to_owned())),
        }
    }

    /// Returns the requested dictionary of tensors from the outermost one, which is left on the stack.
    fn result(&mut self, entry: Option<&str>) -> Parsed<StateDict> {
        let Value::Dict(outermost) = self.pop()? else {
            return Err(self.broken("the outermost object is not a dictionary".to_owned()));
        };
        let mut search = Search {
            seen: vec![false; self.dicts.len()],
            found: Vec::new(),
        };
        self.find(outermost, "", 0, &mut search);
        let found = search.found;
        let chosen = match entry {
            Some(entry) => found.iter().find(|(path, _)| path == entry),
            None if found.len() == 1 => found.first(),
            None => None,
        };
        let Some((path, index)) = chosen else {
            return Err(self.no_choice(outermost, &found, entry));
        };
        let tensors = self.dicts[*index]
            .named
            .iter()
            .filter_map(|(name, value)| match value {
                Value::Tensor(index) => Some((name.to_string(), self.tensors[*index].clone())),
                _ => None,
            })
            .collect();
        Ok(StateDict {
            entry: path.clone(),
            tensors,
        })
    }

    /// Finds the dictionaries of tensors, each once, with their paths of keys.
    fn find(&self, index: usize, path: &str, depth: usize, search: &mut Search) {
        // Dictionaries may share others, or contain themselves.
        if std::mem::replace(&mut search.seen[index], true) || depth > MAX_DEPTH {
            return;
        }
        if self.is_of_tensors(index) {
            search.found.push((path.to_owned(), index));
            return;
        }
        for (key, value) in &self.dicts[index].named {
            let &Value::Dict(inner) = value else { continue };
            // A path copies its keys: without limits a small file could demand much memory.
            let exceeds_limits = key.len() > MAX_NAME_BYTES || search.found.len() >= MAX_ARRAYS;
            if search.seen[inner] || exceeds_limits {
                continue;
            }
            let path = match path {
                "" => key.to_string(),
                _ => format!("{path}.{key}"),
            };
            self.find(inner, &path, depth + 1, search);
        }
    }

    fn is_of_tensors(&self, index: usize) -> bool {
        let Dict { named, unnamed } = &self.dicts[index];
        let mut values = named.iter().map(|(_, value)| value);
        *unnamed == 0 && !named.is_empty() && values.all(|value| matches!(value, Value::Tensor(_)))
    }

    /// Builds the error for no dictionary of tensors, several, or none under the requested entry.
    fn no_choice(
        &self,
        outermost: usize,
        found: &[(String, usize)],
        entry: Option<&str>,
    ) -> FormatError {
        let others = self.dicts[outermost].named.iter().map(|(key, _)| &**key);
        let others = others.filter(|key| found.iter().all(|(path, _)| path != key));
        let held: Vec<String> = found
            .iter()
            .map(|(path, index)| format!("{path} ({} tensors)", self.dicts[*index].named.len()))
            .chain(others.map(str::to_owned))
            .take(MAX_NAMED)
            .collect();
        FormatError::Entries {
            asked: entry.map(printable),
            dictionaries: found.len(),
            held: held.iter().map(|name| printable(name)).collect(),
        }
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn tuple_of(&mut self, items: Vec<Value>) {
        self.tuples.push(items);
        self.push(Value::Tuple(self.tuples.len() - 1));
    }

    fn dict_of_nothing(&mut self) {
        self.dicts.push(Dict::default());
        self.push(Value::Dict(self.dicts.len() - 1));
    }

    fn pop(&mut self) -> Parsed<Value> {
        let above_mark = self
            .marks
            .last()
            .is_none_or(|&mark| self.stack.len() > mark);
        let popped = if above_mark { self.stack.pop() } else { None };
        popped.ok_or_else(|| self.broken("the stack is empty".to_owned()))
    }

    fn pop_many(&mut self, n: usize) -> Parsed<Vec<Value>> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Parsed<Vec<_>>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Parsed<Vec<Value>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        let mark = mark.ok_or_else(|| self.broken("a mark is missing".to_owned()))?;
        Ok(self.stack.split_off(mark))
    }

    fn pop_tuple(&mut self) -> Parsed<Vec<Value>> {
        match self.pop()? {
            Value::Tuple(index) if self.tuples[index].len() <= MAX_ARGUMENTS => {
                Ok(self.tuples[index].clone())
            }
            _ => Err(self.broken("it has something other than a short tuple".to_owned())),
        }
    }

    fn size(&self, x: i64) -> Parsed<u64> {
        u64::try_from(x).map_err(|_| self.broken(format!("a size is {x}")))
    }

    fn sizes(&self, tuple: usize) -> Parsed<Vec<u64>> {
        let items = &self.tuples[tuple];
        if items.len() > MAX_DIMENSIONS {
            return Err(self.broken(format!("a tensor has {} dimensions", items.len())));
        }
        items
            .iter()
            .map(|item| match item {
                Value::Int(x) => self.size(*x),
                _ => Err(self.broken("a size is not a number".to_owned())),
            })
            .collect()
    }

    fn byte(&mut self) -> Parsed<u8> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("as many as asked for"))
    }

    fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..n));
        let Some(bytes) = bytes else {
            return Err(self.broken("it ends too early".to_owned()));
        };
        self.at += n;
        Ok(bytes)
    }

    fn line(&mut self) -> Parsed<String> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .take(MAX_NAME_BYTES)
            .position(|&byte| byte == b'\n');
        let end =
            end.ok_or_else(|| self.broken("a name is too long or not terminated".to_owned()))?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.at += end + 1;
        Ok(line)
    }

    fn broken(&self, why: String) -> FormatError {
        FormatError::StateDict {
            at: self.at as u64,
            why,
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn foreign(module: &str, name: &str) -> FormatError {
    FormatError::ForeignCode {
        name: format!("{}.{}", printable(module), printable(name)),
    }
}

/// Returns the type of the elements of `torch.FloatStorage` and similar types.
fn storage_type(name: &str) -> Option<Dtype> {
    Some(match name.strip_suffix("Storage")? {
        "Float" => Dtype::F32,
        "Double" => Dtype::F64,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::BF16,
        "Char" => Dtype::I8,
        "Short" => Dtype::I16,
        "Int" => Dtype::I32,
        "Long" => Dtype::I64,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pickle: &[u8]) -> String {
        state_dict(pickle, None).unwrap_err().to_string()
    }

    /// `OrderedDict([("w", tensor of shape (2,) in storage 0)])`
    fn one_tensor() -> Vec<u8> {
        let mut pickle = b"\x80\x02ccollections\nOrderedDict\nq\0)Rq\x01X\x01\0\0\0wq\x02".to_vec();
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\nq\x03((X\x07\0\0\0storageq\x04");
        pickle.extend(
            b"ctorch\nFloatStorage\nq\x05X\x01\0\0\x000q\x06X\x03\0\0\0cpuq\x07K\x02tq\x08Q",
        );
        pickle.extend(b"K\0K\x02\x85q\x09K\x01\x85q\x0a\x89h\0)Rq\x0btq\x0cRq\x0ds.");
        pickle
    }

    #[test]
    fn a_state_dict_is_understood() {
        let view = TensorView {
            storage: "0".to_owned(),
            dtype: Dtype::F32,
            storage_len: 2,
            offset: 0,
            shape: vec![2],
            strides: vec![1],
        };
        let whole = StateDict {
            entry: String::new(),
            tensors: vec![("w".to_owned(), view)],
        };
        assert_eq!(state_dict(&one_tensor(), None), Ok(whole));
    }

    /// `{"epoch": 3, "loss": 0.5, "seen": [1, 2], NAME: state_dict, ...}`, and a dictionary as optimizers have, with numbers
    /// as keys.
    fn checkpoint(names: &[&str]) -> Vec<u8> {
        let text = |text: &str| {
            let mut bytes = vec![b'X', text.len() as u8, 0, 0, 0];
            bytes.extend(text.as_bytes());
            bytes
        };
        let dict = one_tensor();
        let dict = &dict[2..dict.len() - 1]; // without the protocol and the end
        let mut pickle = b"\x80\x02}(".to_vec();
        pickle.extend([text("epoch"), b"K\x03".to_vec()].concat());
        pickle.extend([text("loss"), b"G\x3f\xe0\0\0\0\0\0\0".to_vec()].concat());
        pickle.extend([text("seen"), b"](K\x01K\x02e".to_vec()].concat());
        pickle.extend([text("last"), b"]K\x01a".to_vec()].concat());
        pickle.extend(
            [
                text("optimizer"),
                b"}(K\x00".to_vec(),
                dict.to_vec(),
                b"u".to_vec(),
            ]
            .concat(),
        );
        for name in names {
            pickle.extend(text(name));
            pickle.extend(dict);
        }
        pickle.extend(b"u.");
        pickle
    }

    #[test]
    fn the_only_dictionary_of_tensors_is_taken() {
        let found = state_dict(&checkpoint(&["state_dict"]), None).unwrap();
        assert_eq!(
            (found.entry.as_str(), found.tensors.len()),
            ("state_dict", 1)
        );
        // {"inner": {"epoch": ..., "model": ...}}
        let inner = checkpoint(&["model"]);
        let inner = &inner[2..inner.len() - 1];
        let nested = [b"\x80\x02}X\x05\0\0\0inner", inner, b"s."].concat();
        assert_eq!(state_dict(&nested, None).unwrap().entry, "inner.model");
    }

    #[test]
    fn of_several_dictionaries_one_is_asked_for() {
        let two = checkpoint(&["ema", "model"]);
        let message = refused(&two);
        assert!(
            message
                .contains("ema (1 tensors), model (1 tensors), epoch, loss, seen, last, optimizer"),
            "{message}"
        );
        assert_eq!(state_dict(&two, Some("model")).unwrap().entry, "model");
        let message = state_dict(&two, Some("epoch")).unwrap_err().to_string();
        assert!(
            message.contains("\"epoch\" is not a dictionary of tensors"),
            "{message}"
        );
        let message = refused(&checkpoint(&[]));
        assert!(
            message.contains("does not hold a dictionary of tensors"),
            "{message}"
        );
    }

    /// `d["self"] = d`
    #[test]
    fn a_dictionary_in_itself_ends() {
        let pickle = b"\x80\x02}q\0X\x04\0\0\0selfh\0X\x01\0\0\0ah\0X\x01\0\0\0bh\0(u.";
        let whole = [&pickle[..], b""].concat();
        assert!(state_dict(&whole, None).is_err());
        let pickle = b"\x80\x02}q\0(X\x01\0\0\0ah\0X\x01\0\0\0bh\0X\x01\0\0\0ch\0u.";
        assert!(refused(pickle).contains("does not hold a dictionary of tensors"));
    }

    #[test]
    fn every_function_but_the_known_ones_is_refused_by_name() {
        // what `os.system("touch /tmp/pwned")` looks like in protocol 2
        let evil = b"\x80\x02cposix\nsystem\nq\0X\x10\0\0\0touch /tmp/pwned\x85Rq\x01.";
        let message = refused(evil);
        assert!(message.contains("posix.system"), "{message}");
        assert!(message.contains("was not run"), "{message}");
        for other in [
            "cbuiltins\neval\n",
            "ctorch\nload\n",
            "ctorch._utils\n_rebuild_xla_tensor\n",
        ] {
            let message = refused(&[b"\x80\x02", other.as_bytes()].concat());
            assert!(message.contains("was not run"), "{message}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let table: [(&[u8], &str); 13] = [
            (b"", "it ends too early"),
            (b"\x80\x04", "protocol 4"),
            (b"\x80\x02}", "it ends too early"),
            (b"\x80\x02K\x01.", "is not a dictionary"),
            (b"\x80\x02.", "the stack is empty"),
            (b"\x80\x02t.", "a mark is missing"),
            (
                b"\x80\x02}X\x05\0\0\0epochK\x03s.",
                "not hold a dictionary of tensors; it holds: epoch",
            ),
            (b"\x80\x02}}K\x02s.", "a type that no dictionary allows"),
            (b"\x80\x02}K\x01a.", "something that is not a list"),
            (b"\x80\x02i", "opcode 0x69"),
            (b"\x80\x02G\0\0\0\0\0\0\0\0.", "is not a dictionary"),
            (b"\x80\x02X\xff\xff\xff\xff", "a string of 4294967295 bytes"),
            (b"\x80\x02h\x07", "nothing is stored as 7"),
        ];
        for (pickle, expected) in table {
            let message = refused(pickle);
            assert!(message.contains(expected), "{message}");
        }
    }

    /// Tuples of twins: 2^60 leaves if they were copied.
    #[test]
    fn sharing_costs_nothing() {
        let mut pickle = b"\x80\x02)q\0".to_vec();
        for _ in 0..60 {
            pickle.extend(b"h\0\x86q\0"); // (last, last)
        }
        pickle.push(b'.');
        assert!(refused(&pickle).contains("is not a dictionary"));
        let deep = [&b"\x80\x02)"[..], &[0x85; 1_000_000], b"."].concat();
        assert!(refused(&deep).contains("is not a dictionary"));
    }

    #[test]
    fn no_changed_byte_makes_it_panic() {
        let whole = one_tensor();
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _any_result = state_dict(&changed, None);
            }
        }
    }

    #[test]
    fn every_cut_of_a_state_dict_is_refused() {
        let whole = one_tensor();
        for len in 0..whole.len() {
            assert!(state_dict(&whole[..len], None).is_err(), "{len}");
        }
    }
}
