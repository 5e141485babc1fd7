// The check of a price book: every mistake with its path, before anything is published.

import { post } from "../api.js";
import { h } from "../dom.js";
import { t } from "../language.js";
import { card, facts, field, form, heading, region, table, when } from "../ui.js";

const EXAMPLE = `version: 20260101
effective_at: 2026-01-01T00:00:00Z
unit: credit
colour: red
rounding: {mode: sideways, step: 0.01}
templates:
  poster: {base: -10}
  poster: {base: 12}
extras:
  seconds: {graduated: [{up_to: 60, price: 1}, {up_to: 10, price: 0.8}]}
`;

let written = "";

export default function book(root, known) {
  const found = region();
  const area = h("textarea", { name: "text", spellcheck: "false", required: true });
  area.value = written;
  const look = () => {
    written = area.value;
    found.load(() => post("check-price-book", { text: written }), (answer) => (answer.is_valid ? valid(answer.book) : mistakes(answer)));
  };
  const example = h("button", { type: "button", onclick: () => {
    area.value = EXAMPLE;
    look();
  } }, t("book.example"));
  const asked = form(look, [field(t("book.text"), area, { class: "field wide" })], { button: t("book.check"), extra: example });
  root.append(
    heading("book"),
    h("div", { class: "columns" }, card(asked), found.element),
    card(h("h2", {}, t("book.kept")), table(columns(), known.names.price_books)),
  );
  if (written) look();
}

function valid(checked) {
  return card(h("p", { class: "state good" }, t("book.valid")), facts(columns().map(({ heading: name, show }) => [name, show(checked)])));
}

function columns() {
  return [
    { heading: t("book.version"), show: (kept) => kept.version },
    { heading: t("book.basis"), show: (kept) => h("code", {}, kept.calculation_basis) },
    { heading: t("book.from"), show: (kept) => when(kept.effective_at) },
    { heading: t("book.unit"), show: (kept) => kept.unit },
  ];
}

function mistakes(answer) {
  const count = answer.details.mistakes ?? answer.errors.length;
  return card(
    h("p", { class: "state error", role: "alert" }, t("book.mistakes", { count })),
    table([
      { heading: t("book.path"), show: (error) => h("code", {}, error.path) },
      { heading: t("book.given"), show: (error) => (error.given == null ? "" : h("code", {}, String(error.given))) },
      { heading: t("book.message"), show: (error) => error.message },
    ], answer.errors),
  );
}
