// What the page says, in English and Chinese.

import { strings } from "./strings.js";

const LANGUAGES = ["en", "zh"];
const KEPT_AS = "console-language";

let language = LANGUAGES.includes(kept()) ? kept() : navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

/** The language that is spoken. */
export function spoken() {
  return language;
}

/** Speaks another language, now and at the next visit. */
export function speak(wanted) {
  language = wanted;
  try {
    localStorage.setItem(KEPT_AS, wanted);
  } catch {
    // A browser that keeps nothing speaks it until the page is left.
  }
}

/** A sentence by its key, with what it is about in the places of `{name}`. */
export function t(key, about = {}) {
  const sentence = strings[key]?.[LANGUAGES.indexOf(language)];
  if (sentence === undefined) console.error(`no sentence for ${key}`);
  return (sentence ?? key).replace(/\{(\w+)\}/g, (_, name) => about[name] ?? "");
}

/** The word for a value of the engine's, such as a kind of entry; the value itself where there is no word. */
export function word(group, value) {
  return strings[`${group}.${value}`]?.[LANGUAGES.indexOf(language)] ?? String(value);
}

/** Puts the words into what stands in the page from the beginning. */
export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

function kept() {
  try {
    return localStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}
