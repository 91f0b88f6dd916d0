// All of the page can be read without this: it sorts tables, enlarges pictures, chooses covers and reads values off curves.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    head.classList.add("sorts");
    head.tabIndex = 0;
    const sort = () => {
      const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && column === 0);
      const body = table.tBodies[0];
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        const number = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
        return (number ? x - y : x.localeCompare(y)) * (up ? 1 : -1);
      };
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      [...body.rows].sort(order).forEach((row) => body.append(row));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}

const pictures = document.querySelectorAll(".gallery img, .decide img");
if (pictures.length && window.HTMLDialogElement) {
  const dialog = document.createElement("dialog");
  dialog.className = "zoomed";
  const [images, words] = [document.createElement("div"), document.createElement("p")];
  dialog.append(images, words);
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  // A cover and its map are enlarged together.
  const zoom = (picture) => {
    const both = [...(picture.closest(".over")?.querySelectorAll("img") ?? [picture])];
    images.replaceChildren(...both.map(({ src, alt }) => Object.assign(new Image(), { src, alt })));
    words.textContent = both[0].alt;
    dialog.showModal();
  };
  for (const picture of pictures) {
    picture.classList.add("zooms");
    picture.addEventListener("click", () => zoom(picture));
  }
  for (const over of document.querySelectorAll(".gallery .over")) {
    over.addEventListener("keydown", (event) => { if (event.key === "Enter") zoom(over.querySelector("img")); });
  }
}

// Covers of the gallery by true class, answer, right or wrong, and how sure; a cell of the confusion matrix sets the first two.
const filters = document.querySelector("form.filters");
const covers = [...document.querySelectorAll("li[data-truth]")];
if (filters && covers.length) {
  const chosen = [...filters.querySelectorAll("select")];
  const show = (note) => {
    const fits = (cover) => chosen.every((select) => select.value === "" || cover.dataset[select.name] === select.value);
    covers.forEach((cover) => { cover.hidden = !fits(cover); });
    document.querySelectorAll(".list").forEach((list) => {
      const own = [...list.querySelectorAll("li[data-truth]")];
      list.hidden = own.length > 0 && own.every((cover) => cover.hidden);
    });
    const left = covers.filter((cover) => !cover.hidden).length;
    filters.querySelector(".told").textContent = note?.(left) ?? `${left} of the ${covers.length} covers on this page`;
  };
  filters.hidden = false;
  filters.addEventListener("change", () => show());
  filters.addEventListener("reset", () => setTimeout(show));
  for (const link of document.querySelectorAll("a[data-truth]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const { truth, answer, count } = link.dataset;
      chosen.forEach((select) => { select.value = { truth, answer }[select.name] ?? ""; });
      show((left) => (left < count ? `${left} of the ${count} covers of this cell; report --gallery N puts more on the page, test-predictions.csv has all` : `All ${count} covers of this cell`));
      filters.scrollIntoView({ block: "start" });
    });
  }
  show();
}

// A chart tells its plotting area in drawing units (data-area: left right top bottom), the range of values that it shows
// (data-range: x0 x1 y0 y1), what runs along it (data-x), and its curves: [[name, [[x, y], ...]], ...].
for (const chart of document.querySelectorAll("figure.chart[data-area]")) {
  const svg = chart.querySelector("svg");
  const [left, right, top, bottom] = chart.dataset.area.split(" ").map(Number);
  const [x0, x1, y0, y1] = chart.dataset.range.split(" ").map(Number);
  const curves = JSON.parse(chart.dataset.curves).map(([name, points]) => ({ name, points }));
  const readout = document.createElement("div");
  readout.className = "readout";
  readout.hidden = true;
  chart.append(readout);
  const percent = "percent" in chart.dataset;
  const short = (value) => String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
  const move = (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const x = x0 + ((at - left) / (right - left)) * (x1 - x0);
    if (at < left - 4 || at > right + 4) { readout.hidden = true; return; }
    const lines = curves.filter((curve) => curve.points.length).map(({ name, points }) => {
      const nearest = points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
      return { x: nearest[0], text: `${name} ${percent ? (100 * nearest[1]).toFixed(1) + " %" : short(nearest[1])}` };
    });
    if (!lines.length) return;
    readout.replaceChildren();
    for (const text of [`${chart.dataset.x} ${short(lines[0].x)}`, ...lines.map((line) => line.text)]) {
      const row = document.createElement("div");
      row.textContent = text;
      readout.append(row);
    }
    readout.hidden = false;
    const outer = chart.getBoundingClientRect();
    const beside = event.clientX - outer.left + 14;
    readout.style.left = `${Math.max(4, Math.min(beside, outer.width - readout.offsetWidth - 6))}px`;
    readout.style.top = `${Math.max(4, event.clientY - outer.top - readout.offsetHeight - 10)}px`;
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerleave", () => { readout.hidden = true; });
}
