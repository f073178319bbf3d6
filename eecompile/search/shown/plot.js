// Axes, ticks and marks of plots that are drawn anew at the width there is.
const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "\u00b5"], [1e-9, "n"], [1e-12, "p"], [1e-15, "f"]];
const COUNTED = { k: "thousand ", M: "million ", G: "billion ", "": "" };

const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212"));
const prefixOf = (value) => PREFIXES.find(([factor]) => Math.abs(value) >= factor * 0.9995) || PREFIXES.at(-1);
function quantity(value, unit) {
  const [factor, prefix] = value === 0 ? [1, ""] : prefixOf(value);
  const scaled = value / factor, size = Math.abs(scaled);
  return `${minus(scaled.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0))} ${prefix}${unit}`.trim();
}
function told(measure, value) {
  if (value === undefined || value === null) return "\u2013";
  if (measure.unit === "%") return `${minus(value.toFixed(2))} %`;
  if (measure.unit === "cycles") return `${Math.round(value).toLocaleString("en-US")} cycles`;
  return measure.unit === "exits" ? String(Math.round(value)) : quantity(value, measure.unit);
}

function drawn(name, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}
function written(name, attributes = {}, ...parts) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...parts);
  return made;
}

function roundTicks(low, high, count) {
  const span = high - low || Math.abs(high) || 1, raw = span / count;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = magnitude * [1, 2, 2.5, 5, 10].find((m) => m * magnitude >= raw * 0.999);
  const first = Math.floor(low / step + 1e-9), last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const m of [1, 2, 5]) found.push(Number((m * 10 ** power).toPrecision(12)));
  }
  const from = found.findLastIndex((v) => v <= low * (1 + 1e-9)), to = found.findIndex((v) => v >= high * (1 - 1e-9));
  return found.slice(from, Math.max(to, from + 1) + 1);
}

// From values to pixels: ticks with their texts, and a title that names the unit.
function axisOf(measure, values, start, end, count, log = false) {
  const low = Math.min(...values), high = Math.max(...values);
  const counted = measure.unit === "cycles" || measure.unit === "MACs";
  const plain = ["%", "exits", ""].includes(measure.unit);
  const [factor, prefix] = plain || high === 0 ? [1, ""] : prefixOf(Math.max(Math.abs(low), Math.abs(high)));
  const curved = log && low > 0;
  const ticks = curved ? logTicks(low / factor, high / factor) : roundTicks(low / factor, high / factor, count);
  const bend = curved ? Math.log10 : (v) => v;
  const from = bend(ticks[0] * factor), to = bend(ticks.at(-1) * factor);
  const at = (value) => Number((start + (bend(value) - from) / (to - from) * (end - start)).toFixed(1));
  const room = Math.abs(end - start) / count / 1.6;
  let taken = -Infinity;
  const kept = ticks.map((tick) => [at(tick * factor), minus(String(tick))]).filter(([place]) => {
    if (Math.abs(place - taken) < room) return false;
    taken = place;
    return true;
  });
  const unit = measure.unit === "exits" ? "" : counted ? `${COUNTED[prefix] ?? ""}${measure.unit}` : prefix + measure.unit;
  return { at, ticks: kept, title: unit ? `${measure.words}, ${unit}` : measure.words };
}

function frame(svg, width, height, x, y, box) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren();
  svg.append(drawn("text", { class: "soft", x: 0, y: 12 }, y.title));
  for (const [place, text] of y.ticks) {
    svg.append(drawn("line", { class: "grid", x1: box.left, x2: box.right, y1: place, y2: place }));
    svg.append(drawn("text", { class: "soft", x: box.left - 7, y: place + 4, "text-anchor": "end" }, text));
  }
  for (const [place, text] of x.ticks) {
    svg.append(drawn("line", { class: "axis", x1: place, x2: place, y1: box.bottom, y2: box.bottom + 4 }));
    svg.append(drawn("text", { class: "soft", x: place, y: box.bottom + 18, "text-anchor": "middle" }, text));
  }
  svg.append(drawn("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  const middle = (box.left + box.right) / 2;
  svg.append(drawn("text", { class: "soft", x: middle, y: box.bottom + 38, "text-anchor": "middle" }, x.title));
}

// The outline of a mark; fronts differ in shape as well as in colour.
function mark(shape, x, y, r) {
  const ring = `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  const s = r * 0.9;
  return [
    ring,
    `M${x - s} ${y - s}h${2 * s}v${2 * s}h${-2 * s}z`,
    `M${x} ${y - 1.15 * r}l${1.1 * r} ${2 * r}h${-2.2 * r}z`,
    `M${x} ${y + 1.15 * r}l${1.1 * r} ${-2 * r}h${-2.2 * r}z`,
    `M${x - s} ${y - s}l${2 * s} ${2 * s}M${x + s} ${y - s}l${-2 * s} ${2 * s}`,
    ring,
  ][shape % 6];
}
const diamond = (x, y, r) => `M${x} ${y - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`;
