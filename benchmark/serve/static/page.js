// The page: sends a file, draws maps, and follows threshold, opacity, divider and frame without asking the server again.
"use strict";
const $ = (id) => document.getElementById(id);
const state = { file: null, kind: "", answers: [], current: 0, drawn: null, asking: null };

const percent = (share) => share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;

function say(text) { $("status").textContent = text; }

function chosenModels() {
  return [...document.querySelectorAll("input[name=model]:checked")].map((box) => box.value);
}

function form(extra) {
  const data = new FormData();
  data.append("file", state.file, "upload");
  data.append("threshold", $("threshold").value);
  data.append("denoise", $("denoise").value);
  for (const [key, value] of Object.entries(extra)) data.append(key, value);
  return data;
}

async function reason(response) {
  try {
    const body = await response.json();
    if (body.error) return body.error;
    if (Array.isArray(body.detail)) return body.detail.map((one) => `${one.loc.at(-1)}: ${one.msg}`).join("; ");
  } catch { /* no JSON */ }
  return `the server answered ${response.status}`;
}

async function* lines(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += decoder.decode(value || new Uint8Array(), { stream: !done });
    const parts = rest.split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
    if (done) return;
  }
}

async function ask() {
  if (!state.file) return;
  if (!chosenModels().length) { say("Choose at least one network."); return; }
  if (state.asking) state.asking.abort();
  const asking = state.asking = new AbortController();
  state.answers = []; state.current = 0;
  say("Working…");
  try {
    const body = form({ models: chosenModels().join(","), flips: $("flips").checked });
    const response = await fetch("/api/frames", { method: "POST", body, signal: asking.signal });
    if (!response.ok) { say(await reason(response)); return; }
    let head = null;
    for await (const line of lines(response)) {
      if (line.error && line.number === undefined) { say(line.error); return; }
      if (!head) { head = line; state.kind = head.kind; continue; }
      state.answers.push(line);
      if (state.answers.length === 1) await show(0);
      framesChanged();
      if (head.count > 1) say(`${state.answers.length} of ${Math.ceil(head.count / (head.step || 1))} pictures`);
    }
    say([head && head.note, state.answers.length > 1 ? `${state.answers.length} pictures` : "Done."].filter(Boolean).join(" · "));
  } catch (error) {
    if (error.name !== "AbortError") say("The server cannot be reached; is bench serve still running?");
  }
}

async function pixels(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return { bitmap, data: context.getImageData(0, 0, bitmap.width, bitmap.height).data };
}

async function grey(base64) {
  const { data } = await pixels(base64);
  const map = new Uint8Array(data.length / 4);
  for (let i = 0; i < map.length; i++) map[i] = data[4 * i];
  return map;
}

