// Thresholds moved by hand: what becomes of accuracy, exit ratios and cost, counted anew over the answers
// that the run stored for each image. Nothing is sent or loaded; without this script the page stays as it is.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("per-image").textContent);
  const early = data.exits.length - 1;

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const bits = (text) => {
    const packed = bytes(text);
    return (i) => (packed[i >> 3] >> (7 - (i & 7))) & 1;
  };
  const splitOf = (stored) => ({
    count: stored.count,
    confidence: stored.confidence.map((text) => new Float32Array(bytes(text).buffer)),
    correct: stored.correct.map(bits),
    fixed: bits(stored.static),
  });
  const val = splitOf(data.val), test = splitOf(data.test);

  // Steps of a slider: every way to divide the validation images, from "always" to "never".
  const orders = val.confidence.map((row) =>
    Array.from(row.keys()).filter((i) => !Number.isNaN(row[i])).sort((a, b) => row[a] - row[b]));
  const steps = val.confidence.map((row, k) => {
    const found = [-Infinity];
    for (let j = 1; j < orders[k].length; j++) {
      const low = row[orders[k][j - 1]], high = row[orders[k][j]];
      const middle = Math.fround((low + high) / 2);
      if (high > low) found.push(middle > low ? middle : high);
    }
    return [...found, Infinity];
  });
  // A threshold that no image reaches, or that all do, is told by that word, whatever number the run gave it.
  const named = (k, value) => {
    const all = [...val.confidence[k], ...test.confidence[k]].filter((c) => !Number.isNaN(c));
    if (all.every((c) => c < value)) return Infinity;
    return all.every((c) => c >= value) ? -Infinity : Math.fround(value);
  };
  const chosen = data.thresholds.map((value, k) => named(k, value));
  let now = [...chosen], cost = data.objective, touched = 0, tested = true, looks = 0;

  // ---- what thresholds give

  function outcome(split, thresholds) {
    const left = new Array(early + 1).fill(0);
    let right = 0, lost = 0, gained = 0;
    for (let i = 0; i < split.count; i++) {
      let k = 0;
      while (k < early && !(split.confidence[k][i] >= thresholds[k])) k++;
      left[k]++;
      const here = split.correct[k](i), fixed = split.fixed(i);
      right += here;
      lost += fixed && !here ? 1 : 0;
      gained += here && !fixed ? 1 : 0;
    }
    const ratios = left.map((images) => images / split.count);
    return { count: split.count, right, lost, gained, ratios, drop: 100 * (lost - gained) / split.count };
  }
  const both = (thresholds) => [outcome(val, thresholds), outcome(test, thresholds)];
  const along = data.curve.map(both), files = both(chosen);
  const expected = (ratios, name) =>
    ratios.reduce((sum, ratio, k) => sum + ratio * data.costs[name].exits[k], 0);
  const saving = (ratios, name) => 100 * (1 - expected(ratios, name) / data.costs[name].static);

  // 95 % bootstrap interval of the paired drop, in points, computed rather than drawn: a redraw of n images is a
  // sum of n steps, +1 (lost), -1 (gained) or 0; its probabilities are the inverse Fourier transform of the
  // n-th power of that of one step. The same formula as in eecompile/exits/statistics.py.
  function dropInterval({ count, lost, gained }) {
    const size = 2 ** Math.ceil(Math.log2(20 * Math.sqrt(lost + gained) + 24));
    const cosine = Float64Array.from({ length: size }, (_, m) => Math.cos(2 * Math.PI * m / size));
    const sine = Float64Array.from({ length: size }, (_, m) => Math.sin(2 * Math.PI * m / size));
    const up = lost / count, down = gained / count;
    const re = new Float64Array(size / 2 + 1), im = new Float64Array(size / 2 + 1);
    for (let k = 0; k <= size / 2; k++) {
      const x = 1 - up - down + (up + down) * cosine[k], y = -(up - down) * sine[k];
      const power = Math.hypot(x, y) ** count, angle = Math.atan2(y, x) * count;
      re[k] = power * Math.cos(angle);
      im[k] = power * Math.sin(angle);
    }
    const probability = (m) => {
      let sum = re[0] + (m % 2 ? -1 : 1) * re[size / 2];
      for (let k = 1; k < size / 2; k++) {
        const at = (k * m) % size;
        sum += 2 * (re[k] * cosine[at] - im[k] * sine[at]);
      }
      return sum / size;
    };
    const found = [], first = lost - gained - size / 2;
    let mass = 0;
    for (let m = 0; m < size && found.length < 2; m++) {
      mass += probability(((first + m) % size + size) % size);
      while (found.length < 2 && mass >= (found.length ? 0.975 : 0.025) - 1e-9) {
        found.push(100 * (first + m) / count);
      }
    }
    return found;
  }

  // 95 % Wilson score interval of an accuracy.
  function wilson({ right, count }) {
    const z2 = 1.959963984540054 ** 2, share = right / count;
    const centre = (share + z2 / (2 * count)) / (1 + z2 / count);
    const half = Math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count * count))) / (1 + z2 / count);
    return [Math.max(0, centre - half), Math.min(1, centre + half)];
  }

  // Drop and saving on val for all thresholds of one exit, those of the others held.
  function sweep(exit) {
    const others = now.map((t, k) => (k === exit ? Infinity : t));
    const costs = data.costs[cost], mine = [];
    let lost = 0, spent = 0;
    for (let i = 0; i < val.count; i++) {
      let k = 0;
      while (k < early && !(val.confidence[k][i] >= others[k])) k++;
      lost += val.fixed(i) - val.correct[k](i);
      spent += costs.exits[k];
      mine[i] = k;
    }
    const row = val.confidence[exit], order = orders[exit], points = [];
    const add = () => points.push([100 * lost / val.count, 100 * (1 - spent / val.count / costs.static)]);
    for (let j = order.length - 1; j >= 0; j--) {
      const i = order[j];
      if (j === order.length - 1 || row[i] < row[order[j + 1]]) add();
      if (mine[i] > exit) {
        lost += val.correct[mine[i]](i) - val.correct[exit](i);
        spent += costs.exits[exit] - costs.exits[mine[i]];
      }
    }
    add();
    return points;
  }

  // ---- words

  const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212"));
  const fixedTo = (value, places) => minus(value.toFixed(places));
  const percent = (share, places = 1) => `${fixedTo(100 * share, places)} %`;
  const interval = (pair, factor, places) => `[${pair.map((v) => fixedTo(v * factor, places)).join(", ")}]`;
  function quantity(value, unit) {
    const prefixes = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "\u00b5"], [1e-9, "n"]];
    const [factor, prefix] = prefixes.find(([f]) => Math.abs(value) >= f * 0.9995) || [1e-12, "p"];
    const scaled = value / factor, size = Math.abs(scaled);
    return `${scaled.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${prefix}${unit}`.trim();
  }
  const told = (value) => (value === Infinity ? "never" : value === -Infinity ? "always" : String(value));
  const shown = (value) => (Number.isFinite(value) ? value.toFixed(4) : told(value));

  // ---- the page

  const element = (name, attributes = {}, text = "") => {
    const svg = ["line", "text", "polyline", "circle", "path", "title"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const fill = (id, value, text, small = "") => {
    const exact = element("data", { value }, text);
    byId(id).replaceChildren(exact, ...(small ? [element("small", {}, small)] : []));
  };

  function tabulate(name, found) {
    fill(`${name}-accuracy`, found.right / found.count, percent(found.right / found.count), interval(wilson(found), 100, 1));
    const around = dropInterval(found);
    fill(`${name}-drop`, found.drop, `${fixedTo(found.drop, 2)} points`, interval(around, 1, 2));
    byId(`${name}-drop`).firstChild.dataset.ci95 = around.join(" ");
    found.ratios.forEach((ratio, k) => fill(`${name}-ratio-${k}`, ratio, percent(ratio)));
    for (const [key, { unit }] of Object.entries(data.costs)) {
      const saved = saving(found.ratios, key);
      const words = `${percent(Math.abs(saved) / 100)} ${saved >= 0 ? "less" : "more"}`;
      fill(`${name}-${key}`, expected(found.ratios, key), quantity(expected(found.ratios, key), unit), words);
    }
  }
  function blank(name) {
    for (const cell of document.querySelectorAll(`[id^="${name}-"]`)) cell.textContent = "\u2013";
  }

  function draw(here, there) {
    const { left, right, top, bottom } = data.chart;
    const point = (found) => [found.drop, saving(found.ratios, cost)];
    const rows = along.map((pair) => pair.map(point)), ring = files.map(point);
    const all = [...rows.flat(), ...ring];
    const xs = ticks(all.map((p) => p[0]), 6), ys = ticks([...all.map((p) => p[1]), 0], 5);
    const scale = (list, from, to) => (v) =>
      +(from + (v - list[0]) / (list[list.length - 1] - list[0]) * (to - from)).toFixed(1);
    const x = scale(xs, left, right), y = scale(ys, bottom, top);
    const parts = [];
    for (const v of ys) {
      parts.push(element("line", { class: "grid", x1: left, x2: right, y1: y(v), y2: y(v) }));
      parts.push(element("text", { class: "soft", x: left - 8, y: y(v) + 4, "text-anchor": "end" }, `${minus(String(v))} %`));
    }
    for (const v of xs) {
      parts.push(element("line", { class: "axis", x1: x(v), x2: x(v), y1: bottom, y2: bottom + 4 }));
      parts.push(element("text", { class: "soft", x: x(v), y: bottom + 18, "text-anchor": "middle" }, minus(String(v))));
    }
    if (xs[0] < 0 && xs[xs.length - 1] > 0) parts.push(element("line", { class: "exit-line", x1: x(0), x2: x(0), y1: top, y2: bottom }));
    parts.push(element("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
    const title = "accuracy drop against the static network, points";
    parts.push(element("text", { class: "soft", x: (left + right) / 2, y: bottom + 40, "text-anchor": "middle" }, title));
    const saved = `${data.costs[cost].words} saved, % of static`;
    parts.push(element("text", { class: "soft y-title", x: 0, y: 14 }, saved));
    const join = (points) => points.map((p) => `${x(p[0])},${y(p[1])}`).join(" ");
    parts.push(element("polyline", { class: "c2 faint", "clip-path": "url(#plot)", points: join(sweep(touched)) }));
    [["c2", "validation"], ["c0 dashed", "test"]].forEach(([css, name], set) => {
      const line = rows.map((row) => row[set]).sort((a, b) => a[1] - b[1]);
      parts.push(element("polyline", { class: css, points: join(line) }));
      for (const p of line) {
        const dot = element("circle", { class: css, cx: x(p[0]), cy: y(p[1]), r: 3 });
        const words = `${name} images: ${fixedTo(p[0], 2)} points drop, ${fixedTo(p[1], 1)} % saved`;
        dot.append(element("title", {}, words));
        parts.push(dot);
      }
      parts.push(element("circle", { class: "ring", cx: x(ring[set][0]), cy: y(ring[set][1]), r: 7 }));
    });
    // A point outside the picture stands at its edge, hollow.
    const mark = (id, found, css) => {
      const [px, py] = [x(point(found)[0]), y(point(found)[1])];
      const cx = Math.min(Math.max(px, left), right), cy = Math.min(Math.max(py, top), bottom);
      const outside = cx !== px || cy !== py;
      const dot = element("circle", { id, class: `${css} ${outside ? "hollow" : "now"}`, cx, cy, r: 6 });
      dot.append(element("title", {}, outside ? "now, outside the picture" : "now"));
      parts.push(dot);
    };
    if (there) mark("now-test", there, "c0");
    mark("now-val", here, "c2");
    byId("explore-chart").querySelector("g").replaceChildren(...parts);
  }
  function ticks(values, count) {
    const low = Math.min(...values), high = Math.max(...values), raw = ((high - low) || 1) / count;
    const magnitude = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * magnitude).find((s) => s >= raw * 0.999);
    const first = Math.floor(low / step + 1e-9), last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
    return Array.from({ length: last - first + 1 }, (_, i) => +((first + i) * step).toFixed(10));
  }

  const same = (a, b) => a.every((value, k) => value === b[k]);
  function show(keep = null) {
    const here = outcome(val, now), there = tested ? outcome(test, now) : null;
    now.forEach((value, k) => {
      const slider = byId(`slider-${k}`), field = byId(`threshold-${k}`);
      const nearest = steps[k].findIndex((step) => step >= value);
      if (keep !== slider) slider.value = nearest;
      if (keep !== field) field.value = shown(value);
      slider.setAttribute("aria-valuetext", `${shown(value)}, ${percent(here.ratios[k])} of validation images leave`);
    });
    tabulate("val", here);
    if (there) tabulate("test", there); else blank("test");
    byId("check").hidden = tested;
    byId("back").disabled = same(now, chosen);
    byId("state").textContent = same(now, chosen) ? "thresholds of the files" : "moved by hand";
    byId("explore-said").textContent =
      `Validation: ${fixedTo(here.drop, 2)} points lost, ${fixedTo(saving(here.ratios, cost), 1)} % of ${data.costs[cost].words} saved.`;
    draw(here, there);
  }
  function set(thresholds, keep = null) {
    if (!same(now, thresholds)) tested = same(thresholds, chosen);
    now = thresholds;
    byId("explore-problem").textContent = "";
    const address = same(now, chosen) ? "#" : `#thresholds=${now.map(told).join(",")}`;
    // Viewers that embed the page may forbid it: then the setting cannot be passed on, all else works.
    try { history.replaceState(null, "", address); } catch (error) { if (error.name !== "SecurityError") throw error; }
    show(keep);
  }
  const move = (k, value, keep) => {
    touched = k;
    set(now.map((old, other) => (other === k ? value : old)), keep);
  };

  // What a user typed: a number, "never" or "always"; else null.
  function parsed(text) {
    const word = text.trim().toLowerCase();
    if (word === "never" || word === "always") return word === "never" ? Infinity : -Infinity;
    return word !== "" && Number.isFinite(Number(word)) ? Math.fround(Number(word)) : null;
  }
  const problem = (text) => { byId("explore-problem").textContent = text; };
  function followAddress() {
    const asked = new URLSearchParams(location.hash.slice(1)).get("thresholds");
    if (asked === null) return;
    const found = asked.split(",").map(parsed);
    if (found.length === early && !found.includes(null)) set(found);
    else problem(`The address asks for thresholds \u201c${asked}\u201d; ${early} numbers (or never, always) are needed.`);
  }

  now.forEach((_, k) => {
    const slider = byId(`slider-${k}`), field = byId(`threshold-${k}`);
    slider.max = steps[k].length - 1;
    slider.addEventListener("input", () => move(k, steps[k][slider.valueAsNumber], slider));
    field.addEventListener("change", () => {
      const value = parsed(field.value);
      if (value === null) problem(`\u201c${field.value}\u201d is no threshold: give a number, never or always.`);
      else move(k, value);
    });
  });
  byId("cost").addEventListener("change", (event) => { cost = event.target.value; show(); });
  byId("back").addEventListener("click", () => set([...chosen]));
  byId("check").addEventListener("click", () => {
    tested = true;
    looks += 1;
    byId("looks").textContent = `${looks} choice${looks > 1 ? "s" : ""} of yours looked at on test.`;
    show();
  });
  addEventListener("hashchange", followAddress);
  byId("explore").hidden = false;
  byId("curve-still").hidden = true;
  show();
  followAddress();
})();
