// A card: a cover, what the network takes it for, and where it looked.

/** An element with properties and children. Text is text: nothing that a file is called becomes markup. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A name that somebody else chose: it does not turn the text around it. */
export const named = (name) => el("bdi", {}, name);

/** A text of the server's, in which numbers stay with their per cent signs. */
export const kept = (text) => text.replaceAll(" %", "\u00a0%");

export const percent = (share) => kept(`${(100 * share).toFixed(1)} %`);

/** Names in a list to choose from; browsers are slow with more. */
const NAMES = 2000;

/** How strong the map is at first. */
const STRENGTH = "75";

export class Card {
  /** `source` is {name, file} or {name, path}; `ask(kind, source, query, signal)` gives the server's answer. */
  constructor(source, run, ask, say) {
    Object.assign(this, { source, run, ask, say, method: run.methods[0].name, layer: run.layer, class: undefined });
    this.seen = el("img", { class: "seen", alt: "" });
    this.heat = el("img", { class: "heat", alt: "", hidden: true });
    this.stack = el("div", { class: "stack" }, this.seen, this.heat);
    const strength = el("input", { type: "range", min: "0", max: "100", value: STRENGTH, oninput: () => this.shine() });
    this.strength = strength;
    this.mapText = el("p", { class: "map-text", "aria-live": "polite" });
    this.says = el("div", { class: "says" }, el("h3", {}, named(source.name)), el("p", { class: "waiting" }, "Asking the network …"));
    const look = el("figure", { class: "look" }, this.stack, el("label", {}, "Map", strength), this.mapText);
    this.card = el("article", { class: "card", "aria-label": source.name, "aria-busy": "true" }, look, this.says);
    this.element = el("li", {}, this.card);
    this.gone = new AbortController();
    if (source.file) {
      this.preview = URL.createObjectURL(source.file);
      // A kind of picture that the browser does not know is shown when the server has drawn it.
      this.seen.addEventListener("error", () => (this.seen.hidden = true));
      this.seen.src = this.preview;
    } else {
      this.seen.hidden = true;
    }
  }

  /** Asks for the answer, then for the map. */
  async start() {
    try {
      this.answer = await this.ask("predict", this.source, {}, this.gone.signal);
      this.show();
      this.say(`${this.source.name}: ${this.answer.label}, ${percent(this.answer.probability)}`);
      await this.look();
      const { nearest } = this.run;
      if (this.answer.nearest === null && nearest && nearest.done === nearest.covers) await this.refresh();
    } catch (error) {
      if (this.gone.signal.aborted) return;
      this.fail(error);
    }
    this.card.setAttribute("aria-busy", "false");
  }

  fail(error) {
    this.says.replaceChildren(el("h3", {}, named(this.source.name)), el("p", { class: "fault" }, `No answer: ${error.message}`));
    this.stack.parentElement.hidden = true;
    this.release();
    this.say(`${this.source.name}: no answer: ${error.message}`);
  }

  /** What the answer says. */
  show() {
    const { answer, run } = this;
    this.class = answer.label;
    this.bars = answer.classes.map(({ label, probability }) => {
      const fill = el("i");
      fill.style.width = `${100 * probability}%`;
      return el("button", { type: "button", class: "bar", onclick: () => this.look({ class: label }) },
        el("span", { class: "name" }, named(label)), el("span", { class: "fill", "aria-hidden": "true" }, fill),
        el("span", { class: "number" }, percent(probability)));
    });
    this.methods = run.methods.map(({ name, about }) =>
      el("button", { type: "button", title: about, onclick: () => this.look({ method: name }) }, name));
    const layers = run.layers.map(({ name, width, height }) =>
      el("option", { value: name, selected: name === this.layer }, `${name} (${width} × ${height})`));
    const layer = el("select", { onchange: (event) => this.look({ layer: event.target.value }) }, ...layers);
    this.says.replaceChildren(
      el("h3", {}, named(this.source.name)),
      el("p", { class: "answer" }, named(answer.label), " ", el("span", {}, percent(answer.probability))),
      el("p", { class: "trust" }, kept(answer.trust_text)),
      answer.in_training ? el("p", { class: "seen-before" }, "This very cover is in the training set: the network has learned its class, so this answer proves nothing.") : "",
      el("fieldset", {}, el("legend", {}, "Where does it see … (choose a class)"), el("div", { class: "bars" }, ...this.bars)),
      el("div", { class: "choices" }, this.otherClass(), el("label", {}, "Layer", layer)),
      el("fieldset", {}, el("legend", {}, "How the map is made"), el("div", { class: "methods" }, ...this.methods)),
    );
    this.near = el("div", { class: "near" });
    this.card.append(this.near);
    this.showNear();
  }

