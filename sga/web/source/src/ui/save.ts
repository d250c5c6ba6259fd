/** The chosen face as a file: as drawn, or larger. */
import { encodePng, metadata } from "../core/png";
import { enlarge as smooth } from "../core/resize";
import { type Spec } from "../core/spec";
import { type Face } from "../engine/protocol";
import { follow, say } from "../words";
import { type Announcer, button, h, named } from "./dom";

const SMOOTHED = 4; // times, of a model without an upscaler
const MEGABYTE = 1e6;

type Told = (received: number, total: number) => void;
/** A face's pixels by the model's upscaler. told: of the file on its way. */
export type Enlarge = (face: Face, times: number, told: Told) => Promise<Uint8Array>;

export class Save {
  readonly element: HTMLElement;
  /** What becomes of a larger picture. */
  readonly note = h("p", { className: "note", hidden: true });
  private readonly plain: HTMLButtonElement;
  private readonly larger: HTMLButtonElement[];
  private busy = false;
  private words = (): string => "";

  constructor(
    private readonly spec: Spec,
    private readonly announcer: Announcer,
    private readonly chosen: () => Face | null,
    private readonly enlarge: Enlarge,
  ) {
    const { size, files } = spec.header;
    const factors = files.upscaler?.factors ?? [SMOOTHED];
    this.plain = button("download", () => void this.save(1));
    this.larger = factors.map((times) => (files.upscaler ? this.timesButton(times) : this.smoothButton(times)));
    const buttons = [this.plain, ...this.larger];
    buttons.forEach((one, place) => {
      const edge = size * (factors[place - 1] ?? 1);
      follow(one, () => (one.title = say("download.hint", { size: edge })));
    });
    this.element = named(h("div", { className: "save", attributes: { role: "group" } }, ...buttons), "download");
    follow(this.note, () => (this.note.textContent = this.words()));
  }

  /** Whether there is something to save. */
  enable(able: boolean): void {
    for (const one of [this.plain, ...this.larger]) one.disabled = !able;
  }

  /** Another face was chosen: what was told is of the one before, unless it is still being made. */
  forget(): void {
    if (!this.busy) this.note.hidden = true;
  }

  /** A face as PNG with its metadata. */
  async png(face: Face, times: number, told: Told = () => undefined): Promise<Uint8Array<ArrayBuffer>> {
    const { size, files } = this.spec.header;
    if (times === 1) return encodePng(face.pixels, size, metadata(this.spec, face));
    const edge = size * times;
    if (files.upscaler) return encodePng(await this.enlarge(face, times, told), edge, metadata(this.spec, face, times));
    const rgb = smooth(face.pixels, size, edge).filter((_, i) => i % 4 !== 3);
    return encodePng(Uint8Array.from(rgb), edge, metadata(this.spec, face));
  }

  private timesButton(times: number): HTMLButtonElement {
    const element = h("button", { type: "button" }, `${times}×`);
    element.addEventListener("click", () => void this.saveLarger(times));
    return named(element, "download.times", () => ({ times, size: this.spec.header.size * times }));
  }

  private smoothButton(times: number): HTMLButtonElement {
    return button("download.large", () => void this.saveLarger(times));
  }

  private async save(times: number, told?: Told): Promise<void> {
    const face = this.chosen()!;
    const name = `${this.fileName(face)}${times > 1 ? `-${this.spec.header.size * times}` : ""}.png`;
    const url = URL.createObjectURL(new Blob([await this.png(face, times, told)], { type: "image/png" }));
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  /** One at a time; the buttons stay reachable meanwhile, so that the keyboard's place is not lost. */
  private async saveLarger(times: number): Promise<void> {
    if (this.busy) return;
    const working = () => say("large.working");
    this.work(true);
    this.tell(working);
    try {
      await this.save(times, (received, total) => this.show(received < total ? loading(received, total) : working));
      this.tell(() => say("large.done", { size: this.spec.header.size * times }));
    } catch (error) {
      this.tell(() => say("large.failed", { reason: error instanceof Error ? error.message : String(error) }));
    }
    this.work(false);
  }

  private work(busy: boolean): void {
    this.busy = busy;
    for (const one of this.larger) one.setAttribute("aria-disabled", `${busy}`);
  }

  /** Show words, and have a screen reader say them. */
  private tell(words: () => string): void {
    this.show(words);
    this.announcer.say(words());
  }

  private show(words: () => string): void {
    this.words = words;
    this.note.hidden = false;
    this.note.textContent = words();
  }

  private fileName({ recipe, latents, attempt }: Face): string {
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
}

function loading(received: number, total: number): () => string {
  const [some, all] = [received, total].map((bytes) => (bytes / MEGABYTE).toFixed(2)) as [string, string];
  return () => say("large.loading", { received: some, total: all });
}
