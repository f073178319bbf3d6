// The page of a front: points chosen and looked at, on axes that can be changed. Nothing is loaded or sent.
const data = JSON.parse(document.getElementById("fronts").textContent);
const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const measures = data.measures;
const VOLUME = { words: "hypervolume, share of the box", unit: "" };
const DESIGNS = { words: "designs tried", unit: "" };
const points = data.fronts.flatMap((front, number) =>
  front.points.map((point, place) => ({ ...point, key: `${number}-${place}`, number, css: front.css, front: front.title })));
const state = { x: data.x, y: data.y, chosen: "", moved: null };

const shown = (number) => all("[data-front]")[number].checked;
const has = (figures, ...names) => names.every((name) => figures[name] !== undefined);
const place = (figures) => [figures[state.x], figures[state.y]];
const ordered = () => points.filter((p) => shown(p.number) && has(p.figures, state.x, state.y))
  .sort((a, b) => a.figures[state.x] - b.figures[state.x] || a.figures[state.y] - b.figures[state.y]);
// The best backbones without exits, and that of the point that is chosen.
const statics = (chosen) => {
  const known = data.fronts.flatMap((front, number) => (shown(number) ? front.designs : []))
    .flatMap((design) => design.statics.map((figures) => ({ figures, words: `backbone of trial ${design.trial} without exits` })))
    .filter(({ figures }) => has(figures, state.x, state.y));
  const own = chosen && has(chosen.static, state.x, state.y)
    ? [{ figures: chosen.static, words: `${chosen.name} ${chosen.against}` }] : [];
  return [...best(known), ...own];
};
const tried = () => data.fronts.flatMap((front, number) => (shown(number) ? front.designs : []))
  .flatMap((design) => design.points).filter((figures) => has(figures, state.x, state.y));

// Those of a front that no other is better than, on the axes shown.
function best(some) {
  const sign = (name) => (measures[name].rises ? -1 : 1);
  const [a, b] = [sign(state.x), sign(state.y)];
  const sorted = [...some].sort((p, q) =>
    a * (p.figures[state.x] - q.figures[state.x]) || b * (p.figures[state.y] - q.figures[state.y]));
  let least = Infinity;
  return sorted.filter((p) => {
    const value = b * p.figures[state.y];
    if (value >= least) return false;
    least = value;
    return true;
  });
}
const about = (figures) => [state.y, state.x].map((name) =>
  `${measures[name].words} ${told(measures[name], figures[name])}`).join(", ");
const named = (p) => `${p.name}: ${about(p.figures)}`;

function say(p) {
  const base = p.static[state.x], value = p.figures[state.x];
  const saved = !measures[state.x].rises && base ? 100 * (1 - value / base) : null;
  const against = saved === null ? "" : `, ${Math.abs(saved).toFixed(1)} % ${saved >= 0 ? "less" : "more"} than ${p.against}`;
  byId("pointed").textContent = `${named(p)}${against}${data.fronts.length > 1 ? ` (${p.front})` : ""}`;
}

function empty(svg, words) {
  svg.setAttribute("viewBox", "0 0 300 60");
  svg.style.height = "60px";
  svg.replaceChildren(drawn("text", { class: "soft", x: 0, y: 30 }, words));
}

function grounds(svg, places, log, height) {
  const width = Math.max(svg.clientWidth, 260);
  const box = { left: 52, right: width - 14, top: 26, bottom: height - 46 };
  const x = axisOf(measures[state.x], places.map((p) => p[0]), box.left, box.right, Math.max(3, width / 95), log);
  const y = axisOf(measures[state.y], places.map((p) => p[1]), box.bottom, box.top, 6);
  frame(svg, width, height, x, y, box);
  return [x, y];
}
function grey(svg, x, y, some) {
  const d = some.map((figures) => `M${x.at(figures[state.x])} ${y.at(figures[state.y])}h0`).join("");
  svg.append(drawn("path", { class: "tried", d }));
}
function joined(svg, x, y, some) {
  for (const [number, front] of data.fronts.entries()) {
    const line = best(some.filter((p) => p.number === number)).sort((p, q) => p.figures[state.x] - q.figures[state.x]);
    const at = line.map((p) => `${x.at(p.figures[state.x])},${y.at(p.figures[state.y])}`).join(" ");
    svg.append(drawn("polyline", { class: `joined ${front.css}`, points: at }));
  }
}

