use super::*;

fn refusal(bytes: &[u8]) -> String {
    Pickle::read(bytes).err().unwrap_or_else(|| panic!("{bytes:?} was read"))
}

#[test]
fn containers_and_numbers_are_read_in_all_protocols() {
    // pickle.dumps({'a': (1, -2, 300, 2**40, 'x'), 'b': [None, 1.5]}, 2), and the same with 4.
    let two = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffM,\x01\x8a\x06\x00\x00\x00\x00\x00\x01X\x01\x00\x00\x00xq\x02tq\x03X\x01\x00\x00\x00bq\x04]q\x05(NG?\xf8\x00\x00\x00\x00\x00\x00eu.";
    let four = b"\x80\x04\x95<\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94(K\x01J\xfe\xff\xff\xffM,\x01\x8a\x06\x00\x00\x00\x00\x00\x01\x8c\x01x\x94t\x94\x8c\x01b\x94]\x94(NG?\xf8\x00\x00\x00\x00\x00\x00eu.";
    for bytes in [&two[..], four] {
        let pickle = Pickle::read(bytes).unwrap();
        assert_eq!(pickle.len, bytes.len());
        let [(a, tuple), (b, list)] = pickle.entries(pickle.root()).collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((a, b), ("a", "b"));
        let Value::Tuple(items) = pickle.get(tuple) else { panic!() };
        let items: Vec<_> = items.iter().map(|&id| pickle.get(id).clone()).collect();
        let numbers = [1, -2, 300, 1 << 40].map(Value::Number);
        assert_eq!((&items[..4], &items[4]), (&numbers[..], &Value::Text("x")));
        assert!(matches!(pickle.get(list), Value::List(items) if items.len() == 2));
    }
}

#[test]
fn what_is_no_tensor_is_refused_by_its_name() {
    for (bytes, name) in [
        (&b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."[..], "os.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "builtins.eval"),
        (b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81.", "torchvision.models.resnet.ResNet"),
        (b"\x80\x02ctorch\nQInt8Storage\n.", "torch.QInt8Storage"),
    ] {
        let said = refusal(bytes);
        assert!(said.contains(&format!("asks for {name},")) && said.contains("state_dict()"), "{said}");
    }
    // The oldest way of naming, which nobody writes any more.
    assert!(refusal(b"(S'id'\nios\nsystem\n.").contains("0x53"));
}

#[test]
fn damage_is_told_and_takes_no_memory() {
    for bytes in [
        &b""[..],
        b"\x80",
        b".",
        b"0.",
        b"t.",
        b"(0.",
        b"\x85.",
        b"K",
        b"X\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa",
        b"h\x07.",
        b"]K\x01s.",
        b"}K\x01a.",
        b"(K\x01d.",
        b"K\x01K\x02R.",
        b"K\x01Q.",
    ] {
        assert_eq!(refusal(bytes), damaged(), "{bytes:?}");
    }
    let mut many = vec![b'N'; VALUES + 1];
    many.push(b'.');
    assert!(refusal(&many).contains("more than"));
    // As deep as it is long: neither reading nor dropping it takes a stack.
    let mut deep = vec![b')'];
    deep.extend([0x85].repeat(1_000_000));
    deep.push(b'.');
    Pickle::read(&deep).unwrap();
}
