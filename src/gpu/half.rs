//! Half precision without a second set of kernels: a kernel's module is rewritten such that some of its storage bindings hold
//! `f16`. Each number is widened as it is loaded and rounded as it is stored; all arithmetic stays `f32`. So every kernel has a
//! form for every mixture of half and full operands, and none of them mentions it.

use std::collections::HashSet;

use naga::{
    Arena, Block, CooperativeData, Expression, Function, GatherMode, GlobalVariable, Handle, Module, Range, Scalar,
    ScalarKind, Span, Statement, Type, TypeInner, VectorSize,
};

use crate::{Error, Result};

const HALF: Scalar = Scalar { kind: ScalarKind::Float, width: 2 };

/// Makes these storage bindings of group 0 arrays of `f16` where they were arrays of `f32`, and likewise for `vec4`.
///
/// # Errors
/// [`Error::Run`] if a binding is no such array, or the module uses something that no kernel does: only a developer can meet it.
pub fn store_as_half(module: &mut Module, bindings: &[u32]) -> Result<()> {
    let mut halves = HashSet::new();
    for (handle, variable) in module.global_variables.iter_mut() {
        let Some(binding) = &variable.binding else { continue };
        if bindings.contains(&binding.binding) {
            variable.ty = half_array(&mut module.types, variable.ty)
                .ok_or_else(|| Error::run(format!("binding {} is no array of f32", binding.binding)))?;
            halves.insert(handle);
        }
    }
    for (_, function) in module.functions.iter_mut() {
        rewrite(function, &halves)?;
    }
    for entry in &mut module.entry_points {
        rewrite(&mut entry.function, &halves)?;
    }
    Ok(())
}

/// `array<f32>` -> `array<f16>`, `array<vec4<f32>>` -> `array<vec4<f16>>`.
fn half_array(types: &mut naga::UniqueArena<Type>, ty: Handle<Type>) -> Option<Handle<Type>> {
    let TypeInner::Array { base, size, .. } = types[ty].inner else { return None };
    let (inner, stride) = match types[base].inner {
        TypeInner::Scalar(Scalar::F32) => (TypeInner::Scalar(HALF), 2),
        TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::F32 } => {
            (TypeInner::Vector { size: VectorSize::Quad, scalar: HALF }, 8)
        }
        _ => return None,
    };
    let base = types.insert(Type { name: None, inner }, Span::default());
    Some(types.insert(Type { name: None, inner: TypeInner::Array { base, size, stride } }, Span::default()))
}

/// Copies a function's expressions to a new list with a conversion behind each load of a half. An expression may only use those
/// before it, so nothing can be inserted in place.
fn rewrite(function: &mut Function, halves: &HashSet<Handle<GlobalVariable>>) -> Result<()> {
    let old = std::mem::take(&mut function.expressions);
    let mut new = Rewritten { expressions: Arena::new(), first: vec![], value: vec![], half_pointer: vec![] };
    for (handle, expression) in old.iter() {
        let span = old.get_span(handle);
        let half_pointer = match *expression {
            Expression::GlobalVariable(variable) => halves.contains(&variable),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => new.half_pointer[base.index()],
            _ => false,
        };
        let loads_half = matches!(expression, Expression::Load { pointer } if new.half_pointer[pointer.index()]);
        let copy = new.expressions.append(new.copied(expression)?, span);
        let value = if loads_half { new.expressions.append(converted(copy, 4), span) } else { copy };
        new.first.push(copy);
        new.value.push(value);
        new.half_pointer.push(half_pointer);
    }
    for (_, variable) in function.local_variables.iter_mut() {
        variable.init = variable.init.map(|init| new.at(init));
    }
    let named = std::mem::take(&mut function.named_expressions);
    function.named_expressions = named.into_iter().map(|(handle, name)| (new.at(handle), name)).collect();
    let body = std::mem::take(&mut function.body);
    function.body = new.block(body)?;
    function.expressions = new.expressions;
    Ok(())
}

fn converted(expr: Handle<Expression>, width: u8) -> Expression {
    Expression::As { expr, kind: ScalarKind::Float, convert: Some(width) }
}

struct Rewritten {
    expressions: Arena<Expression>,
    /// By the old expression's number: its copy, its value (a conversion of the copy where that loads a half), and whether it points
    /// to a half.
    first: Vec<Handle<Expression>>,
    value: Vec<Handle<Expression>>,
    half_pointer: Vec<bool>,
}

impl Rewritten {
    fn at(&self, old: Handle<Expression>) -> Handle<Expression> {
        self.value[old.index()]
    }

