//! WGSL files, composed with `naga_oil`: `#import` of the shared parts, `#{NAME}` for register-tile and workgroup sizes.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use naga_oil::compose::preprocess::Preprocessor;
use naga_oil::compose::{
    ComposableModuleDescriptor, Composer, NagaModuleDescriptor, ShaderDefValue, ShaderLanguage, ShaderType,
};

use crate::{Error, Result};

/// One WGSL file. The engine's own are in `shaders/`; a kernel of your own may import what they import:
///
/// ```
/// use gatefold_engine::gpu::{Shader, compose};
///
/// // Or `source: include_str!("squares.wgsl")`.
/// const SQUARES: Shader = Shader {
///     path: "squares.wgsl",
///     source: "
///         #import gatefold::grid
///
///         @group(0) @binding(0) var<uniform> length: u32;
///         @group(0) @binding(1) var<storage, read_write> y: array<f32>;
///
///         @compute @workgroup_size(64)
///         fn main(
///             @builtin(workgroup_id) group: vec3<u32>,
///             @builtin(num_workgroups) groups: vec3<u32>,
///             @builtin(local_invocation_index) lane: u32,
///         ) {
///             let item = grid::linear_item(group, groups, lane);
///             if item < length {
///                 y[item] = f32(item * item);
///             }
///         }
///     ",
/// };
/// assert!(compose(SQUARES, &[]).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shader {
    /// Its name in messages and profiles. For the engine's own, the path below `shaders/`: `adam.wgsl` or `relu/forward.wgsl`.
    pub path: &'static str,
    /// The text that was built in. What runs is [`Shader::text`].
    pub source: &'static str,
}

/// The [`Shader`](crate::gpu::Shader) of a file below `shaders/`, wherever `build.rs` found that folder.
macro_rules! shader {
    ($path:literal) => {
        $crate::gpu::Shader { path: $path, source: include_str!(concat!(env!("GATEFOLD_SHADER_FOLDER"), "/", $path)) }
    };
}
pub(crate) use shader;

/// All files of `shaders/`.
const BUILT_IN: &[Shader] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// Texts by path that stand in for those built in; `None` where a text was asked for before there were any.
static REPLACED: OnceLock<Option<HashMap<&'static str, String>>> = OnceLock::new();

/// From now on the engine's shaders are those of `folder`, a copy of `shaders/`, and not those built into the program: to try a
/// change of WGSL without compiling Rust. For the whole process, so a program calls it first of all, and says so to its user.
/// All files are read here and now.
///
/// # Errors
/// [`Error::Input`] if a file is missing or cannot be read; [`Error::Run`] if it is called too late or twice.
pub fn shaders_from(folder: &Path) -> Result<()> {
    let read = |shader: &Shader| {
        let file = folder.join(shader.path);
        let text = fs::read_to_string(&file).map_err(|e| {
            Error::input(format!("{}: {e}; the folder has to be a whole copy of shaders/", file.display()))
        })?;
        Ok((shader.path, text))
    };
    let texts = BUILT_IN.iter().map(read).collect::<Result<_>>()?;
    REPLACED.set(Some(texts)).map_err(|_| Error::run("shaders_from: shaders are in use already"))
}

impl Shader {
    /// The WGSL that it is composed of: what was built in, or what [`shaders_from`] put in its place.
    pub fn text(&self) -> &'static str {
        let Some(texts) = REPLACED.get_or_init(|| None) else { return self.source };
        // Someone else's shader is itself, whatever its name.
        if BUILT_IN.contains(self) { texts.get(self.path).map_or(self.source, String::as_str) } else { self.source }
    }

    /// The name that others import it by: `gatefold::grid` for `shared/grid.wgsl`; `None` if it is none of the shared parts.
    fn import_name(&self) -> Option<&'static str> {
        self.text().lines().next()?.strip_prefix("#define_import_path").map(str::trim)
    }

    /// The shared parts that it imports, each behind those that it imports itself.
    fn imports(&self) -> Vec<(Shader, &'static str)> {
        let mut found = vec![];
        self.add_imports(&mut found);
        found
    }

    fn add_imports(&self, found: &mut Vec<(Shader, &'static str)>) {
        let named = BUILT_IN.iter().filter_map(|shared| shared.import_name().map(|name| (*shared, name)));
        for (shared, name) in named.filter(|(_, name)| self.mentions(name)) {
            if !found.contains(&(shared, name)) {
                shared.add_imports(found);
                found.push((shared, name));
            }
        }
    }

    /// Whether it has an `#import` of this name, or of something in it.
    fn mentions(&self, name: &str) -> bool {
        let mut rests =
            self.text().lines().filter_map(|line| line.trim_start().strip_prefix("#import")?.trim().strip_prefix(name));
        rests.any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    }
}

