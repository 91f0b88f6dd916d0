//! WGSL files, composed with `naga_oil`: `#import` of the shared parts, `#{NAME}` for register-tile and workgroup sizes.

use std::collections::HashMap;

use naga_oil::compose::preprocess::Preprocessor;
use naga_oil::compose::{
    ComposableModuleDescriptor, Composer, NagaModuleDescriptor, ShaderDefValue, ShaderLanguage, ShaderType,
};

use crate::{Error, Result};

/// One WGSL file of `shaders/`, built into the program by [`crate::shader!`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shader {
    /// Path below `shaders/`, such as `relu.wgsl` or `conv2d/direct.wgsl`.
    pub path: &'static str,
    pub source: &'static str,
}

/// The [`Shader`](crate::gpu::Shader) of a file below `shaders/`.
#[macro_export]
macro_rules! shader {
    ($path:literal) => {
        $crate::gpu::Shader {
            path: $path,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shaders/", $path)),
        }
    };
}

/// What kernels may `#import`.
const SHARED: &[Shader] = &[
    shader!("shared/element.wgsl"),
    shader!("shared/epilogue.wgsl"),
    shader!("shared/grid.wgsl"),
    shader!("shared/line.wgsl"),
    shader!("shared/matrix.wgsl"),
    shader!("shared/normalise.wgsl"),
    shader!("shared/random.wgsl"),
    shader!("shared/reduce.wgsl"),
];

/// Composes a shader with its imports and definitions into one validated naga module.
///
/// # Errors
/// [`Error::Run`] with the file and naga's own message: only a developer can meet it.
pub fn compose(shader: Shader, defs: &[(&'static str, u32)]) -> Result<naga::Module> {
    let fault = |text: String| Error::run(format!("shader {}: {text}", shader.path));
    let definitions: HashMap<_, _> =
        defs.iter().map(|&(name, value)| (name.to_owned(), ShaderDefValue::UInt(value))).collect();
    // `naga_oil` 0.23 copies the operands of `coopLoad` and `coopStore` without renumbering them.
    if shader.source.contains("enable wgpu_cooperative_matrix;") {
        let preprocessed = Preprocessor::default().preprocess(&in_one(shader), &definitions);
        return parse(&preprocessed.map_err(|e| fault(e.to_string()))?.preprocessed_source).map_err(fault);
    }
    // What this adapter can do is checked when the module is made; here all of WGSL is right.
    let mut composer = Composer::default().with_capabilities(naga::valid::Capabilities::all());
    for shared in imports(shader) {
        let added = composer.add_composable_module(ComposableModuleDescriptor {
            source: shared.source,
            file_path: shared.path,
            language: ShaderLanguage::Wgsl,
            shader_defs: definitions.clone(),
            ..Default::default()
        });
        if let Err(e) = added {
            return Err(fault(e.emit_to_string(&composer)));
        }
    }
    let composed = composer.make_naga_module(NagaModuleDescriptor {
        source: shader.source,
        file_path: shader.path,
        shader_type: ShaderType::Wgsl,
        shader_defs: definitions,
        ..Default::default()
    });
    composed.map_err(|e| fault(e.emit_to_string(&composer)))
}

/// A shader with the text of its imports behind it; their names lose the module's, so no two of them may define the same one.
fn in_one(shader: Shader) -> String {
    let mut source = shader.source.to_owned();
    for shared in imports(shader) {
        let name = import_name(shared);
        let module = name.rsplit("::").next().unwrap_or(name);
        source = source.replace(&format!("#import {name}\n"), "\n").replace(&format!("{module}::"), "");
        source += shared.source;
    }
    source
}

/// WGSL without directives; what is wrong with it comes in naga's words.
fn parse(source: &str) -> Result<naga::Module, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let (flags, capabilities) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    let checked = naga::valid::Validator::new(flags, capabilities).validate(&module);
    checked.map_err(|e| e.emit_to_string(source))?;
    Ok(module)
}

/// Tells a kernel's source, with all it may import, from any other.
pub fn fingerprint(shader: Shader) -> blake3::Hash {
    let mut hash = blake3::Hasher::new();
    for part in std::iter::once(shader).chain(imports(shader)) {
        hash.update(part.path.as_bytes()).update(part.source.as_bytes());
    }
    hash.finalize()
}

fn imports(shader: Shader) -> impl Iterator<Item = Shader> {
    SHARED.iter().copied().filter(move |shared| shader.source.contains(import_name(*shared)))
}

/// `shared/grid.wgsl` is imported as `gatefold::grid`.
fn import_name(shared: Shader) -> &'static str {
    let line = shared.source.lines().find(|line| line.starts_with("#define_import_path")).unwrap_or("");
    line.trim_start_matches("#define_import_path").trim()
}
