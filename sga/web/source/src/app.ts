/** The page: its parts, and what passes between them. */
import { type Conditions, type Latents } from "./core/conditions";
import { fromFragment, type Recipe, toFragment } from "./core/recipe";
import { Spec } from "./core/spec";
import { Engine, type Running } from "./engine/client";
import { type Drawn, type DrawOrder, type Face, type Runs } from "./engine/protocol";
import { type Backend } from "./engine/runtime";
import { threads } from "./isolation";
import { Between } from "./ui/between";
import { Create } from "./ui/create";
import { type Announcer, button, h, named, text } from "./ui/dom";
import { describe } from "./ui/describe";
import { Faces } from "./ui/faces";
import { Name } from "./ui/name";
import { Shown } from "./ui/shown";
import { Status } from "./ui/status";
import { History, recall, remember } from "./ui/store";
import { Tabs } from "./ui/tabs";
import { say } from "./words";

const CREATE = 0;
const NAME = 1;
const BETWEEN = 2;
const THUMBNAIL = 128;

export class App {
  readonly element = h("main");
  runs!: Runs;
  private readonly create: Create;
  private readonly name: Name;
  private readonly between: Between;
  private readonly shown: Shown;
  private readonly seen: Faces;
  private readonly status: Status;
  private readonly tabs: Tabs;
  private readonly notice = h("div", { className: "notice", hidden: true, attributes: { role: "alert" } });
  private readonly empty = text("p", "history.empty", { className: "note" });

  constructor(
    readonly spec: Spec,
    private engine: Engine,
    runs: Runs,
    private readonly history: History,
    private readonly announcer: Announcer,
    private readonly place: URL,
  ) {
    this.create = new Create({
      spec,
      announcer,
      chosen: () => this.shown.face,
      choose: (face) => this.choose(face),
      draw: (order, drawn) => this.draw(order, drawn),
      available: (conditions) => this.available(conditions),
      failed: (error) => this.fail(error),
    });
    this.shown = new Shown(
      spec,
      announcer,
      (face) => this.link(face),
      (face, times, told) => this.enlarge(face, times, told),
    );
    this.name = new Name(spec, (recipe) => void this.redraw(recipe));
    this.between = new Between(
      spec,
      () => this.shown.face,
      (a, b, t, settled) => this.mix(a, b, t, settled),
    );
    this.seen = new Faces(spec, "history.list", "strip", THUMBNAIL, (face) => this.choose(face, false));
    this.status = new Status(spec, (backend) => void this.switch(backend));
    const contents = [this.create.element, this.name.element, this.between.element];
    const keys = ["tab.create", "tab.name", "tab.between"] as const;
    this.tabs = new Tabs(
      contents.map((content, place) => ({ key: keys[place]!, content })),
      (place) => {
        if (place === BETWEEN) this.between.begin(this.shown.face, this.another());
      },
    );
    const forget = button("history.clear", () => void this.forget(), { className: "quiet" });
    const before = named(
      h(
        "section",
        { className: "before" },
        h("div", { className: "bar" }, text("h2", "history"), forget),
        this.empty,
        this.seen.element,
      ),
      "history",
    );
    this.element.append(this.notice, this.shown.element, this.tabs.element, before, this.status.element);
    this.tell(runs);
  }

  /** What the address asks for, or sixteen new faces. */
  async begin(): Promise<void> {
    await Promise.all([this.recall(), this.create.offer()]);
    window.addEventListener("hashchange", () => void this.follow());
    if (await this.follow()) return;
    await this.create.shuffle();
  }

  // -- what the parts ask for ----------------------------------------------------------------------------------------------

  draw(order: DrawOrder, drawn: (drawn: Drawn) => void = () => undefined): Running<{ attempts: number }> {
    const { engine } = this;
    return engine.ask(order, {
      drawn: (one) => {
        if (engine === this.engine) this.status.time(one.face.spent.draw);
        if (!this.shown.face && one.done && order.plans.length > 1) this.choose(one.face, false);
        drawn(one);
      },
    });
  }

  /** One face, exactly as a recipe names it. */
  async one(recipe: Recipe, judged = true): Promise<Face> {
    const faces: Face[] = [];
    const order: DrawOrder = {
      order: "draw",
      plans: [{ kind: "recipe", recipe }],
      strictness: "usual",
      maxAttempts: 1,
      judged,
      where: {},
    };
    await this.draw(order, ({ face }) => faces.push(face)).ended;
    return faces[0]!;
  }

  async latents(recipe: Recipe): Promise<{ latents: Latents; attempt: number }> {
    return (await this.engine.ask<{ latents: Latents; attempt: number }>({ order: "latents", recipe }).ended).result;
  }

