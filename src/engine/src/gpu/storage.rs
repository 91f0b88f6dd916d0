//! How kernels find their numbers in storage, without a second set of kernels: a module is rewritten such that some of its
//! bindings are arrays of another type. What is loaded is converted behind each load, what is stored before each store; all
//! arithmetic stays `f32`. So every kernel has a form for every mixture of operands, and none of them mentions it.
//!
//! - *Half*: `f16`, widened and rounded. For mixed precision.
//! - *Pairs*: `vec2<u64>` instead of `vec4<f32>`, the same bytes. Software adapters load and store each component of each
//!   invocation by itself, so that half as many components take about half the time.

use std::collections::HashMap;

use naga::{
    Arena, BinaryOperator, Block, CooperativeData, Expression, Function, GatherMode, GlobalVariable, Handle, Literal,
    Module, Range, Scalar, ScalarKind, Span, Statement, SwizzleComponent, Type, TypeInner, UniqueArena, VectorSize,
};

use crate::{Error, Result};

const HALF: Scalar = Scalar { kind: ScalarKind::Float, width: 2 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Half,
    /// Of pairs of what.
    Pairs(ScalarKind),
}

type Changed = HashMap<Handle<GlobalVariable>, Stored>;

/// Makes these storage bindings of group 0 arrays of `f16` where they were arrays of `f32`, and likewise for `vec4`.
///
/// # Errors
/// [`Error::Run`] if a binding is no such array, or the module uses something that no kernel does: only a developer can meet it.
pub fn store_as_half(module: &mut Module, bindings: &[u32]) -> Result<()> {
    let mut changed = Changed::new();
    for (handle, variable) in module.global_variables.iter_mut() {
        let Some(binding) = &variable.binding else { continue };
        if bindings.contains(&binding.binding) {
            variable.ty = half_array(&mut module.types, variable.ty)
                .ok_or_else(|| Error::run(format!("binding {} is no array of f32", binding.binding)))?;
            changed.insert(handle, Stored::Half);
        }
    }
    rewrite_all(module, &changed)
}

/// Makes storage bindings arrays of `vec2<u64>` where they were arrays of `vec4<f32>` or `vec4<u32>` whose elements are only loaded
/// and stored as a whole.
///
/// # Errors
/// [`Error::Run`] if the module uses something that no kernel does.
pub fn store_in_pairs(module: &mut Module) -> Result<()> {
    let mut changed = Changed::new();
    let functions = || module.functions.iter().map(|(_, f)| f).chain(module.entry_points.iter().map(|e| &e.function));
    for (handle, variable) in module.global_variables.iter() {
        let kind = match module.types[variable.ty].inner {
            TypeInner::Array { base, .. } => match module.types[base].inner {
                TypeInner::Vector { size: VectorSize::Quad, scalar } if scalar.width == 4 => Some(scalar.kind),
                _ => None,
            },
            _ => None,
        };
        let Some(kind) = kind.filter(|_| variable.binding.is_some()) else { continue };
        if functions().all(|function| whole_elements(function, handle)) {
            changed.insert(handle, Stored::Pairs(kind));
        }
    }
    for &handle in changed.keys() {
        let scalar = Scalar::U64;
        let variable = module.global_variables.get_mut(handle);
        let TypeInner::Array { size, .. } = module.types[variable.ty].inner else { continue };
        let base = insert(&mut module.types, TypeInner::Vector { size: VectorSize::Bi, scalar });
        variable.ty = insert(&mut module.types, TypeInner::Array { base, size, stride: 16 });
    }
    rewrite_all(module, &changed)
}

/// Whether a function touches no single component of an array's elements.
fn whole_elements(function: &Function, array: Handle<GlobalVariable>) -> bool {
    let base = |handle: Handle<Expression>| match function.expressions[handle] {
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => Some(base),
        _ => None,
    };
    let is_array = |handle| matches!(function.expressions[handle], Expression::GlobalVariable(v) if v == array);
    function.expressions.iter().all(|(handle, _)| !base(handle).and_then(base).is_some_and(is_array))
}

fn rewrite_all(module: &mut Module, changed: &Changed) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let quad = insert(&mut module.types, TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::U32 });
    for (_, function) in module.functions.iter_mut() {
        rewrite(function, changed, quad)?;
    }
    for entry in &mut module.entry_points {
        rewrite(&mut entry.function, changed, quad)?;
    }
    Ok(())
}

fn insert(types: &mut UniqueArena<Type>, inner: TypeInner) -> Handle<Type> {
    types.insert(Type { name: None, inner }, Span::default())
}

/// `array<f32>` -> `array<f16>`, `array<vec4<f32>>` -> `array<vec4<f16>>`.
fn half_array(types: &mut UniqueArena<Type>, ty: Handle<Type>) -> Option<Handle<Type>> {
    let TypeInner::Array { base, size, .. } = types[ty].inner else { return None };
    let (inner, stride) = match types[base].inner {
        TypeInner::Scalar(Scalar::F32) => (TypeInner::Scalar(HALF), 2),
        TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::F32 } => {
            (TypeInner::Vector { size: VectorSize::Quad, scalar: HALF }, 8)
        }
        _ => return None,
    };
    let base = insert(types, inner);
    Some(insert(types, TypeInner::Array { base, size, stride }))
}

