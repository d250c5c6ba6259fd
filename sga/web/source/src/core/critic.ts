/**
 * The latent critic, equal to sga/generation/critic.py: which attempt an ID takes, in integers. They are doubles here: the
 * exporter refuses weights for which a sum could reach 2**53 (`exact_sums` in sga/web/arrays.py), so every one is exact.
 */
import { type Latents } from "./conditions";
import { type Arrays } from "./spec";

const SCALE = 127;
const INPUT_LIMIT = 1023;
const ACTIVATION_LIMIT = 32767;

/** Latents times 127, rounded half to even, and the gender one-hot times 127. */
export function quantise({ noise, style, gender }: Latents, genders: number): Float64Array {
  const floats = [...noise, ...style].map((value) => Math.min(Math.max(halfToEven(value * SCALE), -INPUT_LIMIT), INPUT_LIMIT));
  return Float64Array.from([...floats, ...Array.from({ length: genders }, (_, code) => (code === gender ? SCALE : 0))]);
}

function halfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor; // exact: float32 times 127 has at most 31 bits
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

export class LatentCritic {
  private readonly layers: number;

  constructor(private readonly arrays: Arrays) {
    this.layers = Object.keys(arrays).filter((name) => name.startsWith("critic.weight")).length;
  }

  /** The score of quantised latents; higher is better. */
  score(inputs: Float64Array): number {
    let hidden = inputs;
    for (let layer = 0; layer < this.layers; layer++) {
      const weight = this.arrays[`critic.weight${layer}`]!;
      const bias = this.arrays[`critic.bias${layer}`]!;
      const next = new Float64Array(bias.length);
      for (let row = 0; row < next.length; row++) {
        let total = bias[row]!;
        for (let i = 0; i < hidden.length; i++) total += hidden[i]! * weight[row * hidden.length + i]!;
        next[row] = total;
      }
      if (layer === this.layers - 1) return next[0]!;
      const divisor = 2 ** this.arrays["critic.shift"]![layer]!;
      hidden = next.map((total) => Math.min(Math.max(Math.floor(total / divisor), 0), ACTIVATION_LIMIT));
    }
    return 0;
  }
}
