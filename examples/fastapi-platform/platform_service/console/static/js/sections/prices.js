// What work costs: the lines that make it up, and what the same work costs with each priority.

import { micros } from "../amounts.js";
import { post } from "../api.js";
import { h } from "../dom.js";
import { t, word } from "../language.js";
import { card, choice, field, form, heading, ownerField, pill, region, table, text, tiles } from "../ui.js";

const EXTRA = "extra:";
const WORDS = { class: "words" };
let written = {};

export default function prices(root, known) {
  const { names } = known;
  const found = region();
  const look = (asked) => {
    known.owner = asked.owner;
    written = asked;
    found.load(() => post("estimate", work(asked, names.extras)), show);
  };
  const chosen = (name, values, group) =>
    field(t(`prices.${name.replace("_id", "")}`), choice(name, values, { any: t("none"), chosen: written[name], label: (value) => (group ? word(group, value) : value) }));
  const asked = form(look, [
    ownerField(t("account.owner"), names, known.owner),
    chosen("template_id", names.templates),
    chosen("scene", names.scenes),
    chosen("resolution", names.resolutions),
    chosen("priority", names.priorities, "priority"),
    field(t("prices.quantity"), text("quantity", { inputmode: "decimal", value: written.quantity })),
    h("fieldset", {}, h("legend", {}, t("prices.extras")), Object.entries(names.extras).map(([name, extra]) => control(name, extra))),
  ], { button: t("prices.preview") });
  root.append(heading("prices"), h("div", { class: "columns" }, card(asked), found.element));
  if (written.owner) look({ ...written, owner: known.owner });
  else found.say(t("prices.start"));
}

/** How an extra is asked for: there or not, so often, or one of its options. */
function control(name, extra) {
  const key = EXTRA + name;
  if (extra.options) return field(name, choice(key, Object.keys(extra.options), { any: t("none"), chosen: written[key] }));
  if (extra.flat !== undefined || extra.multiplier !== undefined) {
    const box = h("input", { type: "checkbox", name: key, value: "on", checked: written[key] === "on" });
    return h("label", { class: "check" }, box, name);
  }
  return field(name, text(key, { inputmode: "decimal", value: written[key] }));
}

function work(asked, known) {
  const { owner, template_id, scene, resolution, priority, quantity } = asked;
  const extras = {};
  for (const [name, extra] of Object.entries(known)) {
    const value = asked[EXTRA + name];
    if (!value) continue;
    if (extra.options) extras[name] = value;
    else extras[name] = value === "on" ? true : { quantity: value };
  }
  return { owner, template_id, scene, resolution, priority, quantity, extras };
}

function show(estimate) {
  const missing = micros(estimate.suggest_topup) > 0n;
  return [
    tiles(
      [t("prices.cost"), [estimate.selected_cost, h("small", {}, ` ${estimate.currency}`)], { class: "large" }],
      [t("prices.range"), `${estimate.min_cost} – ${estimate.max_cost}`, WORDS],
      [t("prices.balance"), [estimate.current_balance, h("small", {}, ` → ${estimate.balance_after}`)]],
      [t("prices.topup"), h("span", { class: missing ? "minus" : "plus" }, estimate.suggest_topup)],
      [t("prices.basis"), h("code", {}, estimate.calculation_basis), WORDS],
      [t("prices.tag"), estimate.policy_tag ? pill(estimate.policy_tag, "accent") : t("none"), WORDS],
    ),
    card(h("h2", {}, t("prices.options")), table([
      { heading: t("prices.priority"), show: (option) => word("priority", option.priority) },
      { heading: t("prices.cost"), number: true, show: (option) => option.total_cost },
      { heading: t("prices.eta"), number: true, show: (option) => option.eta_minutes },
    ], estimate.options)),
    card(h("h2", {}, t("prices.items")), table([
      { heading: t("prices.item"), show: (line) => word("item", line.item) },
      { heading: t("prices.name"), show: (line) => line.name },
      { heading: t("prices.quantity"), number: true, show: (line) => line.quantity },
      { heading: t("prices.rate"), number: true, show: (line) => line.rate },
      { heading: t("prices.amount"), number: true, show: (line) => line.amount },
    ], estimate.line_items)),
  ];
}
