// A balance over time, drawn as steps: it stays as it is until the next entry.

import { share, signed, text, ticks, micros } from "./amounts.js";
import { fill, h, s } from "./dom.js";
import { t, word } from "./language.js";

const HEIGHT = 260;
const SPACE = { top: 10, right: 16, bottom: 30, left: 14 };

/** Draws the points, each with `at`, `balance`, `kind` and `change`, the oldest first. */
export function balanceChart(points, unit) {
  const svg = s("svg", { height: HEIGHT, tabindex: 0, role: "slider", "aria-orientation": "horizontal" });
  const told = h("output", {});
  const figure = h("figure", { class: "chart" },
    h("figcaption", {}, h("strong", {}, t("chart.title")), h("span", { class: "muted" }, t("chart.axis", { unit }))),
    svg, told, h("p", { class: "muted" }, t("chart.keys")));
  let at = points.length - 1;
  let drawn = null;

  const point = () => {
    const said = sentence(points[at]);
    for (const [name, value] of Object.entries({ valuemin: 1, valuemax: points.length, valuenow: at + 1, valuetext: said })) {
      svg.setAttribute(`aria-${name}`, value);
    }
    told.textContent = said;
    drawn?.point(at);
  };
  const draw = () => {
    if (figure.clientWidth === 0) return;
    drawn = drawing(points, figure.clientWidth);
    svg.setAttribute("viewBox", `0 0 ${figure.clientWidth} ${HEIGHT}`);
    fill(svg, drawn.parts);
    point();
  };
  svg.setAttribute("aria-label", t("chart.title"));
  svg.addEventListener("keydown", (event) => {
    const next = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: points.length - 1 };
    if (!(event.key in next)) return;
    event.preventDefault();
    at = Math.min(points.length - 1, Math.max(0, next[event.key]));
    point();
  });
  svg.addEventListener("pointermove", (event) => {
    at = drawn.nearest(event.clientX - svg.getBoundingClientRect().left);
    point();
  });
  new ResizeObserver(draw).observe(figure);
  return figure;
}

function drawing(points, width) {
  const balances = points.map((point) => micros(point.balance));
  const lowest = balances.reduce((least, value) => (value < least ? value : least), 0n);
  const highest = balances.reduce((most, value) => (value > most ? value : most), 0n);
  const levels = ticks(lowest, highest, 5);
  const [bottom, top] = [levels[0], levels.at(-1)];
  const left = SPACE.left + Math.max(...levels.map((level) => text(level).length)) * 7.2;
  const right = width - SPACE.right;
  const times = points.map((point) => Date.parse(point.at));
  const [first, last] = [times[0], times.at(-1)];
  const x = (time) => (last === first ? (left + right) / 2 : left + ((time - first) / (last - first)) * (right - left));
  const y = (level) => HEIGHT - SPACE.bottom - share(level - bottom, top - bottom) * (HEIGHT - SPACE.bottom - SPACE.top);
  const places = points.map((_, number) => [x(times[number]), y(balances[number])]);

  const steps = places.map(([px, py], number) => (number ? `H${px}V${py}` : `M${px} ${py}`)).join("");
  const cursor = s("line", { class: "cursor", y1: SPACE.top, y2: HEIGHT - SPACE.bottom });
  const dot = s("circle", { class: "dot", r: 5 });
  return {
    parts: [
      levels.map((level) => s("g", {},
        s("line", { class: "grid", x1: left, x2: right, y1: y(level), y2: y(level) }),
        s("text", { class: "axis", x: left - 8, y: y(level) + 4, "text-anchor": "end" }, text(level)))),
      moments(first, last, Math.max(2, Math.min(6, Math.floor((right - left) / 130)))).map(([time, label], number, all) =>
        s("text", { class: "axis", x: x(time), y: HEIGHT - 9, "text-anchor": anchor(number, all.length) }, label)),
      s("path", { class: "area", d: `${steps}V${y(0n)}H${places[0][0]}Z` }),
      s("path", { class: "line", d: steps }),
      cursor, dot,
    ],
    point(number) {
      const [px, py] = places[number];
      for (const [name, value] of Object.entries({ x1: px, x2: px })) cursor.setAttribute(name, value);
      for (const [name, value] of Object.entries({ cx: px, cy: py })) dot.setAttribute(name, value);
    },
    nearest(px) {
      let best = 0;
      places.forEach(([place], number) => {
        if (Math.abs(place - px) <= Math.abs(places[best][0] - px)) best = number;
      });
      return best;
    },
  };
}

/** Instants from the first to the last, evenly, with as much of each as tells them apart. */
function moments(first, last, count) {
  if (first === last) return [[first, iso(first).slice(0, 19).replace("T", " ")]];
  const days = (last - first) / 86_400_000;
  const part = days > 4 ? [0, 10] : days > 0.5 ? [5, 16] : last - first > 6_000 ? [11, 19] : [11, 23];
  return Array.from({ length: count }, (_, number) => {
    const time = first + ((last - first) * number) / (count - 1);
    return [time, iso(time).slice(...part).replace("T", " ")];
  });
}

function anchor(number, count) {
  if (count === 1) return "middle";
  return number === 0 ? "start" : number === count - 1 ? "end" : "middle";
}

function iso(time) {
  return new Date(time).toISOString();
}

function sentence(point) {
  const at = point.at.slice(0, 19).replace("T", " ");
  return t("chart.value", { at, balance: point.balance, kind: word("kind", point.kind), change: signed(point.change) });
}
