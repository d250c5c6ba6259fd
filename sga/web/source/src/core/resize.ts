/**
 * Pictures made larger with a cubic filter of the family of Mitchell and Netravali (1988). A soft one: it smooths the fine weave
 * that a small generator leaves, which sharper filters would bring out.
 */

const LOBES = 2;
const B = 0.7;
const C = 0.15;

/** RGBA of (to * to) pixels from RGB of (from * from), for a canvas. */
export function enlarge(pixels: Uint8Array, from: number, to: number): Uint8ClampedArray<ArrayBuffer> {
  const taps = kernel(from, to);
  const rows = new Float32Array(from * to * 3);
  for (let y = 0; y < from; y++) {
    for (let x = 0; x < to; x++) {
      const { start, weights } = taps[x]!;
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * pixels[(y * from + start + k) * 3 + c]!;
        rows[(y * to + x) * 3 + c] = sum;
      }
    }
  }
  const out = new Uint8ClampedArray(to * to * 4).fill(255);
  for (let y = 0; y < to; y++) {
    const { start, weights } = taps[y]!;
    for (let x = 0; x < to; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * rows[((start + k) * to + x) * 3 + c]!;
        out[(y * to + x) * 4 + c] = sum;
      }
    }
  }
  return out;
}

function kernel(from: number, to: number): { start: number; weights: number[] }[] {
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) * from) / to;
    const start = Math.max(0, Math.floor(centre - LOBES + 0.5));
    const end = Math.min(from, Math.floor(centre + LOBES + 0.5));
    const raw = Array.from({ length: end - start }, (_, k) => cubic(start + k + 0.5 - centre));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { start, weights: raw.map((weight) => weight / sum) };
  });
}

function cubic(x: number): number {
  const d = Math.abs(x);
  if (d < 1) return ((12 - 9 * B - 6 * C) * d ** 3 + (-18 + 12 * B + 6 * C) * d ** 2 + 6 - 2 * B) / 6;
  if (d < 2) return ((-B - 6 * C) * d ** 3 + (6 * B + 30 * C) * d ** 2 + (-12 * B - 48 * C) * d + 8 * B + 24 * C) / 6;
  return 0;
}