function drawFront() {
  const svg = byId("front-chart"), some = ordered();
  const held = svg.contains(document.activeElement);
  if (!some.length) return empty(svg, "No point has both figures.");
  const chosen = some.find((p) => p.key === state.chosen);
  const around = byId("statics").checked ? statics(chosen) : [], behind = byId("tried").checked ? tried() : [];
  const places = [...some.map((p) => place(p.figures)), ...around.map((d) => place(d.figures)), ...behind.map(place)];
  if (state.y === "test_accuracy") places.push(...some.flatMap((p) => p.ci95.map((v) => [p.figures[state.x], v])));
  const [x, y] = grounds(svg, places, byId("log").checked, svg.clientWidth < 520 ? 340 : 430);
  if (behind.length) grey(svg, x, y, behind);
  const group = drawn("g", { class: "statics" });
  for (const { figures, words } of around) {
    const path = drawn("path", { d: diamond(x.at(figures[state.x]), y.at(figures[state.y]), 5) });
    path.append(drawn("title", {}, `${words}: ${about(figures)}`));
    group.append(path);
  }
  svg.append(group);
  if (around.length && chosen && has(chosen.static, state.x, state.y)) {
    const [from, to] = [place(chosen.static), place(chosen.figures)];
    svg.append(drawn("line", { class: "to-static", x1: x.at(from[0]), y1: y.at(from[1]), x2: x.at(to[0]), y2: y.at(to[1]) }));
  }
  joined(svg, x, y, some);
  for (const p of some) {
    const [px, py] = [x.at(p.figures[state.x]), y.at(p.figures[state.y])];
    if (state.y === "test_accuracy" && p.ci95.length) {
      svg.append(drawn("line", { class: `ci ${p.css}`, x1: px, x2: px, y1: y.at(p.ci95[0]), y2: y.at(p.ci95[1]) }));
    }
    const here = p.key === state.chosen;
    const made = drawn("g", {
      class: "point", role: "button", tabindex: here ? 0 : -1, "aria-pressed": here, "aria-label": named(p), "data-key": p.key,
    });
    made.append(
      drawn("path", { class: "halo", d: mark(0, px, py, 10) }),
      drawn("path", { class: `dot ${p.css}`, d: mark(p.number, px, py, 6) }),
      drawn("path", { class: "reach", d: mark(0, px, py, 14) }),
    );
    made.append(drawn("title", {}, named(p)));
    made.addEventListener("click", () => choose(p.key, true));
    made.addEventListener("pointerenter", () => say(p));
    made.addEventListener("pointerleave", () => chosen && say(chosen));
    svg.append(made);
  }
  if (!some.some((p) => p.key === state.chosen)) svg.querySelector(".point").setAttribute("tabindex", 0);
  if (held) svg.querySelector('[tabindex="0"]').focus({ preventScroll: true });
}

function drawTried() {
  const svg = byId("tried-chart"), some = ordered(), behind = tried();
  if (!svg) return;
  if (!behind.length) empty(svg, "Nothing that was tried has both figures.");
  else {
    const [x, y] = grounds(svg, [...some.map((p) => place(p.figures)), ...behind.map(place)], byId("log").checked, 330);
    grey(svg, x, y, behind);
    joined(svg, x, y, some);
    for (const p of some) {
      svg.append(drawn("path", { class: `dot ${p.css}`, d: mark(p.number, x.at(p.figures[state.x]), y.at(p.figures[state.y]), 4.5) }));
    }
  }
  const growth = data.fronts.filter((front, number) => shown(number) && front.growth.length);
  const chart = byId("growth-chart");
  if (!growth.length) return empty(chart, "No volume is known.");
  const width = Math.max(chart.clientWidth, 260), height = 330;
  const box = { left: 58, right: width - 14, top: 26, bottom: height - 46 };
  const last = Math.max(...growth.map((front) => front.growth.length));
  const x = axisOf(DESIGNS, [0, last], box.left, box.right, Math.min(last, Math.max(3, width / 95)));
  const y = axisOf(VOLUME, growth.flatMap((front) => front.growth), box.bottom, box.top, 6);
  frame(chart, width, height, x, y, box);
  for (const front of growth) {
    const steps = front.growth.flatMap((value, k) => [[k + 1, front.growth[Math.max(k - 1, 0)]], [k + 1, value]]);
    const at = [...steps, [last, front.growth.at(-1)]].map(([a, b]) => `${x.at(a)},${y.at(b)}`).join(" ");
    chart.append(drawn("polyline", { class: `joined ${front.css}`, points: at }));
  }
}

