use std::collections::{BTreeMap, HashSet};

use super::*;

fn small() -> SampleOptions {
    SampleOptions { per_genre: 6, size: 64, seed: 5 }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for name in list(folder).unwrap() {
        let path = folder.join(&name);
        if path.is_dir() {
            let inner = files(&path);
            all.extend(inner.into_iter().map(|(n, b)| (format!("{name}/{n}"), b)));
        } else {
            all.insert(name, fs::read(path).unwrap());
        }
    }
    all
}

#[test]
fn the_table_lists_every_picture() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(dir.path(), &small()).unwrap();
    assert_eq!((summary.covers, summary.genres.len()), (30, 5));
    assert!(summary.genres.is_sorted());

    let mut table = csv::Reader::from_path(&summary.csv).unwrap();
    assert!(table.headers().unwrap().iter().eq(COLUMNS));
    type Row = (String, String, String, String, u32, u32, u32, u32);
    let rows: Vec<Row> = table.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), summary.covers);
    let mut genre_of = BTreeMap::new();
    for (path, genre, artist, album, x, y, w, h) in &rows {
        let picture = image::open(dir.path().join(path)).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 64));
        assert!(x + w <= 64 && y + h <= 64 && *w > 15 && *h > 15, "{path}");
        assert!(path.starts_with(&format!("{genre}/")) && !album.is_empty());
        assert_eq!(genre_of.entry(artist).or_insert(genre), &genre, "{artist}");
    }
    let paths: HashSet<_> = rows.iter().map(|r| &r.0).collect();
    assert_eq!(paths.len() + 1, files(dir.path()).len());
}

#[test]
fn the_same_options_give_the_same_bytes_on_any_number_of_threads() {
    let run = |threads, options: &SampleOptions| {
        let dir = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        pool.install(|| write(dir.path(), options)).unwrap();
        files(dir.path())
    };
    let one = run(1, &small());
    assert_eq!(one, run(3, &small()));
    let other = run(3, &SampleOptions { seed: 6, ..small() });
    assert!(one.iter().all(|(name, bytes)| bytes != &other[name]));
}

#[test]
fn an_earlier_sample_is_written_over_and_anything_else_refused() {
    let refused = |out: &Path, options: &SampleOptions| match write(out, options) {
        Err(Error::Input(text)) => text,
        other => panic!("{other:?}"),
    };
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &small()).unwrap();
    write(dir.path(), &small()).unwrap();
    let fewer = SampleOptions { per_genre: 4, ..small() };
    assert!(refused(dir.path(), &fewer).contains("004.png"));
    fs::write(dir.path().join("Jazz/mine.jpg"), "x").unwrap();
    assert!(refused(dir.path(), &small()).contains("mine.jpg"));

    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(TABLE), "path,genre\na.jpg,Jazz\n").unwrap();
    assert!(refused(dir.path(), &small()).contains("no earlier sample"));
    assert!(refused(&dir.path().join(TABLE), &small()).contains("is a file"));
    assert_eq!(files(dir.path()).len(), 1);
    assert!(refused(Path::new(""), &small()).contains("no name"));
}

#[test]
fn silly_sizes_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new");
    for (per_genre, size) in [(0, 64), (1001, 64), (6, 8), (6, 100_000)] {
        let options = SampleOptions { per_genre, size, seed: 0 };
        assert!(matches!(write(&out, &options), Err(Error::Input(_))));
    }
    assert!(!out.exists());
}

#[test]
fn a_larger_sample_begins_as_a_smaller_one() {
    let paths = |n| plan(&SampleOptions { per_genre: n, ..small() });
    let (few, many) = (paths(6), paths(9));
    for job in &few {
        let twin = many.iter().find(|j| j.path() == job.path()).unwrap();
        assert_eq!(format!("{:?}", job.sleeve), format!("{:?}", twin.sleeve));
    }
}

#[test]
fn there_are_names_enough_for_the_largest_sample() {
    let options = SampleOptions { per_genre: MAX_PER_GENRE, ..small() };
    let jobs = plan(&options);
    let albums: HashSet<_> = jobs.iter().map(|j| &j.sleeve.album).collect();
    assert_eq!(albums.len(), jobs.len());
}
