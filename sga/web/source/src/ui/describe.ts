/** A face in words, for those who cannot see it and for captions. */
import { mostProbable } from "../core/criterion";
import { type Spec } from "../core/spec";
import { type Face } from "../engine/protocol";
import { phrase, say } from "../words";

/** "woman, pink hair, blue eyes": the gender it was drawn as, and what the judge sees beside it. */
export function describe(spec: Spec, face: Pick<Face, "latents" | "verdict">): string {
  const parts = [phrase(spec.gender, face.latents.gender)];
  for (const one of spec.styled) {
    const seen = face.verdict?.probabilities[one.name];
    if (seen) parts.push(phrase(one, mostProbable(seen)));
  }
  return parts.filter(Boolean).join(say("says.comma"));
}
