"use strict";
(() => {
  // Tables: a column's head sorts its rows; blanks stay last whichever way.
  const valueOf = (row, index) => {
    const cell = row.cells[index];
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const text = cell.textContent.trim();
    return text === "" ? null : text;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });

  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      head.querySelector("button").addEventListener("click", () => {
        const rows = [...table.tBodies[0].rows];
        const numeric = rows.some((row) => typeof valueOf(row, index) === "number");
        const before = head.getAttribute("aria-sort");
        const first = numeric ? "descending" : "ascending";
        const second = numeric ? "ascending" : "descending";
        const order = before === first ? second : first;
        heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
        rows.sort((one, two) => {
          const a = valueOf(one, index);
          const b = valueOf(two, index);
          if (a === null || b === null) return (a === null) - (b === null);
          return order === "ascending" ? compare(a, b) : compare(b, a);
        });
        table.tBodies[0].append(...rows);
      });
    });
  });

  // Gallery: the worst images of a model, its maps cut at the slider's threshold.
  const album = JSON.parse(document.getElementById("album").textContent);
  const form = document.getElementById("choose");
  if (!form) return;
  const [setBox, modelBox, measureBox, slider, stretchBox] =
    ["set", "model", "measure", "threshold", "stretch"].map((id) => document.getElementById(id));
  const cards = document.getElementById("cards");
  const told = document.getElementById("told");
  const COLOURS = [[0, 158, 115], [240, 228, 66], [86, 180, 233]]; // true positive, false positive, false negative
  let shown = [];
  let turn = 0;

  const make = (name, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  };
  const options = (box, pairs) => box.replaceChildren(...pairs.map(([value, text]) => make("option", { value, textContent: text })));
  const current = () => album.sets[setBox.value];
  const titleOf = (name) => current().models.find((model) => model.name === name).title;

  const fillModels = () => {
    const kept = modelBox.value;
    options(modelBox, current().models.map((model) => [model.name, model.title]));
    const names = current().models.map((model) => model.name);
    modelBox.value = names.includes(kept) ? kept : names[names.length - 1];
    stretchBox.checked = current().stretch;
  };

  const pixels = async (address, width, height) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = make("canvas", { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, width, height).data;
  };

  const draw = (panel) => {
    const { canvas, base, truth, map, range, label } = panel;
    const { width, height } = canvas;
    const [low, high] = stretchBox.checked && range[1] > range[0] ? range : [0, 255];
    const cut = low + (Number(slider.value) / 255) * (high - low);
    const kinds = new Uint8Array(width * height);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < kinds.length; i++) {
      const said = map[4 * i] > cut;
      const real = truth[4 * i] > 127;
      kinds[i] = said && real ? 1 : said ? 2 : real ? 3 : 0;
      counts[kinds[i]]++;
    }
    const picture = new ImageData(width, height);
    for (let i = 0; i < kinds.length; i++) {
      const kind = kinds[i];
      const x = i % width;
      const edge = kind && (x === 0 || x === width - 1 || i < width || i >= kinds.length - width ||
        kinds[i - 1] !== kind || kinds[i + 1] !== kind || kinds[i - width] !== kind || kinds[i + width] !== kind);
      const share = kind === 0 ? 0 : edge ? 1 : 0.25;
      for (let c = 0; c < 3; c++) {
        const under = base[4 * i + c];
        picture.data[4 * i + c] = kind ? under + share * (COLOURS[kind - 1][c] - under) : under;
      }
      picture.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
    const [, tp, fp, fn] = counts;
    const dice = 2 * tp + fp + fn ? (2 * tp) / (2 * tp + fp + fn) : 1;
    label.textContent = "Dice here " + dice.toFixed(2);
    canvas.setAttribute("aria-label", `${panel.title} on ${panel.id}: Dice ${dice.toFixed(2)} at this threshold`);
  };

  const redraw = () => {
    document.getElementById("level").textContent = (slider.value / 255).toFixed(2);
    shown.forEach(draw);
  };

  const scoreText = (image, name) => {
    const key = measureBox.value;
    return `${album.measures.find((measure) => measure.key === key).title} ${image.scores[name][key].toFixed(3)}`;
  };

  const card = async (id, place) => {
    const image = current().images[id];
    const chosen = modelBox.value;
    const heading = make("h3", { textContent: `${place}. ${id}: ${titleOf(chosen)}, ${scoreText(image, chosen)}` });
    const node = make("article", { className: "card" }, heading);
    node.dataset.id = id;
    if (!image.image) {
      const others = current().models.filter((model) => model.name !== chosen);
      const text = others.map((model) => `${model.title} ${scoreText(image, model.name)}`).join("; ");
      node.append(make("p", { className: "facts", textContent: text || "No picture is embedded." }));
      return [node, []];
    }
    const { width, height } = image;
    const [base, truth] = await Promise.all([pixels(image.image, width, height), pixels(image.truth, width, height)]);
    const row = make("div", { className: "panels" });
    const still = (address, text) => make("figure", { className: "panel" },
      make("img", { src: address, alt: `${text} of ${id}`, width, height }), make("figcaption", { textContent: text }));
    row.append(still(image.image, "Image"), still(image.truth, "Truth"));
    const names = Object.keys(image.maps).sort((a, b) => (b === chosen) - (a === chosen));
    const panels = await Promise.all(names.map(async (name) => {
      const canvas = make("canvas", { width, height });
      canvas.setAttribute("role", "img");
      const label = make("span");
      const caption = make("figcaption", {}, titleOf(name), make("span", { textContent: scoreText(image, name) }), label);
      row.append(make("figure", { className: name === chosen ? "panel chosen" : "panel" }, canvas, caption));
      const map = await pixels(image.maps[name], width, height);
      return { canvas, base, truth, map, range: image.ranges[name], label, title: titleOf(name), id };
    }));
    node.append(row);
    return [node, panels];
  };

  const show = async () => {
    const mine = ++turn;
    const ids = current().worst[modelBox.value][measureBox.value];
    const made = await Promise.all(ids.map((id, index) => card(id, index + 1)));
    if (mine !== turn) return; // another choice was made meanwhile
    cards.replaceChildren(...made.map(([node]) => node));
    shown = made.flatMap(([, panels]) => panels);
    redraw();
    const measure = album.measures.find((one) => one.key === measureBox.value);
    const pictured = made.some(([, panels]) => panels.length);
    const maps = pictured ? ` Maps of seed ${current().seed}; Dice here is that of the small copies.` : "";
    const why = current().why ? ` ${current().why[0].toUpperCase()}${current().why.slice(1)}.` : "";
    told.textContent = `${titleOf(modelBox.value)} on ${current().title}: ${ids.length} worst images by ${measure.title}.${maps}${why}`;
    cards.dataset.ready = `${setBox.value} ${modelBox.value} ${measureBox.value}`;
  };

  options(setBox, Object.entries(album.sets).map(([key, one]) => [key, one.title]));
  options(measureBox, album.measures.map((measure) => [measure.key, measure.title]));
  fillModels();
  setBox.addEventListener("change", () => { fillModels(); show(); });
  modelBox.addEventListener("change", show);
  measureBox.addEventListener("change", show);
  slider.addEventListener("input", redraw);
  stretchBox.addEventListener("change", redraw);

  document.querySelectorAll("button.open").forEach((button) => {
    if (!album.sets[button.dataset.set]) return;
    button.addEventListener("click", async () => {
      setBox.value = button.dataset.set;
      fillModels();
      modelBox.value = button.dataset.model;
      measureBox.value = button.dataset.measure;
      await show();
      const heading = document.getElementById("gallery-h");
      heading.focus({ preventScroll: true });
      heading.scrollIntoView();
    });
  });
  show();
})();
