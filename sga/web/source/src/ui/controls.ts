/** Controls that follow from the schema: one value of several as swatches or a select, yes or no as a toggle of three states. */
import { type Conditions } from "../core/conditions";
import { type Attribute, type Spec } from "../core/spec";
import { attributeName, follow, say, valueName } from "../words";
import { h, text, uniqueId } from "./dom";

/** How a colour's name looks. An attribute whose values all stand here is chosen by swatches. */
const COLOURS: Record<string, string> = {
  blonde: "#f0d078", brown: "#8a5b3c", black: "#2b2730", blue: "#4d7bd8", pink: "#f19cc1", purple: "#8d62c6", green: "#57a766",
  red: "#cf3d40", white: "#f7f5f2", orange: "#ee8b3d", aqua: "#6ecfd6", gray: "#9898a3", silver: "#c8cbd6", yellow: "#efcf40",
}; // prettier-ignore
const MANY = 8;

export class Controls {
  readonly element: HTMLDivElement;
  gender: number | null = null;
  where: Record<string, number> = {};
  private readonly enable: ((possible: Record<string, number[]>) => void)[] = [];

  constructor(
    spec: Spec,
    private readonly changed: () => void,
  ) {
    const choices = spec.asked.filter((one) => one.kind === "exclusive");
    const toggles = spec.asked.filter((one) => one.kind === "independent");
    const genders = this.choice(spec.gender, (code) => (this.gender = code));
    this.element = h(
      "div",
      { className: "controls" },
      genders,
      ...choices.map((one) => this.choice(one, (code) => this.put(one.name, code))),
    );
    if (toggles.length) this.element.append(h("div", { className: "toggles" }, ...toggles.map((one) => this.toggle(one))));
  }

  get conditions(): Conditions {
    return { gender: this.gender, where: { ...this.where } };
  }

  /** Grey out what no real face has beside what is asked already. possible: codes by attribute. */
  offer(possible: Record<string, number[]>): void {
    for (const one of this.enable) one(possible);
  }

  private put(name: string, code: number | null): void {
    if (code === null) delete this.where[name];
    else this.where[name] = code;
  }

  private choice(attribute: Attribute, put: (code: number | null) => void): HTMLElement {
    const coloured = attribute.values.every((value) => value in COLOURS);
    if (!coloured && attribute.values.length > MANY) return this.select(attribute, put);
    const name = uniqueId(attribute.name);
    const radios = [null, ...attribute.values.keys()].map((code) => {
      const input = h("input", {
        type: "radio",
        name,
        value: code === null ? "" : attribute.values[code]!,
        checked: code === null,
      });
      input.addEventListener("change", () => {
        put(code);
        this.changed();
      });
      const words = follow(
        h("span"),
        (element) => (element.textContent = code === null ? say("any") : valueName(attribute.values[code]!)),
      );
      const label = h("label", { className: coloured && code !== null ? "swatch" : "segment" }, input, words);
      if (coloured && code !== null) {
        label.style.setProperty("--swatch", COLOURS[attribute.values[code]!]!);
        follow(label, () => (label.title = valueName(attribute.values[code]!)));
      }
      return { code, input };
    });
    this.enable.push((possible) => {
      for (const { code, input } of radios) {
        if (code !== null) input.disabled = !input.checked && !(possible[attribute.name]?.includes(code) ?? true);
      }
    });
    const legend = follow(h("legend"), (element) => (element.textContent = attributeName(attribute)));
    const row = h("div", { className: coloured ? "swatches" : "segments" }, ...radios.map(({ input }) => input.parentElement!));
    return h("fieldset", { className: "choice" }, legend, row);
  }

  private select(attribute: Attribute, put: (code: number | null) => void): HTMLElement {
    const id = uniqueId(attribute.name);
    const options = [null, ...attribute.values.keys()].map((code) =>
      follow(h("option", { value: code === null ? "" : `${code}` }), (element) => {
        element.textContent = code === null ? say("any") : valueName(attribute.values[code]!);
      }),
    );
    const select = h("select", { id }, ...options);
    select.addEventListener("change", () => {
      put(select.value === "" ? null : Number(select.value));
      this.changed();
    });
    this.enable.push((possible) => {
      options.slice(1).forEach((option, code) => (option.disabled = !(possible[attribute.name]?.includes(code) ?? true)));
    });
    const label = follow(h("label", { htmlFor: id }), (element) => (element.textContent = attributeName(attribute)));
    return h("div", { className: "choice" }, label, select);
  }

  private toggle(attribute: Attribute): HTMLElement {
    const states = ["mixed", "true", "false"] as const;
    const codes = { mixed: null, true: 1, false: 0 };
    let state = 0;
    let possible: number[] = [0, 1];
    const element = h("button", { type: "button", className: "toggle", attributes: { role: "checkbox" } });
    const show = () => {
      element.setAttribute("aria-checked", states[state]!);
      element.setAttribute("aria-label", say(`tristate.${states[state]!}`, { name: attributeName(attribute) }));
      element.textContent = attributeName(attribute);
    };
    element.addEventListener("click", () => {
      do state = (state + 1) % states.length;
      while (codes[states[state]!] !== null && !possible.includes(codes[states[state]!]!));
      this.put(attribute.name, codes[states[state]!]);
      show();
      this.changed();
    });
    this.enable.push((all) => (possible = all[attribute.name] ?? [0, 1]));
    return follow(element, show);
  }
}

/** A choice of a few words, such as how strict the judge is. */
export function segments<T extends string>(
  legend: Parameters<typeof text>[1],
  entries: readonly (readonly [T, Parameters<typeof text>[1]])[],
  start: T,
  changed: (value: T) => void,
): HTMLFieldSetElement {
  const name = uniqueId("segments");
  const labels = entries.map(([value, key]) => {
    const input = h("input", { type: "radio", name, value, checked: value === start });
    input.addEventListener("change", () => changed(value));
    return h("label", { className: "segment" }, input, text("span", key));
  });
  return h("fieldset", { className: "choice" }, text("legend", legend), h("div", { className: "segments" }, ...labels));
}
