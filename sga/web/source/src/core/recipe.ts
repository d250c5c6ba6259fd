/** How a face came about: what a link says, and the latents that follow from it. */
import { type Conditions, type Latents, type StylePrior } from "./conditions";
import { LatentCritic, quantise } from "./critic";
import { pack, unpack } from "./latents";
import { idSubject, seedSubject } from "./rng";
import { type Arrays, type Spec } from "./spec";

/** A face of a seed, of an ID, or latents that were made up. */
export type Recipe =
  | ({ kind: "seed"; seed: string; index: number; attempt: number } & Conditions)
  | { kind: "id"; identity: string; gender: number | null }
  | { kind: "latents"; latents: Latents };

/** The latents of a recipe, and the attempt that an ID takes: that of the highest integer score, the earliest of equals. */
export function latentsOf(recipe: Recipe, prior: StylePrior, arrays: Arrays): { latents: Latents; attempt: number } {
  if (recipe.kind === "latents") return { latents: recipe.latents, attempt: 0 };
  if (recipe.kind === "seed") {
    const position = { subject: seedSubject(recipe.seed), index: recipe.index, attempt: recipe.attempt };
    return { latents: prior.draw(recipe, position), attempt: recipe.attempt };
  }
  return avatar(recipe.identity, recipe.gender, prior, arrays);
}

function avatar(
  identity: string,
  gender: number | null,
  prior: StylePrior,
  arrays: Arrays,
): { latents: Latents; attempt: number } {
  const draw = (attempt: number) => prior.draw({ gender, where: {} }, { subject: idSubject(identity), index: 0, attempt });
  const genders = prior.spec.gender.values.length;
  let best = { latents: draw(0), attempt: 0 };
  if (!("critic.weight0" in arrays)) return best;
  const critic = new LatentCritic(arrays);
  let highest = critic.score(quantise(best.latents, genders));
  for (let attempt = 1; attempt < prior.spec.header.avatar_attempts; attempt++) {
    const latents = draw(attempt);
    const score = critic.score(quantise(latents, genders));
    if (score > highest) [highest, best] = [score, { latents, attempt }];
  }
  return best;
}

/** The fragment of a link: model, then the recipe with names instead of codes. */
export function toFragment(spec: Spec, recipe: Recipe): string {
  const entries = new URLSearchParams({ m: spec.header.drawing });
  if (recipe.kind === "latents") {
    entries.set("l", pack(recipe.latents));
    return entries.toString();
  }
  if (recipe.kind === "id") entries.set("id", recipe.identity);
  else {
    entries.set("s", recipe.seed);
    entries.set("i", `${recipe.index}`);
    entries.set("a", `${recipe.attempt}`);
    for (const [name, code] of Object.entries(recipe.where)) entries.set(`w.${name}`, named(spec, name, code));
  }
  if (recipe.gender !== null) entries.set("g", spec.gender.values[recipe.gender]!);
  return entries.toString();
}

/** What a link says. recipe: null where it asks for what this model does not know; model: the hash that the link names. */
export function fromFragment(spec: Spec, fragment: string): { recipe: Recipe | null; model: string } | null {
  const entries = new URLSearchParams(fragment.replace(/^#/, ""));
  const model = entries.get("m") ?? spec.header.drawing;
  const packed = entries.get("l");
  if (packed !== null) {
    const latents = unpack(spec, packed);
    return { recipe: latents && { kind: "latents", latents }, model };
  }
  const asked = entries.get("g");
  const gender = asked === null ? null : spec.gender.values.indexOf(asked);
  const where: Record<string, number> = {};
  for (const [key, value] of entries) {
    if (!key.startsWith("w.")) continue;
    const attribute = spec.asked.find((one) => one.name === key.slice(2));
    where[key.slice(2)] = attribute ? attribute.values.indexOf(value) : -1;
  }
  const known = gender !== -1 && !Object.values(where).includes(-1);
  const identity = entries.get("id");
  if (identity !== null) return { recipe: known && identity ? { kind: "id", identity, gender } : null, model };
  const seed = entries.get("s");
  if (seed === null) return null;
  const [index, attempt] = [entries.get("i") ?? "0", entries.get("a") ?? "0"];
  const sound =
    known && /^\d{1,20}$/.test(seed) && BigInt(seed) < 1n << 64n && [index, attempt].every((n) => /^\d{1,9}$/.test(n));
  return {
    recipe: sound ? { kind: "seed", seed, index: Number(index), attempt: Number(attempt), gender, where } : null,
    model,
  };
}

function named(spec: Spec, name: string, code: number): string {
  return spec.styled.find((one) => one.name === name)!.values[code]!;
}
