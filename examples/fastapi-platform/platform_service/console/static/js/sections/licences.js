// Licences: who may use which template, in which state they are, and what is left of their quotas.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { t, word } from "../language.js";
import { card, choice, field, form, heading, pill, problem, region, table, when } from "../ui.js";

const written = { template_id: "" };

export default function licences(root, known) {
  const found = region();
  const look = (asked) => {
    Object.assign(written, asked);
    found.load(() => get("licences", asked), (page) => pages(page, asked));
  };
  const asked = form(look, [
    field(t("licences.template"), choice("template_id", known.names.templates, { any: t("any"), chosen: written.template_id })),
  ], { button: t("show") });
  root.append(heading("licences"), card(asked), card(found.element));
  look(written);
}

function pages(page, asked) {
  if (page.licences.length === 0) return h("p", { class: "state" }, t("licences.empty"));
  const rows = [];
  const shown = h("div", { class: "stack" });
  const show = (more) => {
    rows.push(...more.licences);
    const further = more.next_cursor && h("button", { type: "button", onclick: async () => {
      try {
        show(await get("licences", { ...asked, after: more.next_cursor }));
      } catch (failure) {
        shown.append(problem(failure));
      }
    } }, t("more"));
    fill(shown, listing(rows), further && h("div", { class: "buttons" }, further));
  };
  show(page);
  return shown;
}

function listing(rows) {
  return table([
    { heading: t("licences.template"), show: (licence) => h("strong", {}, licence.template_id) },
    { heading: t("licences.licence"), show: (licence) => h("span", { class: "id" }, licence.licence_id) },
    { heading: t("licences.user"), show: (licence) => licence.user_id ?? t("licences.everyone") },
    { heading: t("licences.state"), show: state },
    { heading: t("licences.channels"), show: (licence) => licence.channels.map((channel) => word("channel", channel)).join(", ") || t("any") },
    { heading: t("licences.left"), number: true, show: (licence) => left(licence.remaining_quota, licence.total_quota) },
    { heading: t("licences.leftToday"), number: true, show: (licence) => left(licence.daily_remaining, licence.daily_quota) },
    { heading: t("licences.until"), show: (licence) => when(licence.valid_until) || t("unlimited") },
    { heading: t("licences.documents"), show: documents },
    { heading: t("ledger.tag"), show: (licence) => licence.policy_tag },
  ], rows);
}

function state(licence) {
  const reason = licence.reason_code;
  return pill(word("reason", reason), reason === "valid" ? "good" : reason === "revoked" ? "bad" : "warn");
}

function left(remaining, quota) {
  return quota === null || quota < 0 ? t("unlimited") : `${remaining} / ${quota}`;
}

function documents({ required_documents: required, submitted_documents: submitted }) {
  const names = [...new Set([...required, ...submitted])];
  if (names.length === 0) return t("none");
  return h("div", {}, names.map((name) =>
    h("div", {}, t(submitted.includes(name) ? "licences.submitted" : "licences.missing", { name }))));
}
