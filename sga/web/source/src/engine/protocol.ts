/** What page and worker say to each other. */
import { type Conditions, type Latents } from "../core/conditions";
import { type Strictness, type Verdict } from "../core/criterion";
import { type Locks } from "../core/latents";
import { type Recipe } from "../core/recipe";
import { type Header } from "../core/spec";
import { type Backend } from "./runtime";

/** A drawn face. pixels: RGB; verdict: null where nobody judged; attempts: how many were tried; spent: ms. */
export interface Face {
  recipe: Recipe;
  latents: Latents;
  pixels: Uint8Array<ArrayBuffer>;
  verdict: Verdict | null;
  failed: string[];
  attempt: number;
  attempts: number;
  spent: { draw: number; judge: number };
}

/** What runs. difference: the largest, in pixel values, between the self-check's faces and those that the exporter drew. */
export interface Runs {
  backend: Backend;
  threads: number;
  isolated: boolean;
  difference: number;
  /** Why WebGPU was asked for and does not run; "" where it runs or nobody asked. */
  refused: string;
}

/** A face to be drawn again until it is good. Attempts count from the plan's own. */
export type Plan =
  | { kind: "recipe"; recipe: Recipe }
  | ({ kind: "fresh"; seed: string; index: number; base?: Latents; locks: Locks } & Conditions)
  | { kind: "near"; seed: string; index: number; base: Latents; strength: number; locks: Locks };

export interface StartOrder {
  order: "start";
  model: string;
  backend: Backend;
  threads: number;
}

/** Draw faces until each is good: a round of first attempts, then those that were not. */
export interface DrawOrder {
  order: "draw";
  plans: Plan[];
  strictness: Strictness;
  maxAttempts: number;
  /** false: nothing is judged at all, as while a slider moves. */
  judged: boolean;
  where: Conditions["where"];
}

/** Make a face as drawn larger by the model's upscaler, which is fetched where that was not done. */
export interface EnlargeOrder {
  order: "enlarge";
  pixels: Uint8Array;
  times: number;
}

export type Order =
  | StartOrder
  | DrawOrder
  | { order: "mix"; a: Latents; b: Latents; t: number; judged: boolean }
  | { order: "latents"; recipe: Recipe }
  | { order: "judge"; pixels: Uint8Array }
  | EnlargeOrder
  | { order: "available"; gender: number | null; where: Conditions["where"] };

export type Request = (Order & { id: number }) | { order: "stop"; id: number };

/** A face as it stands after one more attempt. */
export interface Drawn {
  place: number;
  face: Face;
  done: boolean;
}

export type Reply =
  | { id: number; event: "progress"; received: number; total: number }
  | { id: number; event: "drawn"; drawn: Drawn }
  | { id: number; event: "end"; result: unknown; stopped: boolean }
  | { id: number; event: "error"; message: string };

export interface Started {
  header: Header;
  runs: Runs;
}