  async judge(pixels: Uint8Array): Promise<unknown> {
    return (await this.engine.ask({ order: "judge", pixels }).ended).result;
  }

  /** The chosen face as it is downloaded, so many times as large. */
  png(times = 1): Promise<Uint8Array> {
    return this.shown.png(times);
  }

  link(face: Face): string {
    const url = new URL(location.href);
    url.search = "";
    url.hash = toFragment(this.spec, face.recipe);
    return url.href;
  }

  private async available(conditions: Conditions): Promise<Record<string, number[]>> {
    return (await this.engine.ask<Record<string, number[]>>({ order: "available", ...conditions }).ended).result;
  }

  private async enlarge(
    { pixels }: Face,
    times: number,
    progress: (received: number, total: number) => void,
  ): Promise<Uint8Array> {
    return (await this.engine.ask<Uint8Array>({ order: "enlarge", pixels, times }, { progress }).ended).result;
  }

  private async redraw(recipe: Recipe): Promise<void> {
    try {
      this.choose(await this.one(recipe));
    } catch (error) {
      this.fail(error);
    }
  }

  private async mix(a: Face, b: Face, t: number, settled: boolean): Promise<void> {
    try {
      const { result } = await this.engine.ask<Face>({ order: "mix", a: a.latents, b: b.latents, t, judged: settled }).ended;
      if (settled) this.choose(result);
      else this.shown.show(result);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Show a face, name it in the address, and remember it. */
  private choose(face: Face, fresh = true): void {
    const fragment = toFragment(this.spec, face.recipe);
    this.shown.show(face);
    this.create.mark(face);
    this.seen.mark(face);
    history.replaceState(null, "", `#${fragment}`);
    this.announcer.say(say("chosen", { face: describe(this.spec, face) }));
    if (fresh) void this.history.add(fragment, face).then(() => this.recall());
  }

  /** Another face than the chosen one, for the other end of the slider. */
  private another(): Face | null {
    return (
      [...this.create.faces.faces, ...this.seen.faces].find((face) => face && face.pixels !== this.shown.face?.pixels) ?? null
    );
  }

  // -- address, history, engine --------------------------------------------------------------------------------------------

  /** Redraw what the fragment of the address names. False: it names nothing. */
  private async follow(): Promise<boolean> {
    const asked = fromFragment(this.spec, location.hash);
    this.notice.hidden = true;
    if (!asked) return false;
    if (asked.recipe === null) this.note(say("other.unreadable"));
    else if (asked.model !== this.spec.header.drawing)
      this.note(say("other.model", { model: asked.model, hash: this.spec.header.drawing }));
    if (!asked.recipe) return false;
    if (asked.recipe.kind === "id") {
      this.name.put(asked.recipe);
      this.tabs.open(NAME);
    } else this.tabs.open(CREATE);
    await this.redraw(asked.recipe);
    return true;
  }

  private async recall(): Promise<void> {
    const faces = await this.history.all();
    this.empty.hidden = faces.length > 0;
    this.seen.reset(faces);
    this.seen.mark(this.shown.face);
  }

  private async forget(): Promise<void> {
    await this.history.clear();
    await this.recall();
    this.announcer.show(say("history.cleared"));
  }

  /** Draw with another backend once it has passed its self-check. The present one draws until then, and ends what it began. */
  async switch(backend: Backend): Promise<void> {
    this.status.trying();
    try {
      const { engine, started } = await Engine.start(this.place, backend, threads(), () => undefined);
      const former = this.engine;
      this.engine = engine;
      former.retire();
      this.tell(started.runs);
    } catch (error) {
      this.tell({ ...this.runs, refused: reasonOf(error) });
    }
    remember("backend", this.runs.backend);
  }

  private tell(runs: Runs): void {
    this.runs = runs;
    this.status.tell(runs);
  }

  private note(words: string): void {
    this.notice.hidden = false;
    const close = button("close", () => (this.notice.hidden = true), { className: "quiet" });
    this.notice.replaceChildren(h("p", {}, words), close);
  }

  private fail(error: unknown): void {
    this.note(say("failed.draw", { reason: reasonOf(error) }));
  }
}

/** Start the worker and build the page on it; the graphics card, where it was switched on, takes over when it is ready. */
export async function open(
  place: URL,
  announcer: Announcer,
  progress: (received: number, total: number) => void,
): Promise<App> {
  const { engine, started } = await Engine.start(place, "wasm", threads(), progress);
  const history = await History.open(started.header.drawing);
  const app = new App(new Spec(started.header), engine, started.runs, history, announcer, place);
  if (recall("backend") === "webgpu" && Status.webgpu) void app.switch("webgpu");
  return app;
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
