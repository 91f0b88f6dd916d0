//! The part of Python's pickles that a file of tensors needs: a machine with a stack that knows containers, tensors and their
//! storages, and executes nothing. A pickle that asks for anything else is refused with the name it asked for.
//!
//! Source of the format: CPython's `Lib/pickletools.py`, and PyTorch's `torch/_utils.py` and `torch/serialization.py` for what its files
//! ask for.

use std::collections::HashMap;

use safetensors::Dtype;

/// More values than any state of a network has; a few bytes of a pickle can make one.
const VALUES: usize = 1 << 20;

/// Where a value lies in [`Pickle::values`]. Values name each other so, so that nothing is nested deeper than a stack.
pub(super) type Id = u32;

/// What a pickle can be made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// None, a number, bytes, a type of numbers or a device: what nobody here asks for.
    Other,
    Number(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// In the order of the file; a later value of a key takes the place of an earlier one.
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
}

/// Numbers of one type in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Storage<'a> {
    pub key: &'a str,
    pub dtype: Dtype,
    /// Numbers in it.
    pub len: usize,
}

/// A view of a storage; offset and strides count numbers, as PyTorch's do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a pickle may ask for by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Callable {
    /// Makes a dictionary, empty or of pairs.
    Dict,
    /// Makes a list of what is in its first argument: sets and the like.
    List,
    /// Gives its first argument back.
    Same,
    /// Makes something that nobody asks for.
    Other,
    Tensor,
    Storage(Dtype),
}

/// What stands in a file under this name.
fn callable(module: &str, name: &str) -> Option<Callable> {
    let dtype = |name: &str| {
        Some(match name {
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::BF16,
            "DoubleStorage" => Dtype::F64,
            "LongStorage" => Dtype::I64,
            "IntStorage" => Dtype::I32,
            "ShortStorage" => Dtype::I16,
            "CharStorage" => Dtype::I8,
            "ByteStorage" => Dtype::U8,
            "BoolStorage" => Dtype::BOOL,
            _ => return None,
        })
    };
    const DTYPES: [&str; 10] =
        ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"];
    Some(match (module, name) {
        ("collections", "OrderedDict" | "Counter") => Callable::Dict,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Callable::Tensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Callable::Same,
        ("torch", "Size") => Callable::Same,
        ("builtins" | "__builtin__", "set" | "frozenset" | "list") => Callable::List,
        ("torch", "device") | ("_codecs", "encode") | ("builtins" | "__builtin__", "bytearray" | "complex") => {
            Callable::Other
        }
        ("torch", name) if DTYPES.contains(&name) => Callable::Other,
        ("torch", name) => Callable::Storage(dtype(name)?),
        _ => return None,
    })
}