// ---- the point that is chosen

function choose(key, scroll = false) {
  state.chosen = key;
  state.moved = null;
  for (const part of all("[data-point]")) part.hidden = part.dataset.point !== key;
  for (const row of all("[data-row]")) row.classList.toggle("chosen", row.dataset.row === key);
  for (const button of all("[data-choose]")) button.setAttribute("aria-pressed", button.dataset.choose === key);
  history.replaceState(null, "", `#${key}`);
  say(points.find((p) => p.key === key));
  drawFront();
  if (scroll) byId("front-chart").querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
  drawPoint();
}

function drawPoint() {
  const point = points.find((p) => p.key === state.chosen);
  const article = document.querySelector(`article[data-point="${state.chosen}"]`);
  if (!point || !article) return;
  const architecture = article.querySelector("[data-architecture]");
  if (architecture) drawArchitecture(architecture, point);
  const curve = article.querySelector("[data-curve]");
  if (curve) drawCurve(curve, article, point);
}

// The backbone as a line, as long as the latency of the last exit; exits branch off where their path ends.
function drawArchitecture(svg, point) {
  const width = Math.max(svg.clientWidth, 260), left = 8, right = width - 20, top = 10;
  const paths = point.paths, whole = paths.length ? paths.at(-1).latency : point.exits.length + 1;
  const reach = (k) => left + (right - left) * (paths.length ? paths[k].latency / whole : (k + 1) / whole);
  const row = 24, height = top + 34 + row * (point.exits.length + 1);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(
    drawn("line", { x1: left, x2: right, y1: top, y2: top, stroke: "var(--host)", "stroke-width": 6, "stroke-linecap": "round" }),
  );
  const radius = (share) => 3 + 10 * Math.sqrt(share);
  [...point.exits, { name: "final", ratio: point.final, head: "", mount: "" }].forEach((item, k, list) => {
    const x = reach(k), y = top + 28 + row * (list.length - 1 - k), share = `${(100 * item.ratio).toFixed(1)} %`;
    const words = item.head ? `${item.name}  ${share}  ${item.head}` : `${item.name}  ${share}`;
    const before = x > width * 0.55;
    svg.append(
      drawn("line", { class: "axis", x1: x, x2: x, y1: top, y2: y }),
      drawn("path", { class: `dot ${point.css}`, d: mark(0, x, y, radius(item.ratio)) }),
      drawn("text", { x: x + (before ? -1 : 1) * (radius(item.ratio) + 6), y: y + 4, "text-anchor": before ? "end" : "start" }, words),
    );
  });
}