/// Composes a shader with its imports and definitions into one validated naga module.
///
/// # Errors
/// [`Error::Run`] with the file and naga's own message: only a developer can meet it.
pub fn compose(shader: Shader, defs: &[(&'static str, u32)]) -> Result<naga::Module> {
    let fault = |text: String| Error::run(format!("shader {}: {text}", shader.path));
    // A kernel that is one of several parts says where it begins; see `Kernel::parts`.
    let all = [("FIRST_GROUP", 0)].iter().chain(defs);
    let definitions: HashMap<_, _> = all.map(|&(name, value)| (name.to_owned(), ShaderDefValue::UInt(value))).collect();
    // `naga_oil` 0.23 copies the operands of `coopLoad` and `coopStore` without renumbering them.
    if shader.text().contains("enable wgpu_cooperative_matrix;") {
        let preprocessed = Preprocessor::default().preprocess(&in_one(shader), &definitions);
        return parse(&preprocessed.map_err(|e| fault(e.to_string()))?.preprocessed_source).map_err(fault);
    }
    COMPOSER.with_borrow_mut(|composer| {
        let descriptor = NagaModuleDescriptor {
            source: shader.text(),
            file_path: shader.path,
            shader_type: ShaderType::Wgsl,
            shader_defs: definitions,
            ..Default::default()
        };
        let composer = composer.as_mut().map_err(|e| fault(e.clone()))?;
        composer.make_naga_module(descriptor).map_err(|e| fault(e.emit_to_string(composer)))
    })
}

thread_local! {
    /// Knows the shared parts, and keeps what it has made of them. To make one takes longer than to compose a shader.
    static COMPOSER: RefCell<Result<Composer, String>> = RefCell::new(composer());
}

fn composer() -> Result<Composer, String> {
    let mut shared = vec![];
    for shader in BUILT_IN.iter().filter(|shader| shader.import_name().is_some()) {
        shared.extend(shader.imports().into_iter().map(|(import, _)| import).chain([*shader]));
    }
    // What this adapter can do is checked when the module is made; here all of WGSL is right.
    let mut known = Composer::default().with_capabilities(naga::valid::Capabilities::all());
    let mut seen = HashSet::new();
    for part in shared.into_iter().filter(|part| seen.insert(part.path)) {
        let (source, file_path, language) = (part.text(), part.path, ShaderLanguage::Wgsl);
        let descriptor = ComposableModuleDescriptor { source, file_path, language, ..Default::default() };
        let added = known.add_composable_module(descriptor).map(drop);
        added.map_err(|e| format!("{}: {}", part.path, e.emit_to_string(&known)))?;
    }
    Ok(known)
}

/// A shader with the text of its imports behind it; their names lose the module's, so no two of them may define the same one.
fn in_one(shader: Shader) -> String {
    let imports = shader.imports();
    let mut source = imports.iter().fold(shader.text().to_owned(), |source, (shared, _)| source + shared.text());
    for (_, name) in imports {
        let module = name.rsplit("::").next().unwrap_or(name);
        source = source.replace(&format!("#import {name}\n"), "\n").replace(&format!("{module}::"), "");
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
    for part in std::iter::once(shader).chain(shader.imports().into_iter().map(|(shared, _)| shared)) {
        hash.update(part.path.as_bytes()).update(part.text().as_bytes());
    }
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_built_in_and_only_shared_ones_are_imported() {
        let shared: Vec<_> = BUILT_IN.iter().filter(|shader| shader.path.starts_with("shared/")).collect();
        assert!(shared.len() >= 8 && BUILT_IN.len() > 4 * shared.len());
        for shader in BUILT_IN {
            let stem = shader.path.strip_prefix("shared/").map(|name| name.trim_end_matches(".wgsl"));
            assert_eq!(shader.import_name(), stem.map(|stem| format!("gatefold::{stem}")).as_deref());
        }
    }

    #[test]
    fn what_a_shared_part_imports_comes_before_it_and_counts_for_the_fingerprint() {
        let named = |source: &'static str| Shader { path: "own.wgsl", source };
        let paths = |source| named(source).imports().into_iter().map(|(shared, _)| shared.path).collect::<Vec<_>>();
        // `runs` imports `grid`.
        assert_eq!(paths("#import gatefold::runs\n"), ["shared/grid.wgsl", "shared/runs.wgsl"]);
        assert_eq!(paths("#import gatefold::runs\n#import gatefold::grid\n"), ["shared/grid.wgsl", "shared/runs.wgsl"]);
        // A name in a comment, or at the start of a longer one, is none.
        assert!(paths("// as gatefold::grid does\n#import gatefold::grids\n").is_empty());
    }

    #[test]
    fn a_shader_of_others_may_bear_the_name_of_one_of_ours() {
        let ours = shader!("relu/forward.wgsl");
        let theirs = Shader { source: "fn nothing() {}", ..ours };
        assert_eq!((theirs.text(), ours.text()), (theirs.source, ours.source));
        assert_ne!(fingerprint(ours), fingerprint(theirs));
        // By now it is too late for another folder.
        assert!(matches!(shaders_from(Path::new(env!("GATEFOLD_SHADER_FOLDER"))), Err(Error::Run(_))));
        let elsewhere = shaders_from(Path::new("/nowhere")).unwrap_err();
        assert!(
            matches!(&elsewhere, Error::Input(text) if text.contains("adam.wgsl") && text.contains("copy of shaders/"))
        );
    }
}
