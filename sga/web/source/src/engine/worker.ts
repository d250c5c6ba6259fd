/** The worker: all drawing and judging, so that the page stays responsive. Orders take turns, pass by pass, the newest first. */
import { type Conditions, StylePrior } from "../core/conditions";
import { better, failures } from "../core/criterion";
import { locked, mix, vary } from "../core/latents";
import { latentsOf, type Recipe } from "../core/recipe";
import { Draws, seedSubject } from "../core/rng";
import { type Arrays, type Header, readArrays, Spec } from "../core/spec";
import { download, Progress } from "./files";
import { Networks } from "./networks";
import {
  type DrawOrder,
  type EnlargeOrder,
  type Face,
  type Order,
  type Plan,
  type Reply,
  type Request,
  type StartOrder,
} from "./protocol";
import { loadRuntime } from "./runtime";
import { Upscaler } from "./upscaler";

interface Model {
  spec: Spec;
  arrays: Arrays;
  prior: StylePrior;
  networks: Networks;
  upscaler: Upscaler | null;
}

/** An order under way. Each step is one pass through the networks at most. */
interface Job {
  id: number;
  steps: AsyncGenerator<void, unknown>;
  stopped: boolean;
}

const FAITHFUL = 2; // of 255: what rounding may do to a pixel
let model: Model | undefined;
const jobs: Job[] = [];
let busy = false;

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.order === "stop") {
    const job = jobs.find((one) => one.id === data.id);
    if (job) job.stopped = true;
    return;
  }
  if (data.order === "enlarge") void enlarge(data, data.id);
  else begin(data, data.id);
};

function begin(order: Order, id: number): void {
  jobs.push({ id, steps: steps(order, id), stopped: false });
  void work();
}

/** Others are drawn while the upscaler travels. */
async function enlarge(order: EnlargeOrder, id: number): Promise<void> {
  try {
    await model?.upscaler?.fetch(progressOf(id));
    begin(order, id);
  } catch (error) {
    fail(id, error);
  }
}

async function work(): Promise<void> {
  if (busy) return;
  busy = true;
  while (jobs.length) {
    const job = jobs.at(-1)!;
    try {
      const step = job.stopped ? await job.steps.return(null) : await job.steps.next();
      if (step.done) {
        jobs.splice(jobs.indexOf(job), 1);
        say({ id: job.id, event: "end", result: step.value, stopped: job.stopped });
      }
    } catch (error) {
      jobs.splice(jobs.indexOf(job), 1);
      fail(job.id, error);
    }
    await turn(); // messages that wait are taken first
  }
  busy = false;
}

const channel = new MessageChannel();

/** The end of the event loop's turn; timers would wait four milliseconds. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    channel.port1.onmessage = () => resolve();
    channel.port2.postMessage(null);
  });
}

function say(reply: Reply): void {
  self.postMessage(reply);
}

function fail(id: number, error: unknown): void {
  say({ id, event: "error", message: error instanceof Error ? error.message : String(error) });
}

function progressOf(id: number): Progress {
  return new Progress((received, total) => say({ id, event: "progress", received, total }));
}

async function* steps(order: Order, id: number): AsyncGenerator<void, unknown> {
  if (order.order === "start") return await start(order, id);
  if (!model) throw new Error("Expected the model to be loaded first.");
  switch (order.order) {
    case "draw":
      return yield* drawUntilGood(model, order, id);
    case "mix": {
      const latents = mix(order.a, order.b, order.t);
      return await faceOf(model, { kind: "latents", latents }, order.judged ? {} : null);
    }
    case "latents":
      return latentsOf(order.recipe, model.prior, model.arrays);
    case "judge":
      return (await model.networks.look([order.pixels]))[0];
    case "enlarge":
      if (!model.upscaler) throw new Error("Expected a model with an upscaler; this one has none.");
      return yield* model.upscaler.enlarge(order.pixels, model.spec.header.size, order.times);
    case "available":
      return available(model, order);
  }
}

async function start({ model: place, backend, threads }: StartOrder, id: number): Promise<unknown> {
  const response = await fetch(new URL("model.json", place), { cache: "no-cache" });
  if (!response.ok) throw new Error(`model.json: ${response.status} ${response.statusText}`);
  const header = (await response.json()) as Header;
  const spec = new Spec(header);
  const progress = progressOf(id);
  const { generator, judge, arrays: packed, upscaler } = header.files;
  const [ort, drawing, judging, content] = await Promise.all([
    loadRuntime(backend, threads, progress),
    ...[generator, judge, packed].map((file) => download(new URL(file.path, place), file, progress)),
  ] as const);
  const arrays = readArrays(header, content!);
  const prior = new StylePrior(spec, arrays, new Draws(header.algorithm, arrays["quantiles"]!));
  const networks = await Networks.create(ort, spec, backend, drawing!, judging!);
  model = { spec, arrays, prior, networks, upscaler: upscaler ? new Upscaler(ort, upscaler, place) : null };
  const difference = await selfCheck(model);
  if (difference > FAITHFUL) throw new Error(`self-check: pixels differ by ${difference} of 255`);
  return { header, runs: { backend, threads, isolated: self.crossOriginIsolated, difference, refused: "" } };
}

/** The largest difference between known faces as they are drawn here and as the exporter drew them, in pixel values. */
async function selfCheck({ arrays, networks, spec, prior }: Model): Promise<number> {
  let worst = 0;
  for (let gender = 0; gender < spec.gender.values.length; gender++) {
    const position = { subject: seedSubject("0"), index: 0, attempt: 0 };
    if (prior.genders({ gender, where: {} }).length === 0) continue;
    const [pixels] = await networks.draw([prior.draw({ gender, where: {} }, position)]);
    const known = arrays["check"]!.subarray(gender * pixels!.length, (gender + 1) * pixels!.length);
    pixels!.forEach((value, i) => (worst = Math.max(worst, Math.abs(value - known[i]!))));
  }
  return worst;
}