function drawCurve(svg, article, point) {
  const curve = point.curve, chosen = (curve.length - 1) / 2;
  const name = data.costs.includes(state.x) ? state.x : data.costs.includes(data.x) ? data.x : "edp";
  const now = state.moved ?? chosen, slider = article.querySelector("[data-move]");
  const width = Math.max(svg.clientWidth, 260), height = 330;
  const box = { left: 52, right: width - 14, top: 26, bottom: height - 46 };
  const base = has(point.static, name, "accuracy") ? [point.static] : [];
  const seen = [...curve.map((at) => at.figures), ...base];
  const x = axisOf(measures[name], seen.map((f) => f[name]), box.left, box.right, Math.max(3, width / 95));
  const y = axisOf(measures.accuracy, seen.map((f) => f.accuracy), box.bottom, box.top, 6);
  frame(svg, width, height, x, y, box);
  const at = (f) => [x.at(f[name]), y.at(f.accuracy)];
  svg.append(drawn("polyline", { class: `joined ${point.css}`, points: curve.map((c) => at(c.figures).join(",")).join(" ") }));
  const group = drawn("g", { class: "statics" });
  for (const f of base) group.append(drawn("path", { d: diamond(...at(f), 5) }));
  svg.append(group, drawn("path", { class: "ring", d: mark(0, ...at(curve[chosen].figures), 9) }));
  svg.append(drawn("path", { class: `dot ${point.css}`, d: mark(0, ...at(curve[now].figures), 6) }));

  slider.max = curve.length - 1;
  slider.value = now;
  article.querySelector("[data-back]").disabled = now === chosen;
  const here = curve[now];
  slider.setAttribute("aria-valuetext", `${told(measures.accuracy, here.figures.accuracy)} on val, ${told(measures[name], here.figures[name])}`);
  const row = (...cells) => written("tr", {}, ...cells.map((cell) => written("td", {}, cell)));
  const table = written("table", { class: "moved" }, written("tbody", {},
    ...["accuracy", ...data.costs].map((key) => row(measures[key].words, told(measures[key], here.figures[key]))),
    ...point.exits.map((item, k) => row(`${item.name}: threshold ${here.thresholds[k].toFixed(4)}`, `${(100 * here.ratios[k]).toFixed(1)} % leave`)),
    row("final", `${(100 * here.ratios.at(-1)).toFixed(1)} % leave`)));
  article.querySelector("[data-moved]").replaceChildren(table);
}

// ---- what is done on the page

function draw() {
  drawFront();
  drawTried();
  drawPoint();
}
for (const svg of all("[data-marker]")) {
  const number = Number(svg.dataset.marker);
  svg.classList.add("plot");
  svg.append(drawn("path", { class: `dot ${data.fronts[number].css}`, d: mark(number, 8, 8, 6) }));
}
for (const name of ["x", "y"]) {
  byId(name).value = state[name];
  byId(name).addEventListener("change", () => {
    state[name] = byId(name).value;
    draw();
    const chosen = points.find((p) => p.key === state.chosen);
    if (chosen) say(chosen);
  });
}
for (const box of all("#log, #statics, #tried, [data-front]")) box.addEventListener("change", draw);
for (const button of all("[data-choose]")) button.addEventListener("click", () => choose(button.dataset.choose));
for (const article of all("article")) {
  article.querySelector("[data-move]")?.addEventListener("input", (event) => {
    state.moved = Number(event.target.value);
    drawPoint();
  });
  article.querySelector("[data-back]")?.addEventListener("click", () => {
    state.moved = null;
    drawPoint();
  });
}
byId("front-chart").addEventListener("keydown", (event) => {
  const some = ordered(), now = some.findIndex((p) => p.key === document.activeElement.dataset.key);
  const to = {
    ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1,
    Home: 0, End: some.length - 1, Enter: now, " ": now,
  }[event.key];
  if (to === undefined || now < 0) return;
  event.preventDefault();
  choose(some[Math.min(Math.max(to, 0), some.length - 1)].key, true);
});
const wide = points.flatMap((p) => [p.figures[state.x], p.static[state.x]]).filter((v) => v > 0);
byId("log").checked = wide.length > 0 && Math.max(...wide) / Math.min(...wide) > 10;
const asked = location.hash.slice(1);
if (points.length) choose(points.some((p) => p.key === asked) ? asked : points[Math.floor((points.length - 1) / 2)].key);
addEventListener("hashchange", () => {
  const key = location.hash.slice(1);
  if (points.some((p) => p.key === key) && key !== state.chosen) choose(key);
});
let width = 0;
new ResizeObserver(() => {
  if (document.body.clientWidth === width) return;
  width = document.body.clientWidth;
  draw();
}).observe(document.body);
draw();