    /// The same expression of the new operands.
    fn copied(&self, expression: &Expression) -> Result<Expression> {
        use Expression as E;
        let at = |handle: &Handle<Expression>| self.at(*handle);
        let maybe = |handle: &Option<Handle<Expression>>| handle.map(|handle| self.at(handle));
        Ok(match expression {
            E::Literal(_)
            | E::Constant(_)
            | E::Override(_)
            | E::ZeroValue(_)
            | E::FunctionArgument(_)
            | E::GlobalVariable(_)
            | E::LocalVariable(_)
            | E::CallResult(_)
            | E::SubgroupBallotResult
            | E::SubgroupOperationResult { .. }
            | E::WorkGroupUniformLoadResult { .. } => expression.clone(),
            E::Compose { ty, components } => E::Compose { ty: *ty, components: components.iter().map(at).collect() },
            E::Access { base, index } => E::Access { base: at(base), index: at(index) },
            E::AccessIndex { base, index } => E::AccessIndex { base: at(base), index: *index },
            E::Splat { size, value } => E::Splat { size: *size, value: at(value) },
            E::Swizzle { size, vector, pattern } => E::Swizzle { size: *size, vector: at(vector), pattern: *pattern },
            E::Load { pointer } => E::Load { pointer: at(pointer) },
            E::Unary { op, expr } => E::Unary { op: *op, expr: at(expr) },
            E::Binary { op, left, right } => E::Binary { op: *op, left: at(left), right: at(right) },
            E::Select { condition, accept, reject } => {
                E::Select { condition: at(condition), accept: at(accept), reject: at(reject) }
            }
            E::Relational { fun, argument } => E::Relational { fun: *fun, argument: at(argument) },
            E::Math { fun, arg, arg1, arg2, arg3 } => {
                E::Math { fun: *fun, arg: at(arg), arg1: maybe(arg1), arg2: maybe(arg2), arg3: maybe(arg3) }
            }
            E::As { expr, kind, convert } => E::As { expr: at(expr), kind: *kind, convert: *convert },
            E::ArrayLength(array) => E::ArrayLength(at(array)),
            // Matrices are loaded from workgroup memory, never from a binding, so they stay what they are.
            E::CooperativeLoad { columns, rows, role, data } if !self.half_pointer[data.pointer.index()] => {
                let data = self.matrix_place(data);
                E::CooperativeLoad { columns: *columns, rows: *rows, role: *role, data }
            }
            E::CooperativeMultiplyAdd { a, b, c } => E::CooperativeMultiplyAdd { a: at(a), b: at(b), c: at(c) },
            other => return Err(Error::run(format!("half precision: no kernel was expected to use {other:?}"))),
        })
    }

    fn matrix_place(&self, data: &CooperativeData) -> CooperativeData {
        CooperativeData { pointer: self.at(data.pointer), stride: self.at(data.stride), row_major: data.row_major }
    }

    fn block(&mut self, old: Block) -> Result<Block> {
        use Statement as S;
        let mut block = Block::with_capacity(old.len());
        for (statement, span) in old.span_into_iter() {
            let statement = match statement {
                S::Emit(range) => match range.first_and_last() {
                    // A conversion lies directly behind its load, so the range stays one.
                    Some((first, last)) => S::Emit(Range::new_from_bounds(self.first[first.index()], self.at(last))),
                    None => continue,
                },
                S::Block(inner) => S::Block(self.block(inner)?),
                S::If { condition, accept, reject } => {
                    S::If { condition: self.at(condition), accept: self.block(accept)?, reject: self.block(reject)? }
                }
                S::Switch { selector, mut cases } => {
                    for case in &mut cases {
                        case.body = self.block(std::mem::take(&mut case.body))?;
                    }
                    S::Switch { selector: self.at(selector), cases }
                }
                S::Loop { body, continuing, break_if } => {
                    let (body, continuing) = (self.block(body)?, self.block(continuing)?);
                    S::Loop { body, continuing, break_if: break_if.map(|handle| self.at(handle)) }
                }
                S::Return { value } => S::Return { value: value.map(|handle| self.at(handle)) },
                S::Store { pointer, value } => {
                    let half = self.half_pointer[pointer.index()];
                    let (pointer, mut value) = (self.at(pointer), self.at(value));
                    if half {
                        value = self.expressions.append(converted(value, 2), span);
                        block.push(S::Emit(Range::new_from_bounds(value, value)), span);
                    }
                    S::Store { pointer, value }
                }
                S::CooperativeStore { target, ref data } if !self.half_pointer[data.pointer.index()] => {
                    S::CooperativeStore { target: self.at(target), data: self.matrix_place(data) }
                }
                S::Call { function, arguments, result } => S::Call {
                    function,
                    arguments: arguments.into_iter().map(|handle| self.at(handle)).collect(),
                    result: result.map(|handle| self.at(handle)),
                },
                S::WorkGroupUniformLoad { pointer, result } => {
                    S::WorkGroupUniformLoad { pointer: self.at(pointer), result: self.at(result) }
                }
                S::SubgroupGather { mode: GatherMode::Shuffle(index), argument, result } => {
                    let (index, argument, result) = (self.at(index), self.at(argument), self.at(result));
                    S::SubgroupGather { mode: GatherMode::Shuffle(index), argument, result }
                }
                S::Break | S::Continue | S::Kill | S::ControlBarrier(_) | S::MemoryBarrier(_) => statement,
                other => return Err(Error::run(format!("half precision: no kernel was expected to use {other:?}"))),
            };
            block.push(statement, span);
        }
        Ok(block)
    }
}