async function show(number) {
  state.current = number;
  const answer = state.answers[number];
  $("result").hidden = false;
  $("keep").hidden = state.kind !== "dicom";
  const list = $("warnings");
  list.replaceChildren(...[...(answer.error ? [answer.error] : []), ...(answer.warnings || [])].map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  const picture = answer.picture ? (await pixels(answer.picture)).bitmap : null;
  const models = [];
  for (const one of answer.models) {
    models.push({ ...one, map: await grey(one.map), flips: one.flip_disagreement ? await grey(one.flip_disagreement) : null });
  }
  const disagreement = answer.disagreement ? await grey(answer.disagreement) : null;
  const field = answer.field ? await grey(answer.field) : null;
  if (state.answers[number] !== answer) return;
  state.drawn = { answer, picture, models, disagreement, field };
  build();
  redraw();
}

function build() {
  const { answer, models } = state.drawn;
  $("views").replaceChildren(...models.map((one) => {
    const view = document.createElement("div");
    view.className = "view";
    view.dataset.model = one.id;
    const title = document.createElement("h3");
    title.textContent = one.title;
    const canvas = document.createElement("canvas");
    canvas.width = answer.width_px; canvas.height = answer.height_px;
    canvas.setAttribute("role", "img");
    const summary = document.createElement("p");
    summary.className = "summary";
    summary.setAttribute("aria-live", "polite");
    const box = document.createElement("div");
    box.className = "scroll"; box.tabIndex = 0;
    box.setAttribute("role", "region"); box.setAttribute("aria-label", `Findings of ${one.title}`);
    view.append(title, canvas, summary, box);
    return view;
  }));
  const select = $("export-model"), before = select.value;
  select.replaceChildren(...models.map((one) => new Option(one.title, one.id)));
  if (models.some((one) => one.id === before)) select.value = before;
  for (const button of $("exports").querySelectorAll("button")) button.disabled = !models.length;
}

function colour(value) {
  const t = value / 255; // black-red-yellow-white
  return [Math.min(1, 3 * t) * 255, Math.min(1, Math.max(0, 3 * t - 1)) * 255, Math.min(1, Math.max(0, 3 * t - 2)) * 255];
}

function painted(one, width, height, threshold) {
  const kind = $("view").value, opacity = Number($("opacity").value);
  const image = new ImageData(width, height), data = image.data;
  const source = { heat: one.map, flips: one.flips, models: state.drawn.disagreement }[kind];
  if (source) {
    for (let i = 0; i < source.length; i++) {
      const [r, g, b] = colour(source[i]);
      data[4 * i] = r; data[4 * i + 1] = g; data[4 * i + 2] = b; data[4 * i + 3] = opacity * 255;
    }
  }
  const reach = Math.max(1, Math.round(Math.max(width, height) / 300));
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && one.map[y * width + x] / 255 > threshold;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    if (!inside(x, y)) continue;
    if (inside(x - reach, y) && inside(x + reach, y) && inside(x, y - reach) && inside(x, y + reach)) continue;
    const place = 4 * (y * width + x);
    data[place] = 240; data[place + 1] = 228; data[place + 2] = 66; data[place + 3] = 255;
  }
  return image;
}

function redraw() {
  if (!state.drawn) return;
  const { answer, picture, models } = state.drawn;
  const threshold = Number($("threshold").value), cut = Number($("divider").value) / 100 * answer.width_px;
  $("threshold-text").textContent = threshold.toFixed(2);
  const missing = { flips: "Tick “also mirror images” for this view.", models: "Choose two networks or more for this view." };
  const view = $("view").value;
  const lacks = (view === "flips" && models.some((one) => !one.flips)) || (view === "models" && !state.drawn.disagreement);
  for (const one of models) {
    const box = document.querySelector(`.view[data-model="${one.id}"]`);
    const canvas = box.querySelector("canvas"), context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (picture) context.drawImage(picture, 0, 0);
    const layer = new OffscreenCanvas(canvas.width, canvas.height);
    layer.getContext("2d").putImageData(painted(one, canvas.width, canvas.height, threshold), 0, 0);
    const kept = canvas.width - cut;
    if (kept > 0) context.drawImage(layer, cut, 0, kept, canvas.height, cut, 0, kept, canvas.height);
    if (cut > 0) { context.fillStyle = "#fff"; context.fillRect(cut - 1, 0, 2, canvas.height); }
    const parts = findParts(one.map, canvas.width, canvas.height, threshold, state.drawn.field, answer.field_px);
    const area = parts.reduce((sum, part) => sum + part.area_px, 0), share = parts.reduce((sum, part) => sum + part.area_share, 0);
    const words = parts.length === 0 ? "No finding above this threshold. That does not exclude a polyp."
      : `${parts.length} ${parts.length === 1 ? "finding" : "findings"}, ${area} px, ${percent(share)} of the field of view`;
    box.querySelector(".summary").textContent = lacks ? `${words} ${missing[view]}` : words;
    canvas.setAttribute("aria-label", `${one.title}: ${words}`);
    box.querySelector(".scroll").replaceChildren(...(parts.length ? [table(parts)] : []));
  }
}

