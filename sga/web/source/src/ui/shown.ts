/** The chosen face, large, with what can be done with it. */
import { encodePng, metadata } from "../core/png";
import { enlarge } from "../core/resize";
import { type Spec } from "../core/spec";
import { type Face } from "../engine/protocol";
import { attributeName, follow, say } from "../words";
import { canvas, paint } from "./canvas";
import { describe } from "./describe";
import { button, h, named, text, type Announcer } from "./dom";

const ENLARGED = 4;

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

  constructor(
    private readonly spec: Spec,
    private readonly announcer: Announcer,
    private readonly link: (face: Face) => string,
  ) {
    const { size } = spec.header;
    const sized = (edge: number) => (element: HTMLButtonElement) => (element.title = say("download.hint", { size: edge }));
    this.buttons = [
      follow(
        button("download", () => void this.save(1)),
        sized(size),
      ),
      follow(
        button("download.large", () => void this.save(ENLARGED)),
        sized(size * ENLARGED),
      ),
      button("link", () => void this.copy()),
    ];
    if ("share" in navigator) this.buttons.push(button("share", () => void this.share()));
    this.picture.removeAttribute("aria-hidden");
    this.picture.setAttribute("role", "img");
    const figure = h("figure", {}, h("div", { className: "frame" }, this.picture), this.caption);
    const actions = h("div", { className: "actions" }, ...this.buttons);
    const about = h("details", { className: "about" }, text("summary", "about"), this.facts);
    this.element = named(h("section", { className: "shown" }, figure, actions, this.manual, about), "shown");
    follow(this.element, () => this.describe());
  }

  show(face: Face): void {
    this.face = face;
    this.manual.hidden = true;
    paint(this.picture, face.pixels, this.spec.header.size, this.spec.header.size * ENLARGED);
    this.describe();
  }

  private describe(): void {
    const face = this.face;
    for (const one of this.buttons) one.disabled = !face;
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

  /** The face as PNG with its metadata. */
  async png(times: number): Promise<Uint8Array<ArrayBuffer>> {
    const face = this.face!;
    const { size } = this.spec.header;
    if (times === 1) return encodePng(face.pixels, size, metadata(this.spec, face));
    const edge = size * times;
    const rgb = enlarge(face.pixels, size, edge).filter((_, i) => i % 4 !== 3);
    return encodePng(Uint8Array.from(rgb), edge, metadata(this.spec, face));
  }

  private async save(times: number): Promise<void> {
    const url = URL.createObjectURL(new Blob([await this.png(times)], { type: "image/png" }));
    const link = h("a", {
      href: url,
      download: `${this.fileName()}${times > 1 ? `-${this.spec.header.size * times}` : ""}.png`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  private fileName(): string {
    const { recipe, latents, attempt } = this.face!;
    const gender = this.spec.gender.values[latents.gender]!;
    if (recipe.kind === "seed") return `${gender}-${recipe.seed}-${recipe.index}-${attempt}`;
    if (recipe.kind === "id")
      return (
        recipe.identity
          .replace(/[^\p{L}\p{N}._-]+/gu, "_")
          .replace(/^\.+/, "_")
          .slice(0, 80) || "face"
      );
    return `${gender}-${Date.now()}`;
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
