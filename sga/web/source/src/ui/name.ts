/** One name, one face. */
import { type Recipe } from "../core/recipe";
import { idSubject } from "../core/rng";
import { type Spec } from "../core/spec";
import { say, valueName, follow } from "../words";
import { h, text, uniqueId } from "./dom";

const PAUSE = 250; // milliseconds after the last key

export class Name {
  readonly element: HTMLElement;
  private gender: number | null = null;
  private timer = 0;
  private readonly input: HTMLInputElement;
  private readonly command = h("code");
  private readonly note = h("p", { className: "note", hidden: true });
  private readonly how: HTMLElement;

  constructor(
    private readonly spec: Spec,
    private readonly draw: (recipe: Recipe) => void,
  ) {
    const id = uniqueId("name");
    this.input = h("input", {
      id,
      type: "text",
      autocomplete: "off",
      spellcheck: false,
      attributes: { autocapitalize: "off" },
    });
    follow(this.input, () => (this.input.placeholder = say("name.placeholder")));
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.typed(), PAUSE);
    });
    this.how = h("p", { className: "note", hidden: true }, text("span", "name.command"), this.command);
    const field = h("div", { className: "field" }, text("label", "name", { htmlFor: id }), this.input);
    this.element = h(
      "div",
      { className: "panel" },
      field,
      this.genders(),
      text("p", "name.hint", { className: "note" }),
      this.note,
      this.how,
    );
  }

  /** Show what a link asks for. */
  put(recipe: Recipe): void {
    if (recipe.kind !== "id") return;
    this.input.value = recipe.identity;
    this.gender = recipe.gender;
    const wanted = recipe.gender === null ? "" : this.spec.gender.values[recipe.gender]!;
    for (const radio of this.element.querySelectorAll<HTMLInputElement>("input[type=radio]"))
      radio.checked = radio.value === wanted;
    this.tell();
  }

  private typed(): void {
    this.tell();
    if (this.input.value && this.note.hidden) this.draw({ kind: "id", identity: this.input.value, gender: this.gender });
  }

  private tell(): void {
    const identity = this.input.value;
    this.note.hidden = true;
    this.how.hidden = identity === "";
    try {
      if (identity) idSubject(identity);
    } catch {
      this.note.hidden = false;
      this.note.textContent = say("name.invalid");
    }
    const gender = this.gender === null ? "" : ` --gender ${this.spec.gender.values[this.gender]!}`;
    const model = ` --model ${this.spec.header.drawing}`; // without it, the command line draws with the model that ships
    this.command.textContent = `sga generate --id '${identity.replaceAll("'", `'\\''`)}'${gender}${model}`;
  }

  private genders(): HTMLElement {
    const name = uniqueId("name-gender");
    const labels = [null, ...this.spec.gender.values.keys()].map((code) => {
      const value = code === null ? "" : this.spec.gender.values[code]!;
      const input = h("input", { type: "radio", name, value, checked: code === null });
      input.addEventListener("change", () => {
        this.gender = code;
        this.typed();
      });
      const words = follow(h("span"), (element) => (element.textContent = code === null ? say("any") : valueName(value)));
      return h("label", { className: "segment" }, input, words);
    });
    return h(
      "fieldset",
      { className: "choice" },
      text("legend", "attribute.gender"),
      h("div", { className: "segments" }, ...labels),
    );
  }
}
