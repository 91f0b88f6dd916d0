//! How are the covers labelled that a network takes for most alike to one that it has not seen?

use std::sync::Arc;

use crate::data::source::listing::Pixels;
use crate::data::{Dataset, Item, Listing};
use crate::score::model::Model;
use crate::score::similar::Search;
use crate::score::stream::{self, Options};
use crate::{Error, Result};

/// Neighbours that are asked, as many as a vote needs and no more than a page can show in words.
pub const ASKED: usize = 10;

/// A cover that is alike, among those that the network learnt from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Its place in the data set.
    pub cover: usize,
    /// The cosine between what comes out of the network's trunk.
    pub similarity: f32,
}

/// The nearest of each of the covers `asked` among `others`, the nearest first. The same picture is no neighbour of itself.
///
/// # Errors
/// [`Error::Run`] if the device fails, [`Error::Input`] if a picture in the pack is damaged.
pub fn nearest(
    model: &Model,
    dataset: &Arc<Dataset>,
    asked: &[usize],
    others: &[usize],
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<Vec<Near>>> {
    let (mut search, mut done) = (Search::new(ASKED), 0);
    let total = asked.len() + others.len();
    each(model, dataset, asked, |_, answer| {
        search.ask(&answer);
        done += 1;
        progress(done, total);
    })?;
    each(model, dataset, others, |item, answer| {
        search.add(item, &answer);
        done += 1;
        progress(done, total);
    })?;
    let place = |item: &Item| match item.pixels {
        Pixels::Packed(_, place) => Some(place),
        _ => None,
    };
    let near = |found: crate::score::similar::Found| {
        let nearest = found.nearest.into_iter();
        nearest.filter_map(|n| Some(Near { cover: place(&n.item)?, similarity: n.similarity })).collect()
    };
    Ok(search.finish().into_iter().map(near).collect())
}

fn each(
    model: &Model,
    dataset: &Arc<Dataset>,
    places: &[usize],
    mut take: impl FnMut(Item, stream::Answer),
) -> Result<()> {
    let (count, dataset, places) = (Some(places.len()), Arc::clone(dataset), places.to_vec());
    let item = move |place: usize| {
        let path = dataset.manifest.covers[place].strings.path().to_owned();
        Ok(Item { path, pixels: Pixels::Packed(Arc::clone(&dataset), place), named: true, about: None })
    };
    let items = Box::new(places.into_iter().map(item));
    let listing = Listing { items, count, about: false, library: false, notes: Vec::new() };
    let options = Options { mirrored: false, features: true };
    stream::answer(std::slice::from_ref(model), listing, options, |item, answer| {
        let answer = answer.map_err(|why| Error::input(format!("{}: {why}", item.path.display())))?;
        take(item, answer);
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(())
}
