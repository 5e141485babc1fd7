// Parts that the sections share: headings, fields, tables, and the states of what is asked for.

import { fill, h } from "./dom.js";
import { t } from "./language.js";

/** The heading of a section. */
export function heading(section) {
  return h("div", {}, h("h1", {}, t(`${section}.title`)), h("p", { class: "lead" }, t(`${section}.lead`)));
}

let fields = 0;

/** A labelled control. */
export function field(label, control, attributes = {}) {
  control.id ||= `field-${++fields}`;
  return h("div", { class: "field", ...attributes }, h("label", { for: control.id }, label), control);
}

/** A choice of values; with `any`, the empty one comes first. */
export function choice(name, values, { any, chosen, label = (value) => value } = {}) {
  const options = values.map((value) => h("option", { value, selected: value === chosen }, label(value)));
  if (any) options.unshift(h("option", { value: "" }, any));
  return h("select", { name }, options);
}

/** A text field. */
export function text(name, attributes = {}) {
  return h("input", { name, type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
}

/** A field for an owner, which offers those that are known. */
export function ownerField(label, names, owner, { any } = {}) {
  const listed = h("datalist", { id: `owners-${++fields}` }, names.owners.map((known) => h("option", { value: known })));
  const input = text("owner", { value: owner, list: listed.id, required: !any, placeholder: t("account.ownerHint") });
  const whole = field(label, input);
  whole.append(listed);
  return whole;
}

/** A form of fields that hands what was written to `submitted`. */
export function form(submitted, children, { button, extra = [] }) {
  const submit = h("button", { type: "submit", class: "main" }, button);
  const whole = h("form", { class: "fields" }, children, h("div", { class: "buttons" }, submit, extra));
  whole.addEventListener("submit", (event) => {
    event.preventDefault();
    submitted(values(whole));
  });
  return whole;
}

/** What is written into a form. */
export function values(element) {
  return Object.fromEntries([...new FormData(element)].map(([name, value]) => [name, String(value).trim()]));
}

/** A region that shows what is asked for: first that it loads, then what came, or why nothing did. Only the last counts. */
export function region(attributes = {}) {
  const element = h("div", { class: "stack", ...attributes });
  let last = 0;
  return {
    element,
    say: (sentence) => fill(element, h("p", { class: "state" }, sentence)),
    async load(ask, show, waiting = t("loading")) {
      const asked = ++last;
      element.setAttribute("aria-busy", "true");
      fill(element, h("p", { class: "state loading", role: "status" }, waiting));
      try {
        const answer = await ask();
        if (asked === last) fill(element, show(answer));
      } catch (failure) {
        if (asked === last) fill(element, problem(failure, () => this.load(ask, show, waiting)));
      } finally {
        if (asked === last) element.removeAttribute("aria-busy");
      }
    },
  };
}

/** Why something did not work: what the service says to people, and to those who look into it. */
export function problem(failure, again) {
  const said = failure.said ?? {};
  return h(
    "div",
    { class: "state error", role: "alert" },
    h("p", {}, said.user_message ?? failure.message),
    said.user_message && h("p", { class: "muted" }, failure.message),
    (said.details?.errors ?? []).map((error) => h("p", {}, h("code", {}, error.path), ` ${error.message}`)),
    again && h("div", { class: "buttons" }, h("button", { type: "button", onclick: again }, t("error.retry"))),
  );
}

/** A table. A column has a key, a heading, a way to show a row, and whether it is numbers. */
export function table(columns, rows, { caption } = {}) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.number && "number" }, column.heading));
  const body = rows.map((row) =>
    h("tr", {}, columns.map((column) => {
      const shown = column.show(row);
      return h("td", { class: column.number && "number", "data-label": column.heading }, shown);
    })),
  );
  return h("table", {}, caption && h("caption", {}, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}

/** Names with what they are, in tiles. */
export function tiles(...pairs) {
  const shown = pairs.filter(Boolean).map(([name, value, attributes = {}]) =>
    h("div", attributes, h("dt", {}, name), h("dd", {}, value)));
  return h("dl", { class: "tiles" }, shown);
}

/** Names with what they are, in lines. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** An instant, to the second; all of it for whoever points at it. */
export function when(instant) {
  if (!instant) return "";
  return h("time", { datetime: instant, title: instant }, instant.slice(0, 19).replace("T", " "));
}

/** An id, shortened in its middle; all of it for whoever points at it. */
export function id(whole) {
  if (!whole) return "";
  const short = whole.length > 22 ? `${whole.slice(0, 8)}…${whole.slice(-8)}` : whole;
  return h("span", { class: "id", title: whole }, short);
}

/** A word in a colour. */
export function pill(words, tone = "") {
  return h("span", { class: `pill ${tone}` }, words);
}

/** A card. */
export function card(...children) {
  return h("section", { class: "card" }, children);
}
