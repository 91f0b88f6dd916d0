//! The addresses of the server: the page, and what it and other programs ask. `openapi.json` describes the same for programs; the tests hold
//! it against what is answered.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, oneshot};

use super::about::{About, Trust};
use super::device::{Ask, Job, Map};
use super::folders::Folders;
use super::guard::{Guard, guard};
use super::limits::{ANSWER, TOP};
use super::map::{Drawn, draw};
use super::refusal::Refusal;
use super::training::{Near, Training};
use super::upload::{Door, Eye, Original, on_a_core};
use crate::explain::gallery::seen;
use crate::explain::{CANNOT_SHOW, Method};
use crate::hint::did_you_mean;
use crate::report::page::STYLE;
use crate::score::metrics::predicted;

/// What all requests share.
pub struct Shared {
    pub about: About,
    pub eye: Eye,
    pub folders: Arc<Folders>,
    pub training: Option<Arc<Training>>,
    pub jobs: SyncSender<Job>,
    pub door: Door,
    /// One walk through folders at a time: one through a large collection takes seconds. Who waits for it takes no core.
    pub walking: Arc<Mutex<()>>,
}

type Answered<T> = Result<T, Refusal>;
type Asked<T> = Result<Query<T>, QueryRejection>;

/// All addresses.
pub fn router(shared: Shared, address: SocketAddr) -> Router {
    const HTML: &str = "text/html; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    const JSON: &str = "application/json";
    Router::new()
        .route("/", asset(HTML, include_str!("page.html")))
        .route("/page.css", asset(CSS, STYLE))
        .route("/serve.css", asset(CSS, include_str!("serve.css")))
        .route("/serve.js", asset(JS, include_str!("serve.js")))
        .route("/cards.js", asset(JS, include_str!("cards.js")))
        .route("/api/openapi.json", asset(JSON, include_str!("openapi.json")))
        .route("/api/run", get(run))
        .route("/api/predict", post(predict))
        .route("/api/explain", post(explain))
        .route("/api/cover/{number}", get(cover))
        .route("/api/folder", get(folder))
        .fallback(async || {
            Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this address; see /api/openapi.json")
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method; see /api/openapi.json")
        })
        .layer(from_fn_with_state(Guard(address), guard))
        .with_state(Arc::new(shared))
}

fn asset(kind: &'static str, text: &'static str) -> axum::routing::MethodRouter<Arc<Shared>> {
    const TYPE: HeaderName = header::CONTENT_TYPE;
    get(async move || ([(TYPE, kind)], text))
}

/// What the query says, or why it says nothing.
fn query<T>(query: Asked<T>) -> Answered<T> {
    query.map(|Query(query)| query).map_err(|e| Refusal::bad(format!("{}; see /api/openapi.json", e.body_text())))
}

