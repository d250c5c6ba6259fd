/** When a face is accepted, as sga/generation/criterion.py has it. */
import { type Conditions } from "./conditions";
import { type Spec } from "./spec";

/** off: the first attempt stays whatever the judge says of it. */
export type Strictness = "off" | "usual" | "strict";

/** What the judge says of one face. probabilities: by attribute; a single one of "yes" for an independent attribute. */
export interface Verdict {
  probabilities: Record<string, number[]>;
  quality: number;
}

/** The verdict of one row of the judge's outputs. */
export function readVerdict(spec: Spec, probabilities: ArrayLike<number>, quality: number): Verdict {
  const told: Record<string, number[]> = {};
  let start = 0;
  for (const one of spec.judged) {
    const width = one.kind === "exclusive" ? one.values.length : 1;
    told[one.name] = Array.from({ length: width }, (_, i) => probabilities[start + i]!);
    start += width;
  }
  return { probabilities: told, quality };
}

/** The most probable code. */
export function mostProbable(probability: number[]): number {
  return probability.length === 1 ? Number(probability[0]! >= 0.5) : probability.indexOf(Math.max(...probability));
}

/** Names of the attributes by which a face fails: gender first, then those asked for, then quality. */
export function failures(
  spec: Spec,
  verdict: Verdict,
  gender: number,
  where: Conditions["where"],
  strictness: Strictness,
): string[] {
  const failed: string[] = [];
  const seen = verdict.probabilities[spec.gender.name]!;
  if (mostProbable(seen) !== gender || seen[gender]! < Math.fround(spec.header.gender_threshold)) failed.push(spec.gender.name);
  for (const [name, code] of Object.entries(where)) {
    if (mostProbable(verdict.probabilities[name]!) !== code) failed.push(name);
  }
  const least = spec.header.accepted[strictness === "strict" ? "strict" : "usual"][gender]!;
  if (!(verdict.quality >= least)) failed.push(spec.quality.name);
  return failed;
}

/** Orders attempts that were not accepted: the right gender, then fewer disagreements, then quality. */
export function better(
  spec: Spec,
  one: { failed: string[]; quality: number },
  other: { failed: string[]; quality: number },
): boolean {
  const [a, b] = [one, other].map(({ failed, quality }) => {
    const disagreed = failed.filter((name) => name !== spec.quality.name);
    return [Number(failed.length === 0), Number(!disagreed.includes(spec.gender.name)), -disagreed.length, quality];
  }) as [number[], number[]];
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! > b[i]!;
  return false;
}