  /** A field for the classes that have no bar. */
  otherClass() {
    const { answer, run } = this;
    if (answer.classes_left_off === 0) return null;
    const id = `classes-${(Card.count = (Card.count ?? 0) + 1)}`;
    const change = (event) => {
      const name = event.target.value;
      const known = run.labels.includes(name);
      event.target.setAttribute("aria-invalid", String(!known));
      if (known) this.look({ class: name });
    };
    return el("label", {}, `Another of ${run.labels.length} classes`,
      el("input", { list: id, autocomplete: "off", onchange: change }),
      el("datalist", { id }, ...run.labels.slice(0, NAMES).map((label) => el("option", { value: label }))));
  }

  /** Training covers that are like it. */
  showNear() {
    const { answer, run, near } = this;
    if (!near || run.nearest === null) return;
    if (answer.nearest === null) {
      const { done, covers, error } = run.nearest;
      near.replaceChildren(el("p", { class: "note" },
        error ? `Training covers cannot be compared: ${error}` : `The training covers are still being looked at: ${done} of ${covers}.`));
      return;
    }
    const item = ({ picture, similarity, label, artist, album }) => {
      const whose = [artist, album].filter(Boolean).join(": ");
      return el("li", {}, el("img", { src: picture, alt: `Training cover, ${label}${whose ? `, ${whose}` : ""}`, loading: "lazy" }),
        el("b", {}, named(label)), ` ${similarity.toFixed(2)} `, whose ? named(whose) : "");
    };
    near.replaceChildren(
      el("h4", {}, "Training covers that it sees as most alike"),
      el("ul", {}, ...answer.nearest.map(item)));
  }

  /** Asks again for what was not known yet. */
  async refresh() {
    if (!this.answer || this.answer.nearest !== null) return;
    try {
      const { nearest, in_training } = await this.ask("predict", this.source, {}, this.gone.signal);
      Object.assign(this.answer, { nearest, in_training });
      this.showNear();
    } catch {
      // The answer itself stands.
    }
  }

  /** Asks for the map of another class, by another method, or of another layer. */
  async look(change = {}) {
    Object.assign(this, change);
    this.under?.abort();
    const under = (this.under = new AbortController());
    this.bars.forEach((bar, i) => bar.setAttribute("aria-pressed", String(this.answer.classes[i].label === this.class)));
    this.methods.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === this.method)));
    this.mapText.textContent = this.method === "score-cam" ? "Drawing the map; this method takes its time …" : "Drawing the map …";
    try {
      const query = { class: this.class, method: this.method, layer: this.layer };
      this.showMap(await this.ask("explain", this.source, query, under.signal));
    } catch (error) {
      if (!under.signal.aborted) this.mapText.textContent = `No map: ${error.message}`;
    }
  }

  showMap(map) {
    this.seen.hidden = false;
    this.seen.src = map.seen;
    this.seen.alt = `What the network sees of ${this.source.name}`;
    this.release();
    this.heat.hidden = map.heat === null;
    if (map.heat !== null) {
      this.heat.src = map.heat;
      this.heat.alt = `Heat map for ${map.class}, hottest ${whereabouts(map.peak)}`;
    }
    this.shine();
    const [width, height] = map.resolution;
    const what = `${map.class}: ${percent(map.probability)}, raw score ${map.score.toFixed(2)}. ${map.method} of ${map.layer}, ${width} × ${height} cells.`;
    this.mapText.replaceChildren(named(what), map.heat === null ? " Nothing on this cover speaks for this class, so there is no map." : "");
  }

  /** Shows the map as strongly as the slider says. */
  shine() {
    const strength = this.heat.hidden ? 0 : Number(this.strength.value) / 100;
    this.heat.style.opacity = strength;
    this.stack.classList.toggle("hot", strength > 0);
  }

  release() {
    if (this.preview) URL.revokeObjectURL(this.preview);
    this.preview = undefined;
  }

  /** Takes it away, and what is being asked for it. */
  remove() {
    this.gone.abort();
    this.under?.abort();
    this.release();
    this.element.remove();
  }
}

/** A place in words, for those who do not see the map. */
function whereabouts([x, y]) {
  const part = (share, low, high) => (share < 1 / 3 ? low : share > 2 / 3 ? high : "");
  return [part(y, "at the top", "at the bottom"), part(x, "on the left", "on the right")].filter(Boolean).join(" ") || "in the middle";
}
