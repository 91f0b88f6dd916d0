//! Against files that `torch.save` wrote (`tests/weights/make.py`), and broken ones.

use super::*;
use crate::weights::Checkpoint;

macro_rules! file {
    ($name:literal) => {
        &include_bytes!(concat!("../../../tests/weights/", $name))[..]
    };
}

fn read(bytes: &[u8]) -> Checkpoint {
    Checkpoint::parse("file", bytes).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(bytes: &[u8]) -> String {
    let error = Checkpoint::parse("file", bytes).err().expect("a refusal");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

/// The numbers of the state that most files hold, plus this.
fn holds_state(file: &Checkpoint, prefix: &str, plus: f32) {
    let (shape, values) = &file.tensors[&format!("{prefix}conv.weight")];
    assert_eq!(shape, &[2, 3, 1, 2]);
    assert_eq!(values, &(0..12_u8).map(|n| f32::from(n) / 4.0 + plus).collect::<Vec<_>>());
    let mean = (vec![2], vec![0.5 + plus, -1.5 + plus]);
    assert_eq!(file.tensors[&format!("{prefix}bn.running_mean")], mean);
    // What counts batches is left out.
    assert_eq!(file.tensors.len(), 2);
}

#[test]
fn a_state_is_read_in_both_forms_and_in_halves() {
    for bytes in [file!("plain.pth"), file!("old.pth"), file!("bfloat16.pt")] {
        let file = read(bytes);
        holds_state(&file, "", 0.0);
        assert!(file.notes().is_empty() && file.header.is_none());
    }
}

#[test]
fn a_state_among_other_things_is_found_averaged_ones_first() {
    let nested = read(file!("nested.pth"));
    holds_state(&nested, "module.", 0.0);
    assert_eq!(nested.notes(), ["checkpoint file: its entry model is taken"]);
    let lightning = read(file!("lightning.ckpt"));
    holds_state(&lightning, "model.", 1.0);
    assert_eq!(lightning.notes(), ["checkpoint file: its entry state_dict_ema is taken"]);
}

#[test]
fn views_of_a_storage_are_gathered() {
    let file = read(file!("strided.pth"));
    let is = |name: &str, shape: &[usize], quarters: &[u8]| {
        let values = quarters.iter().map(|&n| f32::from(n) / 4.0).collect();
        assert_eq!(file.tensors[name], (shape.to_vec(), values), "{name}");
    };
    is("conv.weight", &[2, 3, 1, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(file.tensors["again.weight"], file.tensors["conv.weight"]);
    is("turned", &[3, 2], &[12, 15, 13, 16, 14, 17]);
    is("stepped", &[5], &[1, 6, 11, 16, 21]);
    is("expanded", &[2, 2], &[3, 3, 3, 3]);
    is("empty", &[0, 3], &[]);
    is("single", &[], &[10]);
}

#[test]
fn a_whole_module_is_refused_with_what_it_asks_for() {
    let said = refusal(file!("module.pth"));
    assert!(said.contains("asks for torch.nn.modules.linear.Linear,") && said.contains("model.state_dict()"), "{said}");
}

#[test]
fn what_is_cut_or_changed_is_refused_or_read_and_never_more() {
    for bytes in [file!("plain.pth"), file!("old.pth"), file!("nested.pth"), file!("strided.pth")] {
        for len in 0..bytes.len() {
            assert!(!refusal(&bytes[..len]).contains('\n'));
        }
        let mut changed = bytes.to_vec();
        for at in 0..changed.len() {
            for bit in [0, 3, 7] {
                changed[at] ^= 1 << bit;
                if let Err(e) = Checkpoint::parse("file", &changed) {
                    assert!(!e.to_string().contains('\n'), "{e}");
                }
                changed[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn other_zips_are_told() {
    let zip = |files: &[(&str, &[u8])]| {
        use std::io::Write;
        let mut writer = zip::ZipWriter::new(Cursor::new(vec![]));
        for (name, bytes) in files {
            let stored = zip::write::SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            writer.start_file(*name, stored).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    assert!(refusal(&zip(&[("word/document.xml", b"<w/>")])).contains("no data.pkl"));
    assert!(refusal(&zip(&[("net/data.pkl", b"N."), ("net/code/net.py", b"")])).contains("TorchScript"));
    assert!(refusal(&zip(&[("net/data.pkl", b"}."), ("net/byteorder", b"big")])).contains("big endian"));
    assert!(refusal(&zip(&[("net/data.pkl", b"}.")])).contains("no dictionary"));
    assert!(refusal(&zip(&[("net/data.pkl", b"\x80\x02}X\x05\x00\x00\x00epochK\x03s.")])).contains("it holds epoch"));
}
