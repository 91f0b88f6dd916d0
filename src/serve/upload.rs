//! From a request to the square that the network sees: limits first, then the bytes, then the pixels.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use blake3::Hash;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::folders::{Folders, too_large};
use super::limits::{ALL_BYTES, FILE_BYTES, PIXELS, UPLOAD, WAITING};
use super::refusal::Refusal;
use crate::data::picture::fit::Region;
use crate::data::{Pipeline, picture};
use crate::weights::Header;

/// How pictures become squares for the network.
#[derive(Clone, Copy)]
pub struct Eye {
    pipeline: Pipeline,
    /// Sides in pixels: of the squares, and of their centres that the network sees.
    whole: u32,
    size: u32,
}

/// A picture as the network wants it.
pub struct Square {
    /// RGB bytes, the model's picture size squared x 3.
    pub pixels: Vec<u8>,
    /// BLAKE3 of those.
    pub hash: Hash,
    pub original: Original,
}

/// The picture as it was given, turned upright.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Original {
    width: u32,
    height: u32,
    /// What the network sees of it, in its pixels. Of a padded picture it goes beyond the edges.
    square: Region,
}

impl Eye {
    pub fn new(header: &Header, pipeline: Pipeline) -> Self {
        Self { pipeline, whole: header.picture_size() as u32, size: header.net.size as u32 }
    }

    fn square(self, bytes: &[u8]) -> Result<Square, String> {
        let Self { pipeline, whole, size } = self;
        // The memory is counted as long as the picture is there.
        let (full, _share) = picture::decode_within(bytes, PIXELS).map_err(|bad| bad.reason)?;
        let (width, height) = full.dimensions();
        let pixels = pipeline.square(&full, whole).map_err(|bad| bad.reason)?.into_raw();
        let square = pipeline.region(width, height, whole).inner(size, whole).rounded();
        Ok(Square { hash: blake3::hash(&pixels), pixels, original: Original { width, height, square } })
    }
}

/// Who gets in.
pub struct Door {
    questions: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

impl Default for Door {
    fn default() -> Self {
        let all = (ALL_BYTES >> 10) as usize;
        Self { questions: Arc::new(Semaphore::new(WAITING)), kibibytes: Arc::new(Semaphore::new(all)) }
    }
}

impl Door {
    /// The square of the picture at an allowed path, or in the request's body, and a place in the works for what is asked about it.
    ///
    /// # Errors
    /// A refusal: 503 if too many questions wait, 411 and 413 by the length that the request tells of itself, 408 if its body does not
    /// come, 403 for a path, 422 for what is no picture.
    pub async fn square(
        &self,
        eye: Eye,
        folders: &Arc<Folders>,
        path: Option<String>,
        request: Request,
    ) -> Result<(Square, OwnedSemaphorePermit), Refusal> {
        let place = Arc::clone(&self.questions).try_acquire_owned().map_err(|_| Refusal::busy())?;
        let square = if let Some(path) = path {
            let (folders, room) = (Arc::clone(folders), self.room(FILE_BYTES)?);
            on_a_core(move || {
                let bytes = folders.read(&path)?;
                let square = eye.square(&bytes).map_err(|reason| Refusal::no_picture(format!("{path}: {reason}")));
                drop(room);
                square
            })
            .await??
        } else {
            let length = length(request.headers())?;
            let room = self.room(length)?;
            let bytes = body(request.into_body(), length).await?;
            on_a_core(move || {
                let square = eye.square(&bytes).map_err(Refusal::no_picture);
                drop(room);
                square
            })
            .await??
        };
        Ok((square, place))
    }

    /// Room for a file of so many bytes.
    fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let kibibytes = bytes.div_ceil(1 << 10) as u32;
        Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes).map_err(|_| Refusal::busy())
    }
}

/// Has work done by the cores.
///
/// # Errors
/// A refusal if it panicked, which is a fault of ours and ends nothing else.
pub async fn on_a_core<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let (done, result) = oneshot::channel();
    rayon::spawn_fifo(move || {
        // Whoever asked may have gone. A panic that left here would end the program.
        if !done.is_closed()
            && let Ok(made) = catch_unwind(AssertUnwindSafe(work))
        {
            let _ = done.send(made);
        }
    });
    result.await.map_err(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "this question met a fault of gatefold; others do not")
    })
}

/// The length that a request tells of its body.
fn length(headers: &HeaderMap) -> Result<u64, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.to_ascii_lowercase().starts_with("multipart/") {
        let text =
            "the body must be the picture's file itself, one for each request: curl --data-binary @cover.jpg URL";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match length {
        None => Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "the request must tell its length (Content-Length)")),
        Some(0) => Err(Refusal::no_picture("empty file (0 bytes)")),
        Some(length) if length > FILE_BYTES => Err(too_large(length)),
        Some(length) => Ok(length),
    }
}

async fn body(body: Body, length: u64) -> Result<axum::body::Bytes, Refusal> {
    let bytes = tokio::time::timeout(UPLOAD, to_bytes(body, length as usize)).await;
    let bytes = bytes.map_err(|_| {
        let seconds = UPLOAD.as_secs();
        Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the picture did not come within {seconds} seconds; send it again"),
        )
    })?;
    bytes.map_err(|_| Refusal::bad("the request's body broke off; send it again"))
}
