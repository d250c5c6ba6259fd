/** The ports against vectors that Python wrote: tests/sga/test_page_build.py names their folder in SGA_VECTORS. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { StylePrior } from "../src/core/conditions";
import { LatentCritic, quantise } from "../src/core/critic";
import { mix, onGrid, pack, toText, unpack, vary } from "../src/core/latents";
import { floatText } from "../src/core/png";
import { fromFragment, latentsOf, type Recipe, toFragment } from "../src/core/recipe";
import { enlarge } from "../src/core/resize";
import { Draws, idSubject, seedSubject, words } from "../src/core/rng";
import { half, type Header, readArrays, Spec } from "../src/core/spec";

interface Vectors {
  positions: { subject: string; index: number; attempt: number; words: string[]; normal: number[]; below: number[] }[];
  avatars: {
    identity: string;
    attempt: number;
    score: number;
    gender: number;
    noise: number[];
    style: number[];
    text: string;
  }[];
  floats: [number, string][];
}

const folder = process.env["SGA_VECTORS"] ?? "test/vectors";
const read = (name: string) => readFileSync(`${folder}/${name}`);
const vectors = JSON.parse(read("vectors.json").toString()) as Vectors;
const header = JSON.parse(read("model.json").toString()) as Header;
const packed = gunzipSync(read(header.files.arrays.path.replace("assets/", "")));
const arrays = readArrays(header, packed.buffer.slice(packed.byteOffset, packed.byteOffset + packed.length));
const spec = new Spec(header);
const draws = new Draws(header.algorithm, arrays["quantiles"]!);
const prior = new StylePrior(spec, arrays, draws);

test("words, normals and integers below a bound", () => {
  for (const { words: expected, normal, below, ...position } of vectors.positions) {
    assert.deepEqual([...words(header.algorithm, "noise", position, expected.length)].map(String), expected);
    assert.deepEqual([...draws.truncatedNormal("noise", position, normal.length)], normal);
    assert.deepEqual(
      [2, 3, 60, 12137].map((bound) => draws.below("row", position, bound)),
      below,
    );
  }
});

test("avatars and the critic's scores", () => {
  for (const { identity, attempt, score, gender, noise, style, text } of vectors.avatars) {
    const found = latentsOf({ kind: "id", identity, gender: null }, prior, arrays);
    assert.equal(found.attempt, attempt);
    assert.equal(found.latents.gender, gender);
    assert.deepEqual([...found.latents.noise], noise);
    assert.deepEqual([...found.latents.style], style);
    assert.equal(new LatentCritic(arrays).score(quantise(found.latents, spec.gender.values.length)), score);
    assert.equal(toText(found.latents), text);
  }
});

test("floats as NumPy writes them", () => {
  for (const [value, expected] of vectors.floats) assert.equal(floatText(value), expected);
});

test("half precision", () => {
  const bits = [0x0000, 0x8001, 0x03ff, 0x0400, 0x3c00, 0xc100, 0x7bff, 0x7c00];
  assert.deepEqual(bits.map(half), [0, -(2 ** -24), 1023 * 2 ** -24, 2 ** -14, 1, -2.5, 65504, Infinity]);
  assert.ok(Number.isNaN(half(0x7e00)));
});

test("a link says the same recipe again", () => {
  const latents = onGrid(prior.draw({ gender: 1, where: {} }, { subject: "seed:1", index: 0, attempt: 0 }));
  const style = spec.asked[0]!;
  const recipes: Recipe[] = [
    { kind: "seed", seed: "18446744073709551615", index: 3, attempt: 12, gender: null, where: {} },
    { kind: "seed", seed: "7", index: 0, attempt: 0, gender: 1, where: { [style.name]: style.values.length - 1 } },
    { kind: "id", identity: "Ada & Co #1 = é 😀 +", gender: 0 },
    { kind: "latents", latents },
  ];
  for (const recipe of recipes) {
    const found = fromFragment(spec, `#${toFragment(spec, recipe)}`);
    assert.deepEqual(found, { recipe, model: header.drawing });
  }
  for (const [fragment, kind] of [
    ["", null],
    ["about", null],
    ["s=1&g=robot", "asks"],
    [`l=${"A".repeat(9)}`, "asks"],
    ["s=x", "asks"],
    ["id=", "asks"],
  ] as const) {
    const found = fromFragment(spec, fragment);
    assert.equal(found === null, kind === null, fragment);
    if (found) assert.equal(found.recipe, null);
  }
});

test("made-up latents survive packing bit for bit", () => {
  const [a, b] = [0, 1].map((index) => prior.draw({ gender: index, where: {} }, { subject: "seed:2", index, attempt: 0 })) as [
    never,
    never,
  ];
  for (const latents of [
    mix(a, b, 0.3),
    mix(a, b, 1),
    vary(prior, a, { subject: "seed:3", index: 0, attempt: 0 }, 1, { noise: false, style: false }),
  ]) {
    assert.deepEqual(unpack(spec, pack(latents)), latents);
    assert.ok(latents.noise.every((value) => Math.abs(value) <= 1));
  }
  assert.equal(unpack(spec, "not base64!"), null);
});

test("subjects refuse what Python refuses", () => {
  assert.throws(() => idSubject(""));
  assert.throws(() => idSubject("half \ud800"));
  assert.throws(() => seedSubject("18446744073709551616"));
  assert.throws(() => seedSubject("-1"));
  assert.equal(seedSubject("007"), "seed:7");
});

test("enlarging keeps a flat colour and its mean", () => {
  const flat = new Uint8Array(8 * 8 * 3).fill(77);
  assert.ok(enlarge(flat, 8, 32).every((value, i) => value === (i % 4 === 3 ? 255 : 77)));
});