/// Copies a function's expressions to a new list with a conversion behind each load of what is changed. An expression may only use
/// those before it, so nothing can be inserted in place.
fn rewrite(function: &mut Function, changed: &Changed, quad: Handle<Type>) -> Result<()> {
    let old = std::mem::take(&mut function.expressions);
    let mut expressions = Arena::new();
    // Literals are not emitted, so it must not lie within the range of a conversion.
    let bits = expressions.append(Expression::Literal(Literal::U32(32)), Span::default());
    let mut new = Rewritten { expressions, first: vec![], value: vec![], points_to: vec![], bits, quad };
    for (handle, expression) in old.iter() {
        let span = old.get_span(handle);
        let points_to = match *expression {
            Expression::GlobalVariable(variable) => changed.get(&variable).copied(),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => new.points_to[base.index()],
            _ => None,
        };
        let loads = match expression {
            Expression::Load { pointer } => new.points_to[pointer.index()],
            _ => None,
        };
        let copy = new.expressions.append(new.copied(expression)?, span);
        let value = match loads {
            Some(Stored::Half) => new.converted(copy, 4, span),
            Some(Stored::Pairs(kind)) => new.split(copy, kind, span),
            None => copy,
        };
        new.first.push(copy);
        new.value.push(value);
        new.points_to.push(points_to);
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

struct Rewritten {
    expressions: Arena<Expression>,
    /// By the old expression's number: its copy, its value (a conversion of the copy where that loads what is changed), and what
    /// it points to if that is.
    first: Vec<Handle<Expression>>,
    value: Vec<Handle<Expression>>,
    points_to: Vec<Option<Stored>>,
    /// Half the bits of a pair.
    bits: Handle<Expression>,
    /// `vec4<u32>`
    quad: Handle<Type>,
}

impl Rewritten {
    fn at(&self, old: Handle<Expression>) -> Handle<Expression> {
        self.value[old.index()]
    }

    fn add(&mut self, expression: Expression, span: Span) -> Handle<Expression> {
        self.expressions.append(expression, span)
    }

    /// To a float of so many bytes.
    fn converted(&mut self, expr: Handle<Expression>, width: u8, span: Span) -> Handle<Expression> {
        self.add(Expression::As { expr, kind: ScalarKind::Float, convert: Some(width) }, span)
    }

    /// `vec2<u64>` -> `vec4<f32>`, or what the kind says
    fn split(&mut self, pairs: Handle<Expression>, kind: ScalarKind, span: Span) -> Handle<Expression> {
        let low_of = |expr| Expression::As { expr, kind: ScalarKind::Uint, convert: Some(4) };
        let right = self.add(Expression::Splat { size: VectorSize::Bi, value: self.bits }, span);
        let shifted = self.add(Expression::Binary { op: BinaryOperator::ShiftRight, left: pairs, right }, span);
        let (low, high) = (self.add(low_of(pairs), span), self.add(low_of(shifted), span));
        let [a, b, c, d] = [(low, 0), (high, 0), (low, 1), (high, 1)]
            .map(|(base, index)| self.add(Expression::AccessIndex { base, index }, span));
        let words = self.add(Expression::Compose { ty: self.quad, components: vec![a, b, c, d] }, span);
        self.add(Expression::As { expr: words, kind, convert: None }, span)
    }

    /// The other way round, and the first expression it took.
    fn joined(&mut self, value: Handle<Expression>, span: Span) -> (Handle<Expression>, Handle<Expression>) {
        let words = self.add(Expression::As { expr: value, kind: ScalarKind::Uint, convert: None }, span);
        let [low, high] = [0, 1].map(|from| {
            let pattern = [from, from + 2, 0, 0].map(SwizzleComponent::from_index);
            let half = self.add(Expression::Swizzle { size: VectorSize::Bi, vector: words, pattern }, span);
            self.add(Expression::As { expr: half, kind: ScalarKind::Uint, convert: Some(8) }, span)
        });
        let right = self.add(Expression::Splat { size: VectorSize::Bi, value: self.bits }, span);
        let left = self.add(Expression::Binary { op: BinaryOperator::ShiftLeft, left: high, right }, span);
        (words, self.add(Expression::Binary { op: BinaryOperator::InclusiveOr, left, right: low }, span))
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
            E::CooperativeLoad { columns, rows, role, data } if self.points_to[data.pointer.index()].is_none() => {
                let data = self.matrix_place(data);
                E::CooperativeLoad { columns: *columns, rows: *rows, role: *role, data }
            }
            E::CooperativeMultiplyAdd { a, b, c } => E::CooperativeMultiplyAdd { a: at(a), b: at(b), c: at(c) },
            other => return Err(Error::run(format!("numbers in storage: no kernel was expected to use {other:?}"))),
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
                    let stored = self.points_to[pointer.index()];
                    let (pointer, value) = (self.at(pointer), self.at(value));
                    let converted = match stored {
                        Some(Stored::Half) => {
                            let rounded = self.converted(value, 2, span);
                            Some((rounded, rounded))
                        }
                        Some(Stored::Pairs(_)) => Some(self.joined(value, span)),
                        None => None,
                    };
                    if let Some((first, last)) = converted {
                        block.push(S::Emit(Range::new_from_bounds(first, last)), span);
                    }
                    let value = converted.map_or(value, |(_, last)| last);
                    S::Store { pointer, value }
                }
                S::CooperativeStore { target, ref data } if self.points_to[data.pointer.index()].is_none() => {
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
                other => {
                    return Err(Error::run(format!("numbers in storage: no kernel was expected to use {other:?}")));
                }
            };
            block.push(statement, span);
        }
        Ok(block)
    }
}
