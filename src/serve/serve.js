// The page: what is known of the run, covers that are dropped, pasted, chosen or in a folder, and their questions.

import { Card, el, kept, named, percent } from "./cards.js";

const of = (id) => document.getElementById(id);

/** Covers that are shown at a time; the next ones wait until they are asked for. */
const AT_A_TIME = 24;
/** Questions under way at a time; a browser keeps about as many connections. */
const UNDER_WAY = 5;
/** How often a question is asked again when the server is busy. */
const TRIES = 20;

let run;
let cards = [];
let waiting = [];

/** Runs so many tasks at a time, in their order. */
const queue = {
  tasks: [],
  running: 0,
  add(task) {
    this.tasks.push(task);
    this.next();
  },
  next() {
    if (this.running >= UNDER_WAY || this.tasks.length === 0) return;
    this.running += 1;
    const done = () => {
      this.running -= 1;
      this.next();
    };
    this.tasks.shift()().then(done, done);
    this.next();
  },
};

const say = (text) => (of("status").textContent = text);

const pause = (seconds, signal) =>
  new Promise((resolve, reject) => {
    setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => reject(signal.reason));
  });

/** The server's answer, or an error with its reason. */
async function fetched(address, options) {
  let response;
  for (let tries = 0; ; tries += 1) {
    try {
      response = await fetch(address, options);
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      throw new Error("the server does not answer; is gatefold still running, and the file still there?");
    }
    if (response.status !== 503 || tries >= TRIES) break;
    await pause(Number(response.headers.get("Retry-After") ?? 1) * (0.5 + Math.random()), options?.signal);
  }
  const answer = await response.json().catch(() => ({ error: `the server said ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** Asks `predict` or `explain` about a cover. */
function ask(kind, { file, path }, query, signal) {
  if (file && file.size > run.limits.file_bytes) {
    const most = Math.floor(run.limits.file_bytes / 2 ** 20);
    return Promise.reject(new Error(`a file of ${Math.ceil(file.size / 2 ** 20)} MiB: at most ${most} MiB are taken; scale it down`));
  }
  const asked = new URLSearchParams(path ? { ...query, path } : query);
  const headers = { "Content-Type": "application/octet-stream" };
  return fetched(`api/${kind}?${asked}`, { method: "POST", body: file, headers, signal });
}

/** Adds covers: those at once that fit, the others when they are asked for. */
function add(sources) {
  waiting.push(...sources);
  showNext();
}

function showNext() {
  const next = waiting.splice(0, AT_A_TIME);
  for (const source of next) {
    const card = new Card(source, run, ask, say);
    cards.push(card);
    of("cards").append(card.element);
    queue.add(() => card.start());
  }
  of("none").hidden = cards.length > 0;
  of("clear").hidden = cards.length === 0;
  of("more").hidden = waiting.length === 0;
  of("more").textContent = `Show the next ${Math.min(AT_A_TIME, waiting.length)} of ${waiting.length} more`;
}

function clear() {
  queue.tasks.length = 0;
  cards.forEach((card) => card.remove());
  cards = [];
  waiting = [];
  say("");
  showNext();
  of("files").focus();
}

const addFiles = (files) => add(Array.from(files, (file) => ({ name: file.name || "pasted picture", file })));

/** The files in a folder that was dropped, and below it. */
async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const inner of entries) if (!inner.name.startsWith(".")) files.push(...(await filesIn(inner)));
  }
}

async function dropped(transfer) {
  // The entries are gone as soon as anything is waited for.
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return addFiles(transfer.files);
  const picture = (file) => file.type.startsWith("image/");
  for (const entry of entries.filter(Boolean)) {
    try {
      const files = await filesIn(entry);
      addFiles(entry.isDirectory ? files.filter(picture) : files);
    } catch (error) {
      say(`${entry.name}: cannot be read: ${error.message}`);
    }
  }
}

function listen() {
  const drop = of("drop");
  // Anywhere on the page: a browser would open a file that falls beside the box.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    dropped(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length > 0) addFiles(event.clipboardData.files);
  });
  of("files").addEventListener("change", (event) => {
    addFiles(event.target.files);
    // The same file can be chosen again.
    event.target.value = "";
  });
  of("more").addEventListener("click", showNext);
  of("clear").addEventListener("click", clear);
  of("folder").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const listed = await fetched(`api/folder?${new URLSearchParams({ path: of("folder-path").value })}`);
      const { pictures, left_off } = listed;
      say(`${pictures.length} covers${left_off > 0 ? `, and ${left_off} more that are left out; name a folder within it` : ""}`);
      add(pictures.map((path) => ({ path, name: path.slice(listed.folder.length).replace(/^[/\\]/, "") || path })));
    } catch (error) {
      say(error.message);
    }
  });
}

const interval = ([low, high]) => `${(100 * low).toFixed(1)} – ${percent(high)}`;

function table(caption, head, rows) {
  const cell = (text, column) => (column === 0 ? el("th", { scope: "row" }, text) : el("td", { class: "number" }, text));
  return el("div", { class: "scroll" },
    el("table", { class: "wide" }, el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...head.map((name, column) => el("th", { scope: "col", class: column === 0 ? "" : "number" }, name)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell))))));
}

/** What is known of the run. */
function showRun() {
  const { score, trust, audit, labels } = run;
  document.title = `${run.name} – Gatefold`;
  of("version").textContent = run.version;
  of("score").replaceChildren(`${run.network} of the run `, named(run.name), ` chooses among ${labels.length} classes. ${kept(run.score_text)} `,
    el("a", { href: "#trust" }, audit ? `Its audit: ${audit.verdict}.` : "It was not audited."));
  const parts = [];
  if (score) {
    parts.push(table(`The score on ${score.covers} test covers, beside what guessing reaches`, ["score", "value", "95 % interval"], [
      ["Accuracy", percent(score.accuracy), interval(score.accuracy_interval)],
      [named(`always “${score.majority_label}”`), percent(score.majority), ""],
      ["guessing classes as often as in training", percent(score.stratified), ""],
      ["guessing evenly", percent(score.chance), ""],
      ["Balanced accuracy", percent(score.balanced_accuracy), interval(score.balanced_accuracy_interval)],
      ["Macro-F1", score.macro_f1.toFixed(3), score.macro_f1_interval.map((end) => end.toFixed(3)).join(" – ")],
    ]));
    const rows = trust.filter((bin) => bin.covers > 0).map((bin) =>
      [`${(100 * bin.from).toFixed(0)} – ${(100 * bin.to).toFixed(0)} %`, bin.covers, percent(bin.share), interval(bin.interval)]);
    parts.push(table("How often answers of a probability were right", ["probability", "test covers", "right", "95 % interval"], rows));
  } else {
    parts.push(el("p", {}, kept(run.score_text)));
  }
  parts.push(el("h3", {}, "Shortcuts and leaks"));
  if (audit) {
    parts.push(el("div", { class: `verdict ${audit.tone}` }, el("b", {}, audit.verdict), el("p", {}, kept(audit.summary))));
  } else {
    parts.push(el("p", {}, "This run was not audited. A good score can come from a shortcut, such as one class having been saved at another size, or from copies of training covers in the test set. ",
      el("code", {}, "gatefold audit --run RUN"), " asks for both."));
  }
  parts.push(el("h3", {}, "What no map shows"), el("p", {}, run.cannot_show));
  of("about").replaceChildren(...parts);
  if (run.folders.length > 0) {
    of("folder").hidden = false;
    of("folder-path").value = run.folders[0];
    of("folder-names").replaceChildren(...run.folders.map((name) => el("option", { value: name })));
  }
}

/** Waits until the server has looked at the training covers, and completes the cards. */
async function follow() {
  while (run.nearest && !run.nearest.error && run.nearest.done < run.nearest.covers) {
    await pause(1);
    run.nearest = (await fetched("api/run")).nearest;
    cards.forEach((card) => card.showNear());
  }
  cards.forEach((card) => queue.add(() => card.refresh()));
}

try {
  run = await fetched("api/run");
  showRun();
  listen();
  document.documentElement.dataset.ready = "true";
  await follow();
} catch (error) {
  of("score").textContent = `No answer: ${error.message}`;
}
