/** Create: conditions, sixteen faces, one of them chosen, sixteen like it, and again. */
import { type Conditions } from "../core/conditions";
import { type Strictness } from "../core/criterion";
import { type Locks } from "../core/latents";
import { type Spec } from "../core/spec";
import { type Running } from "../engine/client";
import { type DrawOrder, type Drawn, type Face, type Plan } from "../engine/protocol";
import { follow, type Key, say } from "../words";
import { Controls, segments } from "./controls";
import { type Announcer, button, h, text, uniqueId } from "./dom";
import { Faces } from "./faces";

const COUNT = 16;
const KEPT = 20; // grids to go back to

/** What this part needs of the page. */
export interface Studio {
  spec: Spec;
  announcer: Announcer;
  chosen(): Face | null;
  choose(face: Face): void;
  draw(order: DrawOrder, drawn: (drawn: Drawn) => void): Running<{ attempts: number }>;
  available(conditions: Conditions): Promise<Record<string, number[]>>;
  failed(error: unknown): void;
}

export class Create {
  readonly element: HTMLElement;
  readonly faces: Faces;
  private readonly controls: Controls;
  private readonly locks: Locks = { noise: false, style: false };
  private strictness: Strictness = "usual";
  private strength = 0.7;
  private running: Running<{ attempts: number }> | null = null;
  private readonly before: (Face | null)[][] = [];
  private readonly state = h("p", { className: "state" });
  private told: () => string = () => "";
  private readonly stopper = button("stop", () => this.stop(), { className: "quiet", hidden: true });
  private readonly backer = button("back", () => this.back(), { className: "quiet", disabled: true });
  private readonly nearer = button("near", () => void this.refine(), { className: "primary", disabled: true });
  private readonly lockers: HTMLInputElement[] = [];

  constructor(private readonly studio: Studio) {
    const { spec } = studio;
    this.controls = new Controls(spec, () => void this.offer());
    this.faces = new Faces(spec, "grid", "grid", 2 * spec.header.size, (face) => studio.choose(face));
    const shuffle = button("shuffle", () => void this.shuffle(), { className: "primary" });
    const judge = segments(
      "judge",
      [
        ["off", "judge.off"],
        ["usual", "judge.usual"],
        ["strict", "judge.strict"],
      ] as const,
      "usual",
      (value) => {
        this.strictness = value;
      },
    );
    follow(judge, () => (judge.title = say("judge.hint")));
    const options = h("div", { className: "row" }, judge, this.keepers());
    follow(this.state, () => (this.state.textContent = this.told()));
    const bar = h("div", { className: "bar" }, shuffle, this.nearer, this.slider());
    const told = h("div", { className: "told" }, this.state, this.stopper, this.backer);
    this.element = h("div", {}, this.controls.element, options, bar, told, this.faces.element);
    this.faces.reset(Array.from({ length: COUNT }, () => null));
  }

  /** A face was chosen, here or elsewhere. */
  mark(face: Face | null): void {
    this.faces.mark(face);
    this.nearer.disabled = !face;
    for (const one of this.lockers) one.disabled = !face;
  }

  async offer(): Promise<void> {
    this.controls.offer(await this.studio.available(this.controls.conditions));
  }

  async shuffle(): Promise<Face | null> {
    const base = this.locks.noise || this.locks.style ? this.studio.chosen() : null;
    const seed = randomSeed();
    const { where } = this.controls.conditions;
    const gender = await this.openGender();
    const locks = { ...this.locks };
    const plan = (index: number): Plan => ({
      kind: "fresh",
      seed,
      index,
      gender,
      where,
      locks,
      ...(base ? { base: base.latents } : {}),
    });
    return this.run(plan, locks.style && base ? {} : where);
  }

  async refine(): Promise<Face | null> {
    const base = this.studio.chosen();
    if (!base) return null;
    const seed = randomSeed();
    const [strength, locks] = [this.strength, { ...this.locks }];
    return this.run((index) => ({ kind: "near", seed, index, base: base.latents, strength, locks }), {});
  }