/// A pickle that was read.
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
    /// Bytes that it took.
    pub len: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` begin with.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine = Machine { bytes, at: 0, values: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
        let root = machine.run()?;
        Ok(Self { values: machine.values, root, len: machine.at })
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    /// Key and value of each entry of a dictionary whose keys are text.
    pub fn entries(&self, dict: Id) -> impl Iterator<Item = (&'a str, Id)> {
        let pairs = if let Value::Dict(pairs) = self.get(dict) { &pairs[..] } else { &[] };
        pairs
            .iter()
            .filter_map(|&(key, value)| if let Value::Text(key) = self.get(key) { Some((*key, value)) } else { None })
    }

    pub fn storages(&self) -> impl Iterator<Item = Storage<'a>> {
        self.values.iter().filter_map(|value| if let Value::Storage(storage) = value { Some(*storage) } else { None })
    }

    /// The texts of a list, in its order.
    pub fn texts(&self, list: Id) -> Option<Vec<&'a str>> {
        let Value::List(ids) = self.get(list) else { return None };
        ids.iter().map(|&id| if let Value::Text(text) = self.get(id) { Some(*text) } else { None }).collect()
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

type Step<T> = Result<T, String>;

fn damaged() -> String {
    "its pickle is cut off or damaged".to_owned()
}

impl<'a> Machine<'a> {
    /// Runs to the end; what is on top of the stack then.
    fn run(&mut self) -> Step<Id> {
        loop {
            match self.byte()? {
                // PROTO; FRAME, whose length says nothing that we need.
                0x80 => drop(self.byte()?),
                0x95 => drop(self.take(8)?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.marked()?),
                b'2' => self.push_again(self.stack.last().copied())?,
                // Numbers, texts, bytes.
                b'N' | 0x88 | 0x89 => self.push(Value::Other)?,
                b'J' => {
                    let number = i32::from_le_bytes(self.array()?);
                    self.push(Value::Number(number.into()))?;
                }
                b'K' => self.whole::<1>()?,
                b'M' => self.whole::<2>()?,
                0x8a => self.long::<1>()?,
                0x8b => self.long::<4>()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other)?;
                }
                b'U' | 0x8c => self.text::<1>()?,
                b'T' | b'X' => self.text::<4>()?,
                0x8d => self.text::<8>()?,
                b'C' => self.other::<1>()?,
                b'B' => self.other::<4>()?,
                0x8e | 0x96 => self.other::<8>()?,
                // Containers.
                b')' => self.push(Value::Tuple(vec![]))?,
                b't' => {
                    let items = self.marked()?;
                    self.push(Value::Tuple(items))?;
                }
                count @ 0x85..=0x87 => {
                    let start = self.stack.len().checked_sub(usize::from(count - 0x84));
                    let bottom = self.marks.last().copied().unwrap_or(0);
                    let items = self.stack.split_off(start.filter(|&start| start >= bottom).ok_or_else(damaged)?);
                    self.push(Value::Tuple(items))?;
                }
                b']' | 0x8f => self.push(Value::List(vec![]))?,
                b'l' | 0x91 => {
                    let items = self.marked()?;
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.marked()?;
                    self.append(items)?;
                }
                b'}' => self.push(Value::Dict(vec![]))?,
                b'd' => {
                    let items = self.marked()?;
                    self.push(Value::Dict(pairs(&items)?))?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.marked()?;
                    self.set(&items)?;
                }
                // What was there before.
                b'q' => self.remember::<1>()?,
                b'r' => self.remember::<4>()?,
                0x94 => self.keep(self.memo.len())?,
                b'h' => self.recall::<1>()?,
                b'j' => self.recall::<4>()?,
                // Names, and what they make.
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.named(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (&Value::Text(module), &Value::Text(name)) = (self.get(module), self.get(name)) else {
                        return Err(damaged());
                    };
                    self.named(module, name)?;
                }
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    self.call(callable, arguments)?;
                }
                // The attributes of a container, which are none of its values.
                b'b' => drop(self.pop()?),
                b'Q' => {
                    let key = self.pop()?;
                    self.storage(key)?;
                }
                opcode => {
                    let text = "save the state_dict again with torch.save";
                    return Err(format!(
                        "its pickle has the instruction 0x{opcode:02x}, which no state_dict needs; {text}"
                    ));
                }
            }
        }
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let array = self.bytes[self.at..].first_chunk().ok_or_else(damaged)?;
        self.at += N;
        Ok(*array)
    }

    fn take(&mut self, len: usize) -> Step<&'a [u8]> {
        let bytes = self.bytes[self.at..].get(..len).ok_or_else(damaged)?;
        self.at += len;
        Ok(bytes)
    }

    /// What `N` bytes count, little endian.
    fn length<const N: usize>(&mut self) -> Step<usize> {
        let mut whole = [0; 8];
        whole[..N].copy_from_slice(&self.array::<N>()?);
        usize::try_from(u64::from_le_bytes(whole)).map_err(|_| damaged())
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or_else(damaged)?;
        self.at += len + 1;
        std::str::from_utf8(&rest[..len]).map_err(|_| damaged())
    }

    fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        if self.values.len() == VALUES {
            return Err(format!(
                "its pickle has more than {VALUES} values, and no state_dict has; save the state_dict alone"
            ));
        }
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    fn push_again(&mut self, id: Option<Id>) -> Step<()> {
        self.stack.push(id.ok_or_else(damaged)?);
        Ok(())
    }

    fn pop(&mut self) -> Step<Id> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(damaged());
        }
        self.stack.pop().ok_or_else(damaged)
    }

    /// All that was pushed since the last mark.
    fn marked(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(damaged)?;
        Ok(self.stack.split_off(mark))
    }

    /// Keeps what is on top of the stack under a number.
    fn keep(&mut self, number: usize) -> Step<()> {
        let id = *self.stack.last().ok_or_else(damaged)?;
        self.memo.insert(number, id);
        Ok(())
    }

    fn remember<const N: usize>(&mut self) -> Step<()> {
        let number = self.length::<N>()?;
        self.keep(number)
    }

    fn recall<const N: usize>(&mut self) -> Step<()> {
        let number = self.length::<N>()?;
        self.push_again(self.memo.get(&number).copied())
    }

    fn whole<const N: usize>(&mut self) -> Step<()> {
        let number = self.length::<N>()?;
        self.push(Value::Number(number as i64))
    }

    /// Bytes after their count.
    fn counted<const N: usize>(&mut self) -> Step<&'a [u8]> {
        let len = self.length::<N>()?;
        self.take(len)
    }

    fn other<const N: usize>(&mut self) -> Step<()> {
        self.counted::<N>()?;
        self.push(Value::Other)
    }

    fn text<const N: usize>(&mut self) -> Step<()> {
        let text = std::str::from_utf8(self.counted::<N>()?).map_err(|_| damaged())?;
        self.push(Value::Text(text))
    }

    /// A whole number of any length, little endian, two's complement.
    fn long<const N: usize>(&mut self) -> Step<()> {
        let bytes = self.counted::<N>()?;
        let value = match bytes.last() {
            None => Value::Number(0),
            Some(last) if bytes.len() <= 8 => {
                let mut whole = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                Value::Number(i64::from_le_bytes(whole))
            }
            Some(_) => Value::Other,
        };
        self.push(value)
    }

    fn top(&mut self) -> Step<&mut Value<'a>> {
        let id = *self.stack.last().ok_or_else(damaged)?;
        Ok(&mut self.values[id as usize])
    }

    fn append(&mut self, items: Vec<Id>) -> Step<()> {
        let Value::List(list) = self.top()? else { return Err(damaged()) };
        list.extend(items);
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Step<()> {
        let new = pairs(items)?;
        let Value::Dict(dict) = self.top()? else { return Err(damaged()) };
        dict.extend(new);
        Ok(())
    }

    fn named(&mut self, module: &str, name: &str) -> Step<()> {
        let Some(callable) = callable(module, name) else {
            return Err(format!(
                "its pickle asks for {module}.{name}, which is neither a tensor nor a container, and nothing of a file is executed here; \
                 save the state_dict alone: torch.save(model.state_dict(), FILE)"
            ));
        };
        self.push(Value::Callable(callable))
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Step<()> {
        let (&Value::Callable(callable), Value::Tuple(arguments)) = (self.get(callable), self.get(arguments)) else {
            return Err(damaged());
        };
        let first = arguments.first().copied();
        match callable {
            Callable::Dict => {
                let mut dict = vec![];
                if let Some(Value::List(items)) = first.map(|id| self.get(id)) {
                    for &pair in items {
                        let (Value::Tuple(pair) | Value::List(pair)) = self.get(pair) else { return Err(damaged()) };
                        let &[key, value] = &pair[..] else { return Err(damaged()) };
                        dict.push((key, value));
                    }
                }
                self.push(Value::Dict(dict))
            }
            Callable::List => match first.map(|id| self.get(id)) {
                Some(Value::List(items) | Value::Tuple(items)) => self.push(Value::List(items.clone())),
                None => self.push(Value::List(vec![])),
                Some(_) => Err(damaged()),
            },
            Callable::Same => self.push_again(first),
            Callable::Other => self.push(Value::Other),
            Callable::Tensor => {
                let &[storage, offset, shape, strides, ..] = &arguments[..] else { return Err(damaged()) };
                let &Value::Storage(storage) = self.get(storage) else { return Err(damaged()) };
                let offset = self.count(offset)?;
                let (shape, strides) = (self.counts(shape)?, self.counts(strides)?);
                if shape.len() != strides.len() {
                    return Err(damaged());
                }
                self.push(Value::Tensor(Box::new(Tensor { storage, offset, shape, strides })))
            }
            Callable::Storage(_) => Err(damaged()),
        }
    }

    /// `('storage', type, key, device, numbers)`, which older versions end with a view of another one.
    fn storage(&mut self, key: Id) -> Step<()> {
        let Value::Tuple(parts) = self.get(key) else { return Err(damaged()) };
        let &[tag, kind, key, _, len, ..] = &parts[..] else { return Err(damaged()) };
        let (Value::Text("storage"), &Value::Callable(Callable::Storage(dtype)), &Value::Text(key)) =
            (self.get(tag), self.get(kind), self.get(key))
        else {
            return Err(damaged());
        };
        if parts.get(5).is_some_and(|&view| *self.get(view) != Value::Other) {
            return Err("it is of a PyTorch before 0.4; load it with a newer one and save the state_dict".to_owned());
        }
        let len = self.count(len)?;
        self.push(Value::Storage(Storage { key, dtype, len }))
    }

    fn count(&self, id: Id) -> Step<usize> {
        let Value::Number(number) = self.get(id) else { return Err(damaged()) };
        usize::try_from(*number).map_err(|_| damaged())
    }

    fn counts(&self, id: Id) -> Step<Vec<usize>> {
        let Value::Tuple(ids) = self.get(id) else { return Err(damaged()) };
        ids.iter().map(|&id| self.count(id)).collect()
    }
}

fn pairs(items: &[Id]) -> Step<Vec<(Id, Id)>> {
    let (pairs, []) = items.as_chunks::<2>() else { return Err(damaged()) };
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

#[cfg(test)]
mod tests;