function table(parts) {
  const made = document.createElement("table");
  const row = (cells, tag) => {
    const line = document.createElement("tr");
    line.append(...cells.map((text) => { const cell = document.createElement(tag); cell.textContent = text; return cell; }));
    return line;
  };
  made.append(row(["", "area (px)", "of the field", "position", "box (px)", "mean prob."], "th"));
  for (const one of parts.slice(0, 20)) {
    made.append(row([one.number, one.area_px, percent(one.area_share), one.position, one.box_px.join(", "), one.mean_prob.toFixed(2)], "td"));
  }
  if (parts.length > 20) made.append(row([`and ${parts.length - 20} smaller`], "td"));
  return made;
}

function framesChanged() {
  const many = state.answers.length > 1;
  $("frames").hidden = !many;
  if (!many) return;
  $("frame").max = state.answers.length - 1;
  const answer = state.answers[state.current];
  $("frame-text").textContent = `${answer.name || state.current + 1}${answer.time_s === null || answer.time_s === undefined ? "" : `, ${answer.time_s.toFixed(2)} s`}`;
  const canvas = $("timeline"), context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const areas = state.answers.map((one) => one.models.length ? one.models[0].area_px : 0), top = Math.max(1, ...areas);
  const step = canvas.width / areas.length;
  const style = getComputedStyle(document.documentElement);
  areas.forEach((area, i) => {
    context.fillStyle = style.getPropertyValue(i === state.current ? "--warn" : "--accent");
    const height = Math.max(i === state.current ? 3 : 1, (area / top) * (canvas.height - 4));
    context.fillRect(i * step, canvas.height - height, Math.max(1, step - 1), height);
  });
}

async function download(kind) {
  const fields = {};
  for (const input of document.querySelectorAll("[data-field]")) fields[input.dataset.field] = input.value;
  say("Exporting…");
  try {
    const extra = { kind, models: $("export-model").value, number: state.current, fields: JSON.stringify(fields),
      identifiers: $("identifiers").checked && state.kind === "dicom" };
    const response = await fetch("/api/export", { method: "POST", body: form(extra) });
    if (!response.ok) { say(await reason(response)); return; }
    const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") || "")[1];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name;
    document.body.append(link); link.click(); link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`Saved ${name}.`);
  } catch { say("The server cannot be reached; is bench serve still running?"); }
}

function take(file) { if (file) { state.file = file; ask(); } }

$("file").addEventListener("change", (event) => take(event.target.files[0]));
document.addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
}
for (const button of document.querySelectorAll(".sample")) {
  button.addEventListener("click", async () => {
    say("Drawing a synthetic picture…");
    const response = await fetch(`/api/sample/${button.dataset.sample}`);
    if (response.ok) take(await response.blob()); else say(await reason(response));
  });
}
for (const box of [...document.querySelectorAll("input[name=model]"), $("flips"), $("denoise")]) box.addEventListener("change", ask);
for (const id of ["threshold", "view", "opacity", "divider"]) $(id).addEventListener("input", redraw);
$("frame").addEventListener("input", async () => { await show(Number($("frame").value)); framesChanged(); });
for (const button of $("exports").querySelectorAll("button")) button.addEventListener("click", () => download(button.dataset.kind));

if (navigator.mediaDevices && navigator.mediaDevices.getUserMedia) {
  const stop = () => { for (const track of $("preview").srcObject?.getTracks() || []) track.stop(); $("preview").hidden = $("shoot").hidden = true; };
  $("camera").hidden = false;
  $("camera").addEventListener("click", async () => {
    try {
      $("preview").srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
      $("preview").hidden = $("shoot").hidden = false;
      await $("preview").play();
    } catch (error) { say(`No webcam: ${error.message}`); }
  });
  $("shoot").addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = $("preview").videoWidth; canvas.height = $("preview").videoHeight;
    canvas.getContext("2d").drawImage($("preview"), 0, 0);
    stop();
    canvas.toBlob(take, "image/png");
  });
}
