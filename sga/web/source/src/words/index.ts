/** The page's words in three languages, and elements that follow when the language changes. */
import { type Attribute } from "../core/spec";
import { en } from "./en";
import { ja } from "./ja";
import { zh } from "./zh";

export type Key = keyof typeof en;
export type Words = Record<Key, string>;
export type Language = "en" | "ja" | "zh";

export const LANGUAGES: Record<Language, { words: Words; own: string; tag: string }> = {
  en: { words: en, own: "English", tag: "en" },
  ja: { words: ja, own: "日本語", tag: "ja" },
  zh: { words: zh, own: "中文", tag: "zh-Hans" },
};

let current: Language = "en";
const followers = new Set<{ element: Element; apply: () => void }>();

/** The first language of a list, such as navigator.languages, that the page speaks. */
export function preferred(tags: readonly string[]): Language {
  const spoken = tags.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in LANGUAGES);
  return (spoken as Language | undefined) ?? "en";
}

export function language(): Language {
  return current;
}

export function speak(chosen: Language): void {
  current = chosen;
  document.documentElement.lang = LANGUAGES[chosen].tag;
  for (const follower of followers) {
    if (follower.element.isConnected) follower.apply();
    else followers.delete(follower);
  }
}

/** A string, filled in. */
export function say(key: Key, values: Record<string, string | number> = {}): string {
  return LANGUAGES[current].words[key].replace(/\{(\w+)\}/g, (whole, name: string) => `${values[name] ?? whole}`);
}

/** Do something to an element now and whenever the language changes, as long as it is on the page. */
export function follow<E extends Element>(element: E, apply: (element: E) => void): E {
  followers.add({ element, apply: () => apply(element) });
  apply(element);
  return element;
}

/** The name of an attribute: translated where the page knows it, else its own. */
export function attributeName({ name }: Attribute): string {
  return known(`attribute.${name}`) ?? name.replaceAll("_", " ");
}

export function valueName(value: string): string {
  return known(`value.${value}`) ?? value.replaceAll("_", " ");
}

/** What a face shows of an attribute, such as "pink hair"; "" for an independent one that is absent. */
export function phrase(attribute: Attribute, code: number): string {
  if (attribute.kind === "independent") return code ? attributeName(attribute) : "";
  const value = valueName(attribute.values[code]!);
  if (attribute.role === "gender") return value;
  return (
    known(`says.${attribute.name}`)?.replace("{value}", value) ?? say("says.other", { name: attributeName(attribute), value })
  );
}

function known(key: string): string | undefined {
  return key in en ? LANGUAGES[current].words[key as Key] : undefined;
}