  /** The asked gender; where none is asked for and one alone has what else is asked, that one. */
  private async openGender(): Promise<number | null> {
    const { gender, where } = this.controls.conditions;
    const { spec } = this.studio;
    if (gender !== null) return gender;
    const possible = (await this.studio.available({ gender, where }))[spec.gender.name]!;
    return possible.length < spec.gender.values.length ? possible[0]! : null;
  }

  /** Draw sixteen faces; the first that is there. */
  private async run(plan: (index: number) => Plan, where: Conditions["where"]): Promise<Face | null> {
    this.stop();
    if (this.faces.faces.some(Boolean)) this.before.push(this.faces.faces);
    if (this.before.length > KEPT) this.before.shift();
    this.backer.disabled = !this.before.length;
    this.faces.reset(Array.from({ length: COUNT }, () => null));
    const order: DrawOrder = {
      order: "draw",
      plans: Array.from({ length: COUNT }, (_, index) => plan(index)),
      strictness: this.strictness,
      maxAttempts: this.studio.spec.header.max_attempts,
      judged: true,
      where,
    };
    const good = new Set<number>();
    let attempts = 0;
    const running = this.studio.draw(order, ({ place, face, done }) => {
      if (this.running !== running) return;
      attempts++;
      if (done) good.add(place);
      this.faces.set(place, face, done);
      this.faces.mark(this.studio.chosen());
      this.tell(() => say("grid.state", { good: good.size, count: COUNT, attempts }));
    });
    this.running = running;
    this.stopper.hidden = false;
    this.element.setAttribute("aria-busy", "true");
    try {
      const { stopped } = await running.ended;
      if (this.running !== running) return null;
      this.settle(stopped ? "grid.stopped" : "grid.done", attempts);
    } catch (error) {
      this.studio.failed(error);
    } finally {
      if (this.running === running) this.idle();
    }
    return this.faces.faces[0] ?? null;
  }

  private settle(key: Key, attempts: number): void {
    this.faces.faces.forEach((face, place) => face && this.faces.set(place, face, true));
    this.tell(() => say(key, { count: COUNT, attempts }));
    this.studio.announcer.say(this.told());
  }

  private idle(): void {
    this.running = null;
    this.stopper.hidden = true;
    this.element.removeAttribute("aria-busy");
  }

  private stop(): void {
    this.running?.stop();
  }

  private back(): void {
    this.stop();
    this.idle();
    const faces = this.before.pop();
    if (faces) this.faces.reset(faces);
    this.faces.mark(this.studio.chosen());
    this.backer.disabled = !this.before.length;
    this.tell(() => "");
  }

  private tell(words: () => string): void {
    this.told = words;
    this.state.textContent = words();
  }

  private keepers(): HTMLElement {
    const keeper = (part: keyof Locks) => {
      const input = h("input", { type: "checkbox", disabled: true });
      this.lockers.push(input);
      input.addEventListener("change", () => {
        this.locks[part] = input.checked;
        const other = part === "noise" ? "style" : "noise"; // both locked would draw the same face sixteen times
        if (input.checked && this.locks[other]) {
          this.locks[other] = false;
          this.lockers[other === "noise" ? 0 : 1]!.checked = false;
        }
      });
      return follow(
        h("label", { className: "check" }, input, text("span", `keep.${part}`)),
        (label) => (label.title = say(`keep.${part}.hint`)),
      );
    };
    const parts = this.studio.spec.header.style_size ? (["noise", "style"] as const) : (["noise"] as const);
    return h(
      "fieldset",
      { className: "choice" },
      text("legend", "keep"),
      h("div", { className: "segments" }, ...parts.map(keeper)),
    );
  }

  private slider(): HTMLElement {
    const id = uniqueId("strength");
    const input = h("input", {
      id,
      type: "range",
      min: "5",
      max: "100",
      step: "5",
      value: `${Math.round(this.strength * 100)}`,
    });
    const told = follow(input, () => input.setAttribute("aria-valuetext", say("strength.value", { percent: input.value })));
    input.addEventListener("input", () => {
      this.strength = Number(input.value) / 100;
      told.setAttribute("aria-valuetext", say("strength.value", { percent: input.value }));
    });
    return h("div", { className: "slider" }, text("label", "strength", { htmlFor: id }), input);
  }
}

export function randomSeed(): string {
  return `${crypto.getRandomValues(new Uint32Array(1))[0]!}`;
}
