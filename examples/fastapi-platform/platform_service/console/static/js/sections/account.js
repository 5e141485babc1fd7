// What an owner has, and from which grants an amount would be drawn, in which order and why.

import { micros, share } from "../amounts.js";
import { get } from "../api.js";
import { h, s } from "../dom.js";
import { t, word } from "../language.js";
import { card, choice, field, form, heading, id, ownerField, pill, region, table, text, tiles, when } from "../ui.js";

const written = { amount: "10", template_id: "" };

export default function account(root, known) {
  const found = region();
  const look = (asked) => {
    known.owner = asked.owner;
    Object.assign(written, asked);
    found.load(
      () => Promise.all([get("account", { owner: asked.owner }), get("explain", asked)]),
      ([has, explanation]) => [balance(has.balance, explanation), grants(explanation, has)],
    );
  };
  const asked = form(look, [
    ownerField(t("account.owner"), known.names, known.owner),
    field(t("account.amount"), text("amount", { value: written.amount, inputmode: "decimal", required: true })),
    field(t("account.template"), choice("template_id", known.names.templates, { any: t("none"), chosen: written.template_id })),
  ], { button: t("show") });
  root.append(heading("account"), card(asked), found.element);
  look({ owner: known.owner, ...written });
}

function balance(has, explanation) {
  const unit = h("small", {}, ` ${has.unit}`);
  return h("div", { class: "stack" },
    explanation.blocked?.length ? h("p", { class: "state error" }, t("account.blocked")) : null,
    tiles(
      [t("account.available"), [has.available, unit], { class: "large" }],
      [t("account.frozen"), has.frozen],
      [t("account.limit"), has.credit_limit],
      [t("account.owed"), has.owed],
      [t("account.band"), pill(word("band", has.band), has.band === "low" ? "warn" : "good"), { class: "words" }],
      [t("account.version"), has.version],
    ));
}

function grants(explanation, { rules }) {
  const whole = micros(explanation.amount);
  const columns = [
    { heading: t("grant.position"), show: (grant) => grant.position },
    { heading: t("grant.type"), show: (grant) => pill(word("type", grant.type), grant.take === "0" ? "" : "accent") },
    { heading: t("grant.take"), number: true, show: (grant) => h("div", {}, grant.take, bar(micros(grant.take), whole)) },
    { heading: t("grant.remaining"), number: true, show: (grant) => grant.remaining },
    { heading: t("grant.expires"), show: (grant) => when(grant.expires_at) || t("never") },
    { heading: t("grant.scope"), show: (grant) => scope(grant.scope) },
    { heading: t("grant.priority"), number: true, show: (grant) => grant.priority },
    { heading: t("grant.why"), show: (grant) => grant.before_next_by && word("criterion", grant.before_next_by) },
    { heading: t("grant.id"), show: (grant) => id(grant.grant_id) },
  ];
  return [
    card(
      h("h2", {}, t("account.grants")),
      explanation.grants.length ? table(columns, explanation.grants) : h("p", { class: "state" }, t("account.empty")),
      sufficient(explanation),
    ),
    explanation.unusable.length > 0 && card(h("h2", {}, t("account.unusable")), table([
      { heading: t("grant.type"), show: (grant) => pill(word("type", grant.type)) },
      { heading: t("grant.remaining"), number: true, show: (grant) => grant.remaining },
      { heading: t("grant.held"), number: true, show: (grant) => grant.held },
      { heading: t("grant.reason"), show: (grant) => word("unusable", grant.why) },
      { heading: t("grant.id"), show: (grant) => id(grant.grant_id) },
    ], explanation.unusable)),
    rules.length > 0 && card(h("h2", {}, t("account.rules")), table([
      { heading: t("grant.type"), show: (rule) => word("type", rule.type) },
      { heading: t("prices.amount"), number: true, show: (rule) => rule.amount },
      { heading: t("ledger.time"), show: (rule) => when(rule.next_at) },
    ], rules)),
  ].filter(Boolean);
}

function sufficient(explanation) {
  const missing = micros(explanation.missing) > 0n;
  const onCredit = micros(explanation.on_credit) > 0n;
  return h("p", { class: `state ${missing ? "error" : "good"}` },
    missing ? t("account.missing", { amount: explanation.missing }) : t("account.covered"),
    onCredit && ` ${t("account.onCredit", { amount: explanation.on_credit })}`);
}

function scope({ app_id: app, template_id: template }) {
  return [app, template].filter(Boolean).join(" · ") || t("scope.anything");
}

/** How much of a whole it is, as a bar; the number stands beside it. */
export function bar(part, whole) {
  const full = whole > 0n && part >= whole;
  return s("svg", { class: "bar", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true", "data-full": full },
    s("rect", { width: share(part, whole) * 100, height: 1 }));
}