async fn run(State(shared): State<Arc<Shared>>) -> Response {
    let nearest = shared.training.as_ref().map(|training| training.progress());
    Json(shared.about.told(nearest, shared.folders.names())).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictQuery {
    path: Option<String>,
    top: Option<usize>,
}

/// What `POST /api/predict` says.
#[derive(Serialize)]
struct Prediction {
    label: String,
    probability: f32,
    /// How often answers as sure as this one were right; null without a test set.
    trust: Option<Trust>,
    /// The same in words.
    trust_text: String,
    /// The most probable classes first.
    classes: Vec<Share>,
    /// How many classes more there are.
    classes_left_off: usize,
    original: Original,
    /// Whether the network was trained on this very picture, which makes its answer worth nothing; null where that is not known.
    in_training: Option<bool>,
    /// Training covers that the network sees most alike, the nearest first; null as long as not all were looked at.
    nearest: Option<Vec<Near>>,
}

#[derive(Serialize)]
struct Share {
    label: String,
    probability: f32,
}

async fn predict(
    State(shared): State<Arc<Shared>>,
    asked: Asked<PredictQuery>,
    request: Request,
) -> Answered<Json<Prediction>> {
    let PredictQuery { path, top } = query(asked)?;
    let (square, place) = shared.door.square(shared.eye, &shared.folders, path, request).await?;
    let (reply, answer) = oneshot::channel();
    let original = square.original;
    hand(&shared, Job::Predict(Ask { square: square.pixels, picture: square.hash }, reply))?;
    let answer = in_time(answer).await??;
    // What follows takes no place of others who wait for the device.
    drop(place);
    let done = on_a_core(move || {
        let (about, labels) = (&shared.about, &shared.about.header.labels);
        let (nearest, in_training) = shared.training.as_ref().and_then(|training| training.nearest(&answer)).unzip();
        let best = predicted(&answer.probabilities);
        let probability = answer.probabilities[best];
        let mut order: Vec<usize> = (0..labels.len()).collect();
        // Stable, so that of equals the predicted one, which is the first, comes first.
        order.sort_by(|&a, &b| answer.probabilities[b].total_cmp(&answer.probabilities[a]));
        order.truncate(top.unwrap_or(TOP).max(1));
        let share = |&i: &usize| Share { label: labels[i].clone(), probability: answer.probabilities[i] };
        let trust = about.trust(probability);
        Prediction {
            label: labels[best].clone(),
            probability,
            trust_text: About::trust_text(trust.as_ref()),
            trust,
            classes: order.iter().map(share).collect(),
            classes_left_off: labels.len() - order.len(),
            original,
            in_training,
            nearest,
        }
    });
    done.await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    path: Option<String>,
    class: Option<String>,
    method: Option<String>,
    layer: Option<String>,
}

/// What `POST /api/explain` says.
#[derive(Serialize)]
struct Explained {
    method: Method,
    layer: String,
    class: String,
    predicted: String,
    /// Of `class`.
    probability: f32,
    /// Of `class`, before softmax or sigmoid.
    score: f32,
    original: Original,
    #[serde(flatten)]
    drawn: Drawn,
    cannot_show: &'static str,
}

async fn explain(
    State(shared): State<Arc<Shared>>,
    asked: Asked<ExplainQuery>,
    request: Request,
) -> Answered<Json<Explained>> {
    let ExplainQuery { path, class, method, layer } = query(asked)?;
    let about = &shared.about;
    let labels = &about.header.labels;
    let unknown = |what: &str, name: &str, hint: String| {
        Refusal::bad(format!("{what} {name}: there is no such {what}{hint}; see /api/run"))
    };
    let class = class.map(|name| {
        let found = labels.iter().position(|label| *label == name);
        found.ok_or_else(|| unknown("class", &name, did_you_mean(&name, labels)))
    });
    let class = class.transpose()?;
    let method: Method = method.as_deref().unwrap_or(Method::GradCam.name()).parse().map_err(Refusal::bad)?;
    let layer = layer.unwrap_or_else(|| about.layer.clone());
    if !about.layers.iter().any(|known| known.name == layer) {
        let known: Vec<&str> = about.layers.iter().map(|known| known.name.as_str()).collect();
        return Err(unknown("layer", &layer, did_you_mean(&layer, &known)));
    }
    let (square, place) = shared.door.square(shared.eye, &shared.folders, path, request).await?;
    let (original, pixels, of) = (square.original, square.pixels.clone(), Arc::clone(&shared));
    let (reply, answer) = oneshot::channel();
    hand(&shared, Job::Explain(Box::new(Map { square: square.pixels, method, layer, class }), reply))?;
    let explained = in_time(answer).await??;
    let drawn = on_a_core(move || {
        let drawn = draw(&seen(&of.about.header, &pixels)?, &explained.heat)?;
        Ok::<_, crate::Error>((explained, drawn))
    });
    let (explained, drawn) = drawn.await??;
    drop(place);
    Ok(Json(Explained {
        method: explained.method,
        class: labels[explained.class].clone(),
        predicted: labels[explained.predicted].clone(),
        probability: explained.probabilities[explained.class],
        score: explained.score,
        layer: explained.layer,
        original,
        drawn,
        cannot_show: CANNOT_SHOW,
    }))
}

/// Puts a question into the queue.
fn hand(shared: &Shared, job: Job) -> Answered<()> {
    shared.jobs.try_send(job).map_err(|e| match e {
        TrySendError::Full(_) => Refusal::busy(),
        TrySendError::Disconnected(_) => Refusal::gone(),
    })
}

/// What the device answers; whoever gives up takes the question back with it.
async fn in_time<T>(answer: impl Future<Output = Result<T, oneshot::error::RecvError>>) -> Answered<T> {
    let answer = tokio::time::timeout(ANSWER, answer).await.map_err(|_| {
        let seconds = ANSWER.as_secs();
        Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("no answer within {seconds} seconds: the device is busy or too slow for this"),
        )
    })?;
    answer.map_err(|_| Refusal::gone())
}

async fn cover(State(shared): State<Arc<Shared>>, Path(number): Path<String>) -> Answered<Response> {
    let none = || Refusal::new(StatusCode::NOT_FOUND, "there is no training cover of this number");
    let number: usize = number.parse().map_err(|_| none())?;
    let training = shared.training.clone().ok_or_else(none)?;
    let made = on_a_core(move || training.thumbnail(number))
        .await?
        .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], made.ok_or_else(none)?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderQuery {
    path: Option<String>,
}

async fn folder(State(shared): State<Arc<Shared>>, asked: Asked<FolderQuery>) -> Answered<Response> {
    let FolderQuery { path } = query(asked)?;
    let (folders, turn) = (Arc::clone(&shared.folders), Arc::clone(&shared.walking).lock_owned().await);
    let listed = on_a_core(move || {
        let listed = folders.list(path.as_deref());
        drop(turn);
        listed
    });
    Ok(Json(listed.await??).into_response())
}
