/** Small help with elements. */
import { follow, type Key, say } from "../words";

type Child = Node | string | null;
type Properties<K extends keyof HTMLElementTagNameMap> = Partial<Omit<HTMLElementTagNameMap[K], "style" | "attributes">> & {
  attributes?: Record<string, string>;
};

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties<K> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const { attributes, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** An element whose text is a string of the page. */
export function text<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  key: Key,
  properties: Properties<K> = {},
): HTMLElementTagNameMap[K] {
  return follow(h(tag, properties), (element) => (element.textContent = say(key)));
}

/** Name an element for a screen reader. */
export function named<E extends Element>(element: E, key: Key, values?: () => Record<string, string | number>): E {
  return follow(element, () => element.setAttribute("aria-label", say(key, values?.())));
}

export function button(key: Key, click: () => void, properties: Properties<"button"> = {}): HTMLButtonElement {
  const element = text("button", key, { type: "button", ...properties });
  element.addEventListener("click", click);
  return element;
}

let counted = 0;

export function uniqueId(stem: string): string {
  return `${stem}-${++counted}`;
}

/** What a screen reader says next, politely, and what everybody sees for a moment. */
export class Announcer {
  private readonly spoken = h("div", { className: "unseen", attributes: { "role": "status", "aria-live": "polite" } });
  private readonly seen = h("div", { className: "toast", hidden: true, attributes: { "aria-hidden": "true" } });
  readonly elements = [this.spoken, this.seen];
  private timer = 0;

  say(words: string): void {
    this.spoken.textContent = "";
    requestAnimationFrame(() => (this.spoken.textContent = words));
  }

  show(words: string): void {
    this.say(words);
    this.seen.textContent = words;
    this.seen.hidden = false;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => (this.seen.hidden = true), 2500);
  }
}
