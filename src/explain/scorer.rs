//! Class scores of pictures that are changed as numbers: masked, blurred, filled in.

use gatefold_engine::plan::{Plan, Ticket};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};
use rayon::prelude::*;

use crate::data::picture::fit::centred;
use crate::score::model::Model;
use crate::weights::Header;
use crate::{Error, Result, nets};

/// Channels of a picture in memory: RGB and one of zeros.
pub const CHANNELS: usize = 4;

/// What the network computes from a picture (RGB bytes, [`Header::picture_size`] squared x 3): the centre, normalised,
/// `size x size x 4`. The mean colour is 0.
///
/// # Errors
/// If the picture has another size.
pub fn normalised(header: &Header, picture: &[u8]) -> Result<Vec<f32>> {
    let (square, size) = (header.picture_size(), header.net.size);
    if picture.len() != square * square * 3 {
        return Err(Error::run(format!("{} bytes for a picture of {square}x{square}", picture.len())));
    }
    let edge = centred(square as u32, size as u32) as usize;
    let mut out = Vec::with_capacity(size * size * CHANNELS);
    for y in edge..edge + size {
        for pixel in picture[(y * square + edge) * 3..][..size * 3].chunks_exact(3) {
            let value = |c: usize| (f32::from(pixel[c]) / 255.0 - header.mean[c]) / header.std[c];
            out.extend([value(0), value(1), value(2), 0.0]);
        }
    }
    Ok(out)
}

/// A plan that turns batches of normalised pictures into logits.
pub struct Scorer {
    plan: Plan,
    pictures: Tensor,
    logits: Tensor,
    batch: usize,
}

impl Scorer {
    /// Plans batches of `batch` pictures.
    ///
    /// # Errors
    /// If the memory is not there.
    pub fn new(model: &Model, batch: usize) -> Result<Self> {
        let (net, mut tape) = (&model.header.net, Tape::new());
        tape.freeze();
        let pictures = tape.input(Shape::new(batch, net.size, net.size, CHANNELS));
        let logits = nets::record(&mut tape, pictures, net, false)?.logits;
        tape.keep(logits);
        tape.fuse();
        let plan = Plan::new(&model.gpu, &tape, &model.store, &model.pool)?;
        Ok(Self { plan, pictures, logits, batch })
    }

    /// Logits of `count` pictures, row after row. `draw` is called with a picture's number and its place, `size x size x 4`, whose
    /// contents it must replace; for many pictures at once, on all cores.
    ///
    /// # Errors
    /// If a run fails.
    pub fn logits(&mut self, count: usize, draw: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<Vec<f32>> {
        self.logits_while(count, draw, &|| true)
    }

    /// As [`Self::logits`]; `go_on` is asked before each batch.
    ///
    /// # Errors
    /// If a run fails, or is not to go on.
    pub fn logits_while(
        &mut self,
        count: usize,
        draw: &(dyn Fn(usize, &mut [f32]) + Sync),
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<f32>> {
        let mut batch = vec![0.0_f32; self.pictures.shape.len()];
        let words = batch.len() / self.batch;
        let (mut logits, mut running) = (Vec::with_capacity(count * self.logits.shape.c), None);
        for start in (0..count).step_by(self.batch) {
            if !go_on() {
                // What is under way keeps its place until it is read.
                if let Some(done) = running.take() {
                    self.collect(done, &mut logits)?;
                }
                return Err(Error::run("the question was withdrawn"));
            }
            let here = self.batch.min(count - start);
            batch[..here * words].par_chunks_mut(words).enumerate().for_each(|(i, place)| draw(start + i, place));
            self.plan.write(self.pictures, &batch)?;
            // The next batch is drawn while this one runs.
            let next = (self.plan.submit()?, here);
            if let Some(done) = running.replace(next) {
                self.collect(done, &mut logits)?;
            }
        }
        if let Some(last) = running {
            self.collect(last, &mut logits)?;
        }
        Ok(logits)
    }

    fn collect(&self, (ticket, count): (Ticket, usize), logits: &mut Vec<f32>) -> Result<()> {
        let rows = self.plan.results(ticket)?.get(self.logits)?;
        logits.extend_from_slice(&rows[..count * self.logits.shape.c]);
        Ok(())
    }
}

/// A class's score before softmax; of one logit, plus or minus it.
#[must_use]
pub fn score(logits: &[f32], class: usize) -> f32 {
    match logits {
        [logit] => sign(class) * logit,
        _ => logits[class],
    }
}

/// How one logit speaks for either class.
#[must_use]
pub fn sign(class: usize) -> f32 {
    if class == 1 { 1.0 } else { -1.0 }
}