async function* drawUntilGood(model: Model, order: DrawOrder, id: number): AsyncGenerator<void, unknown> {
  const { plans, strictness, maxAttempts, judged } = order;
  const best: (Face | undefined)[] = plans.map(() => undefined);
  let open = plans.map((_, place) => place);
  let tried = 0;
  for (let turn = 0; open.length; turn++) {
    const unsettled: number[] = [];
    for (const place of open) {
      const { recipe, where } = attemptOf(model, plans[place]!, turn, order.where);
      const face = await faceOf(model, recipe, judged ? where : null, strictness);
      tried++;
      const before = best[place];
      const kept =
        before && face.verdict && before.verdict && !better(model.spec, scored(face), scored(before)) ? before : face;
      best[place] = { ...kept, attempts: turn + 1 };
      const done = !judged || strictness === "off" || face.failed.length === 0 || turn + 1 >= limit(plans[place]!, maxAttempts);
      if (!done) unsettled.push(place);
      say({ id, event: "drawn", drawn: { place, face: best[place], done } });
      yield;
    }
    open = unsettled;
  }
  return { attempts: tried };
}

function scored(face: Face): { failed: string[]; quality: number } {
  return { failed: face.failed, quality: face.verdict!.quality };
}

/** A face that was named exactly has one attempt: it is redrawn, not replaced. */
function limit(plan: Plan, maxAttempts: number): number {
  return plan.kind === "recipe" ? 1 : maxAttempts;
}

function attemptOf(
  { prior }: Model,
  plan: Plan,
  attempt: number,
  where: Conditions["where"],
): { recipe: Recipe; where: Conditions["where"] } {
  if (plan.kind === "recipe") return { recipe: plan.recipe, where: plan.recipe.kind === "seed" ? plan.recipe.where : {} };
  const { seed, index } = plan;
  if (plan.kind === "near") {
    const position = { subject: seedSubject(seed), index, attempt };
    return { recipe: made(vary(prior, plan.base, position, plan.strength, plan.locks)), where };
  }
  const conditions = { gender: plan.gender, where: plan.where };
  if (!plan.base || !(plan.locks.noise || plan.locks.style))
    return { recipe: { kind: "seed", seed, index, attempt, ...conditions }, where };
  const fresh = prior.draw(conditions, { subject: seedSubject(seed), index, attempt });
  return { recipe: made(locked(fresh, plan.base, plan.locks)), where };
}

function made(latents: Face["latents"]): Recipe {
  return { kind: "latents", latents };
}

/** where: what the judge must see beside gender and quality; null = nobody judges. */
async function faceOf(
  model: Model,
  recipe: Recipe,
  where: Conditions["where"] | null,
  strictness: DrawOrder["strictness"] = "usual",
): Promise<Face> {
  const { latents, attempt } = latentsOf(recipe, model.prior, model.arrays);
  const begun = performance.now();
  const [pixels] = await model.networks.draw([latents]);
  const drawn = performance.now();
  const face = { recipe, latents, pixels: pixels!, attempt, attempts: 1, spent: { draw: drawn - begun, judge: 0 } };
  if (!where) return { ...face, verdict: null, failed: [] };
  const [verdict] = await model.networks.look([pixels!]);
  face.spent.judge = performance.now() - drawn;
  return { ...face, verdict: verdict!, failed: failures(model.spec, verdict!, latents.gender, where, strictness) };
}

/** For every attribute that can be asked for, the codes that real styles have beside what is asked of the others; and the genders. */
function available({ spec, prior }: Model, { gender, where }: Conditions): Record<string, number[]> {
  const possible: Record<string, number[]> = {};
  for (const one of spec.asked) {
    const others = Object.fromEntries(Object.entries(where).filter(([name]) => name !== one.name));
    const codes = one.values.map((_, code) => code);
    possible[one.name] = codes.filter((code) => prior.genders({ gender, where: { ...others, [one.name]: code } }).length > 0);
  }
  possible[spec.gender.name] = spec.gender.values
    .map((_, code) => code)
    .filter((code) => prior.genders({ gender: code, where }).length > 0);
  return possible;
}
