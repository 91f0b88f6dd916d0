//! Nodes and constants of a graph under way.

use half::f16;

use super::proto::{Attribute, Constant, FLOAT, FLOAT16, Graph, INT64, Node, Set};

/// Puts nodes after one another. Every value has a name, which is given once.
#[derive(Default)]
pub struct Writer {
    pub graph: Graph,
    /// Whether numbers of the network are of 16 bits.
    pub half: bool,
    values: usize,
}

impl Writer {
    /// A node with one output, whose name comes back.
    pub fn node(&mut self, op_type: &str, inputs: &[&str], attributes: &[(&str, Set)]) -> String {
        self.values += 1;
        let name = format!("{}_{}", op_type.to_lowercase(), self.values);
        self.named(op_type, inputs, attributes, &name);
        name
    }

    /// A node whose output has this name.
    pub fn named(&mut self, op_type: &str, inputs: &[&str], attributes: &[(&str, Set)], output: &str) {
        let attribute = attributes.iter().map(|(name, set)| Attribute::new(name, set.clone())).collect();
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op_type.to_owned(),
            attribute,
        });
    }

    /// Numbers of the network, of 16 bits if all are.
    pub fn weights(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        if !self.half {
            return self.floats(name, shape, values);
        }
        let bytes = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        self.constant(name, shape, FLOAT16, bytes)
    }

    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constant(name, shape, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Whole numbers in a row.
    pub fn ints(&mut self, values: &[i64]) -> String {
        self.values += 1;
        let name = format!("ints_{}", self.values);
        self.constant(&name, &[values.len()], INT64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = shape.iter().map(|&extent| extent as i64).collect();
        self.graph.initializer.push(Constant { dims, data_type, name: name.to_owned(), raw_data });
        name.to_owned()
    }

    /// Rows `start` to `end` of these axes, all of them names of values.
    pub fn slice(&mut self, x: &str, start: &str, end: &str, axes: &[i64]) -> String {
        let axes = self.ints(axes);
        self.node("Slice", &[x, start, end, &axes], &[])
    }
}
