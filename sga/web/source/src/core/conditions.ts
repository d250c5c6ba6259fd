/** What a face is asked to be and the latents that follow, equal bit for bit to sga/generation/conditions.py. */
import { type Draws, type Position } from "./rng";
import { type Arrays, type Spec } from "./spec";

/** All that the generator reads. */
export interface Latents {
  noise: Float32Array;
  gender: number;
  style: Float32Array;
}

/** gender: a code, null = each face draws its own; where: code by attribute name. */
export interface Conditions {
  gender: number | null;
  where: Record<string, number>;
}

/** Where styles come from: rows of real styles of the asked kind plus jitter, or a truncated normal. */
export class StylePrior {
  private readonly found = new Map<string, Int32Array>();

  constructor(
    readonly spec: Spec,
    private readonly arrays: Arrays,
    readonly draws: Draws,
  ) {}

  /** The rows of real faces that have the gender and the asked values; empty where there are none. */
  rows(gender: number, where: Record<string, number>): Int32Array {
    const wanted = Object.entries({ [this.spec.gender.name]: gender, ...where }).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify(wanted);
    let rows = this.found.get(key);
    if (!rows) {
      const columns = wanted.map(([name, code]) => [this.arrays[`codes.${name}`]!, code] as const);
      const count = this.spec.header.arrays["style"]!.shape[0]!;
      rows = Int32Array.from(indices(count).filter((row) => columns.every(([codes, code]) => codes[row] === code)));
      this.found.set(key, rows);
    }
    return rows;
  }

  /** The genders that a face may have under conditions. */
  genders({ gender, where }: Conditions): number[] {
    const asked = gender === null ? indices(this.spec.gender.values.length) : [gender];
    return this.spec.empirical ? asked.filter((code) => this.rows(code, where).length > 0) : asked;
  }

  /** (style_size) float32 at a position. */
  style(position: Position, gender: number, where: Record<string, number>): Float32Array {
    const size = this.spec.header.style_size;
    if (!this.spec.empirical) return this.draws.truncatedNormal("style", position, size);
    const rows = this.rows(gender, where);
    if (rows.length === 0) throw new RangeError("Expected styles of real faces with what is asked for, found none.");
    const start = rows[this.draws.below("row", position, rows.length)]! * size;
    const style = Float32Array.from(this.arrays["style"]!.subarray(start, start + size));
    if (this.spec.header.style_jitter === 0) return style;
    const jitter = Math.fround(this.spec.header.style_jitter);
    const normal = this.draws.truncatedNormal("style", position, size);
    // One product and one sum, each rounded to float32.
    return style.map((value, i) => value + Math.fround(jitter * normal[i]!));
  }

  /** The latents of an attempt. A face that draws its own gender draws it once for all its attempts. */
  draw({ gender, where }: Conditions, position: Position): Latents {
    const code = gender ?? this.draws.below("gender", { ...position, attempt: 0 }, this.spec.gender.values.length);
    const style = this.style(position, code, where);
    return { noise: this.draws.truncatedNormal("noise", position, this.spec.header.noise_size), gender: code, style };
  }
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
