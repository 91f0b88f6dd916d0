//! What a file is that holds no weights, or holds them in a way that nobody reads here: by its first bytes.

/// What to do with a file of another format.
pub(super) fn another(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let starts = |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if bytes.starts_with(b"version https://git-lfs.github.com/") {
        return Some("only a pointer of Git LFS, the weights lie elsewhere; fetch them with git lfs pull");
    }
    if starts(b"<!doctype html") || starts(b"<html") || starts(b"<?xml") {
        return Some(
            "a web page, not weights: what was downloaded is the page about the file, or an error; take the link to the file itself",
        );
    }
    if bytes.starts_with(b"\x89HDF") {
        return Some(
            "an HDF5 file as Keras writes it, not safetensors; Keras' networks compute something else under the same names, so take \
             torchvision's or timm's weights",
        );
    }
    if is_onnx(bytes) {
        return Some("an ONNX network, not safetensors or PyTorch's; take the weights that it was exported from");
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("a TensorFlow Lite network, not safetensors or PyTorch's; take torchvision's or timm's weights");
    }
    if bytes.starts_with(b"\x1f\x8b")
        || bytes.starts_with(b"(\xb5/\xfd")
        || bytes.starts_with(b"\xfd7zXZ")
        || bytes.starts_with(b"7z\xbc\xaf")
    {
        return Some("compressed; unpack it first");
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some(
            "a tar archive; unpack it first, or, if it is of a PyTorch before 0.4, save the state_dict with a newer one",
        );
    }
    if bytes.starts_with(b"GGUF") {
        return Some("a GGUF file of a language model, not of a network for pictures");
    }
    // A pickle by itself begins with its version.
    if bytes.first() == Some(&0x80) && matches!(bytes.get(1), Some(0..=5)) {
        return Some("a Python pickle that torch.save did not write; in Python: torch.save(STATE_DICT, OUT)");
    }
    // What can be text and is no JSON that begins with its length.
    (bytes.len() >= 8 && starts(b"{")).then_some(
        "JSON, not weights; name the safetensors or .pth file, or the index of one in several parts (model.safetensors.index.json)",
    )
}

/// A protocol buffer whose first fields are those of ONNX's `ModelProto`: the version, then the program that wrote it.
fn is_onnx(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=20, 0x12 | 0x3a | 0x42, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_told_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, part) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"[..], "git lfs pull"),
            (b"<!DOCTYPE html><html><head>", "a web page"),
            (b"\n  <html lang=en>", "a web page"),
            (b"\x89HDF\r\n\x1a\n1234", "HDF5"),
            (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0", "ONNX"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"\x1f\x8b\x08\0", "unpack it"),
            (&tar, "a tar archive"),
            (b"GGUF\x03\0\0\0", "language model"),
            (b"\x80\x04\x95\x10\0\0\0", "torch.save"),
            (b"{\n  \"architecture\": \"resnet18\"}", "JSON"),
        ] {
            assert!(another(bytes).is_some_and(|told| told.contains(part)), "{bytes:?}: {:?}", another(bytes));
        }
        for bytes in [&b""[..], &[0xff; 100], b"\x10\0\0\0\0\0\0\0{}"] {
            assert_eq!(another(bytes), None);
        }
    }
}
