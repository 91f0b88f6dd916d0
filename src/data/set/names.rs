//! The files of a data-set folder.

use std::path::Path;

/// The manifest's file in a data-set folder.
pub const MANIFEST: &str = "manifest.csv";
/// The pack's file in a data-set folder. Packs of further sizes stand beside it as `images-SIZE.pack`.
pub const PACK: &str = "images.pack";
/// The file in a data-set folder that tells how it came about.
pub const IMPORT: &str = "import.json";
/// A contact sheet of each class.
pub const PREVIEW: &str = "preview.png";

/// The file of a further size's pack.
pub fn pack_of(size: u32) -> String {
    format!("images-{size}.pack")
}

/// Whether a file of a data-set folder is a pack.
pub(crate) fn is_pack(name: &str) -> bool {
    name == PACK || name.strip_prefix("images-").is_some_and(|rest| rest.ends_with(".pack"))
}

/// Where an import keeps its files until they are finished.
pub(crate) const WORK: &str = ".import";
/// Lists the finished files that only need to be moved.
pub(crate) const READY: &str = "ready";

/// Whether files of a whole new data set wait in `target` to be moved into place.
pub fn import_waits_in(target: &Path) -> bool {
    target.join(WORK).join(READY).is_file()
}
