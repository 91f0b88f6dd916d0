//! ONNX's messages, as far as a network of ours needs them: field numbers are those of `onnx.proto`, version 10 of the format.
//! Protocol buffers allow to declare a part.

use prost::Message;

/// `TensorProto.DataType`.
pub const FLOAT: i32 = 1;
pub const UINT8: i32 = 2;
pub const INT64: i32 = 7;
pub const FLOAT16: i32 = 10;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(string, tag = "6")]
    pub doc_string: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Constant>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

/// A checker asks whether a value is there, so one of 0 must be written.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// 1 float, 2 whole number, 3 text, 7 whole numbers.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

/// `TensorProto`, its numbers little endian.
#[derive(Clone, PartialEq, Message)]
pub struct Constant {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Type>,
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Extents>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Extents {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(oneof = "Extent", tags = "1, 2")]
    pub extent: Option<Extent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Extent {
    #[prost(int64, tag = "1")]
    Fixed(i64),
    /// Of any size, under this name.
    #[prost(string, tag = "2")]
    Named(String),
}

impl Value {
    /// A tensor of this type; a name for an extent that is open.
    pub fn tensor(name: &str, elem_type: i32, extents: &[Extent], doc: &str) -> Self {
        let dim = extents.iter().map(|extent| Dimension { extent: Some(extent.clone()) }).collect();
        let tensor = TensorType { elem_type, shape: Some(Extents { dim }) };
        Self { name: name.to_owned(), kind: Some(Type { tensor: Some(tensor) }), doc_string: doc.to_owned() }
    }
}

#[derive(Clone)]
/// An attribute of one or several whole numbers, a float, or a text.
pub enum Set<'a> {
    Int(i64),
    Ints(&'a [usize]),
    Float(f32),
    Text(&'a str),
}

impl Attribute {
    pub fn new(name: &str, set: Set) -> Self {
        let mut attribute = Self { name: name.to_owned(), ..Self::default() };
        match set {
            Set::Float(value) => (attribute.f, attribute.kind) = (Some(value), 1),
            Set::Int(value) => (attribute.i, attribute.kind) = (Some(value), 2),
            Set::Text(value) => (attribute.s, attribute.kind) = (Some(value.as_bytes().to_vec()), 3),
            Set::Ints(values) => {
                (attribute.ints, attribute.kind) = (values.iter().map(|&value| value as i64).collect(), 7);
            }
        }
        attribute
    }
}
