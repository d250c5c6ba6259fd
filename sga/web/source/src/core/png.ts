/** A PNG of one's own: pixels as they are, and the same text that the command line writes. */
import { toText } from "./latents";
import { type Latents } from "./conditions";
import { type Verdict } from "./criterion";
import { type Recipe } from "./recipe";
import { identityDigest } from "./rng";
import { type Spec } from "./spec";

export interface Pictured {
  recipe: Recipe;
  latents: Latents;
  attempt: number;
  verdict: Verdict | null;
  failed: string[];
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const encoder = new TextEncoder();

/** What the PNG carries as text, in the words of sga/generation/face.py. times: by how much the upscaler enlarged the face. */
export function metadata(spec: Spec, face: Pictured, times = 1): Record<string, string> {
  const { recipe, latents, verdict, failed } = face;
  const subject: Record<string, string> = {};
  if (recipe.kind === "seed") Object.assign(subject, { seed: recipe.seed, index: `${recipe.index}` });
  if (recipe.kind === "id") Object.assign(subject, { avatar: identityDigest(recipe.identity) });
  const told: Record<string, string> = {};
  if (verdict && recipe.kind !== "id") {
    Object.assign(told, { quality: verdict.quality.toFixed(4), accepted: `${failed.length === 0}` });
    if (failed.length) told["failed"] = failed.join(" ");
  }
  return {
    Software: "sga-gan",
    made: recipe.kind === "id" ? "avatar" : "page",
    ...sizeNotes(spec, times),
    ...subject,
    attempt: `${face.attempt}`,
    gender: spec.gender.values[latents.gender]!,
    style: [...latents.style].map(floatText).join(" "),
    ...told,
    model: spec.header.hash,
    model_name: spec.header.name,
    drawing: spec.header.drawing,
    algorithm: `${spec.header.algorithm}`,
    licence: spec.header.licence,
    latents: toText(latents),
  };
}

/** What a face says of another size than its own; nothing of its own. */
function sizeNotes({ header }: Spec, times: number): Record<string, string> {
  return times === 1 ? {} : { size: `${header.size * times}`, upscaler: header.files.upscaler!.name };
}

/** The shortest decimal text that a float32 comes back from, as NumPy writes it. */
export function floatText(value: number): string {
  let shortest = value;
  for (let digits = 1; digits <= 9; digits++) {
    shortest = Number(value.toPrecision(digits));
    if (Math.fround(shortest) === value) break;
  }
  if (Number.isInteger(shortest)) return Object.is(value, -0) ? "-0.0" : `${shortest}.0`;
  if (Math.abs(value) >= 1e-4) return `${shortest}`;
  return shortest.toExponential().replace(/e-(\d)$/, "e-0$1");
}

/** PNG bytes of RGB pixels, (size * size * 3). */
export async function encodePng(
  pixels: Uint8Array,
  size: number,
  text: Record<string, string>,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, size);
  header.setUint32(4, size);
  header.setUint16(8, 0x0802); // 8 bits, RGB
  const rows = new Uint8Array(size * (1 + 3 * size)); // each row begins with its filter: none
  for (let y = 0; y < size; y++) rows.set(pixels.subarray(3 * size * y, 3 * size * (y + 1)), y * (1 + 3 * size) + 1);
  const chunks = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", new Uint8Array(header.buffer)),
    ...Object.entries(text).map(textChunk),
    chunk("IDAT", await deflate(rows)),
    chunk("IEND", new Uint8Array()),
  ];
  return joined(chunks);
}

function textChunk([key, value]: [string, string]): Uint8Array {
  if (/^[\x00-\x7f]*$/.test(value))
    return chunk("tEXt", joined([encoder.encode(key), Uint8Array.of(0), encoder.encode(value)]));
  return chunk("iTXt", joined([encoder.encode(key), Uint8Array.of(0, 0, 0, 0, 0), encoder.encode(value)]));
}

function chunk(kind: string, content: Uint8Array): Uint8Array {
  const body = joined([encoder.encode(kind), content]);
  const [length, check] = [new DataView(new ArrayBuffer(4)), new DataView(new ArrayBuffer(4))];
  length.setUint32(0, content.length);
  check.setUint32(0, crc32(body));
  return joined([new Uint8Array(length.buffer), body, new Uint8Array(check.buffer)]);
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function deflate(content: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([content]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function crc32(bytes: Uint8Array): number {
  let check = 0xffffffff;
  for (const byte of bytes) {
    check ^= byte;
    for (let bit = 0; bit < 8; bit++) check = (check >>> 1) ^ (check & 1 ? 0xedb88320 : 0);
  }
  return (check ^ 0xffffffff) >>> 0;
}
