/** A slider from one face to another. */
import { type Face } from "../engine/protocol";
import { type Spec } from "../core/spec";
import { follow, say } from "../words";
import { canvas, paint } from "./canvas";
import { describe } from "./describe";
import { button, h, text, uniqueId } from "./dom";

const STEPS = 32;

export class Between {
  readonly element: HTMLElement;
  private readonly ends: (Face | null)[] = [null, null];
  private readonly pictures = [canvas(), canvas()];
  private readonly words = [h("span", { className: "note" }), h("span", { className: "note" })];
  private readonly slider: HTMLInputElement;
  private waiting: { t: number; settled: boolean } | null = null;
  private busy = false;

  /** draw: a face between two; settled: false while the slider moves, when nothing needs to be judged. */
  constructor(
    private readonly spec: Spec,
    private readonly chosen: () => Face | null,
    private readonly draw: (a: Face, b: Face, t: number, settled: boolean) => Promise<void>,
  ) {
    const id = uniqueId("between");
    this.slider = h("input", { id, type: "range", min: "0", max: `${STEPS}`, value: `${STEPS / 2}`, disabled: true });
    this.slider.addEventListener("input", () => this.move(false));
    this.slider.addEventListener("change", () => this.move(true));
    const sides = ([0, 1] as const).map((side) => {
      const legend = text("h2", side ? "between.second" : "between.first");
      return h(
        "div",
        { className: "end" },
        legend,
        h("div", { className: "frame" }, this.pictures[side]!),
        this.words[side]!,
        button("between.set", () => this.put(side, this.chosen())),
      );
    });
    const swap = button("between.swap", () => this.swap(), { className: "quiet" });
    const field = h("div", { className: "slider wide" }, text("label", "between.slider", { htmlFor: id }), this.slider);
    this.element = h(
      "div",
      { className: "panel" },
      h("div", { className: "ends" }, ...sides),
      field,
      h("div", { className: "bar" }, swap, text("p", "between.hint", { className: "note" })),
    );
    follow(this.element, () => this.describe());
  }

  /** Two faces to begin with, where there are none yet. */
  begin(first: Face | null, second: Face | null): void {
    if (!this.ends[0] && first) this.put(0, first);
    if (!this.ends[1] && second) this.put(1, second);
  }

  private put(side: 0 | 1, face: Face | null): void {
    if (!face) return;
    this.ends[side] = face;
    const { size } = this.spec.header;
    paint(this.pictures[side]!, face.pixels, size, 2 * size);
    this.slider.disabled = !this.ends.every(Boolean);
    this.describe();
  }

  private swap(): void {
    const [first, second] = this.ends;
    this.put(0, second!);
    this.put(1, first!);
    this.slider.value = `${STEPS - Number(this.slider.value)}`;
  }

  private describe(): void {
    this.ends.forEach(
      (face, side) => (this.words[side]!.textContent = face ? describe(this.spec, face) : say("between.empty")),
    );
    this.slider.setAttribute(
      "aria-valuetext",
      say("strength.value", { percent: Math.round((100 * Number(this.slider.value)) / STEPS) }),
    );
  }

  /** The newest place of the slider is drawn; those that it passed while another was being drawn are not. */
  private move(settled: boolean): void {
    this.describe();
    this.waiting = { t: Number(this.slider.value) / STEPS, settled };
    void this.work();
  }

  private async work(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    while (this.waiting) {
      const { t, settled } = this.waiting;
      this.waiting = null;
      const [first, second] = this.ends;
      if (first && second) await this.draw(first, second, t, settled);
    }
    this.busy = false;
  }
}
