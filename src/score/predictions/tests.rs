use super::*;

fn answered(path: &str, label: usize, probabilities: &[f32]) -> Answered {
    Answered::new(path.into(), "5a".repeat(32), label, probabilities).unwrap()
}

#[test]
fn a_table_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test-predictions.csv");
    let covers = vec![answered("a, b/\"c\".jpg", 1, &[1.0 / 3.0, 2.0 / 3.0]), answered("d.png", 0, &[1e-30, 1.0])];
    let predictions = Predictions { labels: vec!["R&B, Soul".into(), "label".into()], covers };
    predictions.write(&path).unwrap();
    assert_eq!(Predictions::read(&path, &predictions.labels).unwrap(), predictions);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("path,hash,label,predicted,\"p(R&B, Soul)\","));
    let labels = ["x", "z"].map(str::to_owned);
    for wrong in [
        "a,b\n",
        "path,hash,label,predicted,p(x)\nf,0,x,x,1\n",
        "path,hash,label,predicted,p(x),p(z)\nf,0,y,x,0.5,0.5\n",
        "path,hash,label,predicted,p(x),p(z)\nf,0,x,x,?,0.5\n",
        "path,hash,label,predicted,p(x),p(z)\nf,0,x,x,0.5,0.9\n",
        "path,hash,label,predicted,p(x),p(z)\nf,0,x,x,NaN,0.5\n",
    ] {
        std::fs::write(&path, wrong).unwrap();
        assert_eq!(Predictions::read(&path, &labels).unwrap_err().exit_code(), 2, "{wrong}");
    }
}

#[test]
fn of_many_classes_the_table_has_the_most_probable_and_still_all_that_scores_need() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test-predictions.csv");
    let labels: Vec<String> = (0..150).map(|i| format!("class, {i}")).collect();
    // The answer is class 40; 50 and 60 are equals; the true class 3 is not among the first five.
    let mut row = vec![0.1 / 145.0; 150];
    for (class, p) in [(40, 0.4), (50, 0.2), (60, 0.2), (0, 0.06), (149, 0.04)] {
        row[class] = p;
    }
    let covers = vec![answered("a.jpg", 3, &row), answered("b.jpg", 40, &row)];
    let predictions = Predictions { labels, covers };
    assert_eq!(predictions.covers[0].answer, Answer::new(3, &row).unwrap());
    // Each class once, the true one among them.
    let known = |cover: usize| predictions.covers[cover].probabilities();
    assert_eq!(known(0), [(40, 0.4), (50, 0.2), (60, 0.2), (0, 0.06), (149, 0.04), (3, row[3])]);
    assert_eq!(known(1), [(50, 0.2), (60, 0.2), (0, 0.06), (149, 0.04), (40, 0.4)]);
    assert_eq!(answered("c.jpg", 1, &[0.25, 0.75]).probabilities(), [(0, 0.25), (1, 0.75)]);
    predictions.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().all(|line| line.len() < 300), "grows with the classes: {text}");
    let order = ["40", "50", "60", "0", "149"].map(|class| text.find(&format!("\"class, {class}\",0.")).unwrap());
    assert!(order.is_sorted(), "{text}");
    let back = Predictions::read(&path, &predictions.labels).unwrap();
    let seen = |of: &Predictions| -> Vec<(usize, usize, f32, f32)> {
        of.covers.iter().map(|c| (c.answer.label, c.answer.predicted, c.answer.confidence, c.answer.truth)).collect()
    };
    assert_eq!(seen(&back), seen(&predictions));
    let counts = [1; 150];
    assert_eq!(back.metrics(&counts).unwrap(), predictions.metrics(&counts).unwrap());
    back.write(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    // What older versions wrote: all classes.
    let mut old =
        columns(&predictions.labels, true).iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
    let numbers: Vec<String> = row.iter().map(ToString::to_string).collect();
    old += &format!("\na.jpg,{},\"class, 3\",\"class, 40\",{}\n", "5a".repeat(32), numbers.join(","));
    std::fs::write(&path, old).unwrap();
    assert_eq!(Predictions::read(&path, &predictions.labels).unwrap().covers, predictions.covers[..1]);

    for (from, to) in [("0.4", "4.0"), ("\"class, 40\",0.4", "none,0.4"), (",class_5", ",class_6")] {
        std::fs::write(&path, text.replace(from, to)).unwrap();
        assert_eq!(Predictions::read(&path, &predictions.labels).unwrap_err().exit_code(), 2, "{from}");
    }
    assert_eq!(Predictions::read(&path, &predictions.labels[1..]).unwrap_err().exit_code(), 2, "of other classes");
}
