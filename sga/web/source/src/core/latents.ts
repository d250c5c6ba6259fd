/** Latents that the page makes of others: variations, mixtures, and their compact text for a link. */
import { type Latents, type StylePrior } from "./conditions";
import { type Position } from "./rng";
import { type Spec } from "./spec";

/** Which part of a face stays while the other is drawn anew. */
export interface Locks {
  noise: boolean;
  style: boolean;
}

const STYLE_STEP = 0.25;
const NOISE_STEPS = 127;
const STYLE_STEPS = 1024;

/**
 * Made-up latents on a coarse grid, so that a link holds them in a few bytes, every bit of them. The steps, 1/127 of the noise's
 * range and 1/1024 of a style's standard deviation, are far below what an eye sees.
 */
export function onGrid({ noise, style, gender }: Latents): Latents {
  return {
    gender,
    noise: noise.map((value) => rounded(clamp(value, 1) * NOISE_STEPS) / NOISE_STEPS),
    style: style.map((value) => rounded(clamp(value, 31) * STYLE_STEPS) / STYLE_STEPS),
  };
}

/** The asked latents with the locked parts of a base. */
export function locked(fresh: Latents, base: Latents, locks: Locks): Latents {
  const noise = locks.noise ? base.noise : fresh.noise;
  const style = locks.style ? base.style : fresh.style;
  return onGrid({ noise, style, gender: fresh.gender });
}

/**
 * A face a small step away from a base, as sga/generation/control.py has it: noise + strength * step, the style a quarter as much.
 * strength: 0 = the base, 1 = far. Tags stay, for they are -1 or 1.
 */
export function vary({ spec, draws }: StylePrior, base: Latents, position: Position, strength: number, locks: Locks): Latents {
  const moved = (values: Float32Array, purpose: string, factor: number) => {
    const steps = draws.truncatedNormal(purpose, position, values.length);
    return values.map((value, i) => value + Math.fround(Math.fround(factor) * steps[i]!));
  };
  const style = spec.header.style_source === "features" ? moved(base.style, "style step", STYLE_STEP * strength) : base.style;
  return locked({ noise: moved(base.noise, "noise step", strength), style, gender: base.gender }, base, locks);
}

/** A face between two. t: 0 = the first, 1 = the second; the noise keeps its usual length on the way, the gender turns half-way. */
export function mix(a: Latents, b: Latents, t: number): Latents {
  const length = Math.hypot(1 - t, t);
  return onGrid({
    noise: a.noise.map((value, i) => ((1 - t) * value + t * b.noise[i]!) / length),
    style: a.style.map((value, i) => (1 - t) * value + t * b.style[i]!),
    gender: t < 0.5 ? a.gender : b.gender,
  });
}

/** Latents on the grid as base64url: gender, noise in bytes, style in two. */
export function pack({ noise, style, gender }: Latents): string {
  const bytes = new Uint8Array(1 + noise.length + 2 * style.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, gender);
  noise.forEach((value, i) => view.setInt8(1 + i, Math.round(value * NOISE_STEPS)));
  style.forEach((value, i) => view.setInt16(1 + noise.length + 2 * i, Math.round(value * STYLE_STEPS), true));
  return base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The inverse of `pack`; null where the text is of another model's sizes, or none. */
export function unpack(spec: Spec, text: string): Latents | null {
  const { noise_size, style_size } = spec.header;
  let binary: string;
  try {
    binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
  const view = new DataView(Uint8Array.from(binary, (letter) => letter.charCodeAt(0)).buffer);
  if (view.byteLength !== 1 + noise_size + 2 * style_size || view.getUint8(0) >= spec.gender.values.length) return null;
  return {
    gender: view.getUint8(0),
    noise: Float32Array.from({ length: noise_size }, (_, i) => view.getInt8(1 + i) / NOISE_STEPS),
    style: Float32Array.from({ length: style_size }, (_, i) => view.getInt16(1 + noise_size + 2 * i, true) / STYLE_STEPS),
  };
}

/** Noise, then style, as base64 of little-endian float32: what the command line reads again (`--again`). */
export function toText({ noise, style }: Latents): string {
  const view = new DataView(new ArrayBuffer(4 * (noise.length + style.length)));
  [...noise, ...style].forEach((value, i) => view.setFloat32(4 * i, value, true));
  return base64(new Uint8Array(view.buffer));
}

/** As Math.round, without a negative zero. */
function rounded(value: number): number {
  return Math.round(value) + 0;
}

function clamp(value: number, limit: number): number {
  return Math.min(Math.max(value, -limit), limit);
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
