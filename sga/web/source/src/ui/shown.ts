/** The chosen face, large, with what can be done with it. */
import { type Spec } from "../core/spec";
import { type Face } from "../engine/protocol";
import { attributeName, follow, say } from "../words";
import { canvas, paint } from "./canvas";
import { describe } from "./describe";
import { button, h, named, text, type Announcer } from "./dom";
import { type Enlarge, Save } from "./save";

const ENLARGED = 4; // on the screen

export class Shown {
  readonly element: HTMLElement;
  face: Face | null = null;
  private readonly picture = canvas();
  private readonly caption = h("figcaption");
  private readonly facts = h("ul");
  private readonly manual = named(
    h("input", { type: "text", readOnly: true, hidden: true, className: "manual" }),
    "link.manual",
  );
  private readonly buttons: HTMLButtonElement[];
  private readonly save: Save;

  constructor(
    private readonly spec: Spec,
    private readonly announcer: Announcer,
    private readonly link: (face: Face) => string,
    enlarge: Enlarge,
  ) {
    this.save = new Save(spec, announcer, () => this.face, enlarge);
    this.buttons = [button("link", () => void this.copy())];
    if ("share" in navigator) this.buttons.push(button("share", () => void this.share()));
    this.picture.removeAttribute("aria-hidden");
    this.picture.setAttribute("role", "img");
    const figure = h("figure", {}, h("div", { className: "frame" }, this.picture), this.caption);
    const actions = h("div", { className: "actions" }, this.save.element, ...this.buttons);
    const about = h("details", { className: "about" }, text("summary", "about"), this.facts);
    const parts = [figure, actions, this.save.note, this.manual, about];
    this.element = named(h("section", { className: "shown" }, ...parts), "shown");
    follow(this.element, () => this.describe());
  }

  show(face: Face): void {
    this.face = face;
    this.manual.hidden = true;
    this.save.forget();
    paint(this.picture, face.pixels, this.spec.header.size, this.spec.header.size * ENLARGED);
    this.describe();
  }

  private describe(): void {
    const face = this.face;
    for (const one of this.buttons) one.disabled = !face;
    this.save.enable(face !== null);
    const words = face ? describe(this.spec, face) : say("shown.none");
    this.caption.textContent = words;
    this.picture.setAttribute("aria-label", words);
    this.facts.replaceChildren(...(face ? this.told(face).map((line) => h("li", {}, line)) : []));
  }

  private told({ recipe, attempt, verdict, failed }: Face): string[] {
    const lines = [];
    if (recipe.kind === "seed") lines.push(say("about.seed", { seed: recipe.seed, index: recipe.index, attempt }));
    if (recipe.kind === "id") lines.push(say("about.id", { identity: recipe.identity, attempt }));
    if (recipe.kind === "latents") lines.push(say("about.latents"));
    if (verdict) {
      const names = failed.map((name) => attributeName(this.spec.header.attributes.find((one) => one.name === name)!));
      lines.push(failed.length ? say("about.turned", { failed: names.join(say("says.comma")) }) : say("about.accepted"));
      lines.push(say("about.quality", { quality: verdict.quality.toFixed(2) }));
    }
    const { name, hash } = this.spec.header;
    return [...lines, say("about.model", { name, hash })];
  }

  /** The face as PNG with its metadata, so many times as large. */
  png(times: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.save.png(this.face!, times);
  }

  private async copy(): Promise<void> {
    const link = this.link(this.face!);
    try {
      await navigator.clipboard.writeText(link);
      this.announcer.show(say("link.done"));
    } catch {
      this.manual.hidden = false;
      this.manual.value = link;
      this.manual.select();
    }
  }

  private async share(): Promise<void> {
    const url = this.link(this.face!);
    await navigator.share({ url, title: describe(this.spec, this.face!) }).catch(() => undefined);
  }
}
