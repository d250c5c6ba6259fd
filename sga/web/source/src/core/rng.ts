/**
 * Randomness as a function of position, equal bit for bit to sga/generation/rng.py: BLAKE2b of the position keys a Philox
 * counter generator, whose raw 64-bit words become numbers by integer arithmetic alone.
 */
import { blake2b } from "@noble/hashes/blake2.js";

/** Attempt `attempt` of face `index` of a subject. */
export interface Position {
  subject: string;
  index: number;
  attempt: number;
}

const MASK = (1n << 64n) - 1n;
const MULTIPLIER = [0xd2e7470ee14c6c93n, 0xca5a826395121157n] as const;
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn] as const;
const ROUNDS = 10;
const TO_UNIT = 2 ** -24;
const encoder = new TextEncoder();
const PERSON = new Uint8Array(16); // as hashlib does, zeros fill it up
PERSON.set(encoder.encode("sga-latents"));

/** The subject of a seed in [0, 2**64), as decimal digits. */
export function seedSubject(seed: string): string {
  if (!/^\d{1,20}$/.test(seed) || BigInt(seed) > MASK)
    throw new RangeError(`Expected a seed from 0 to ${MASK}, found ${seed}.`);
  return `seed:${BigInt(seed)}`;
}

/** The subject of an ID: any non-empty text, byte by byte as UTF-8, without Unicode normalisation. */
export function idSubject(identity: string): string {
  if (identity === "") throw new RangeError("Expected an ID of at least one character, found an empty text.");
  if (/\p{Surrogate}/u.test(identity)) throw new RangeError("Expected an ID of valid Unicode text.");
  return `id:${identity}`;
}

/** The digest by which a picture names an avatar: 16 hex digits. */
export function identityDigest(identity: string): string {
  return hex(blake2b(encoder.encode(idSubject(identity)), { dkLen: 8 }));
}

/** The first `count` raw Philox words of `purpose` at a position. */
export function words(algorithm: number, purpose: string, position: Position, count: number): BigUint64Array {
  const hash = blake2b.create({ dkLen: 16, personalization: PERSON });
  for (const part of [purpose, `${algorithm}`, position.subject, `${position.index}`, `${position.attempt}`]) {
    const encoded = encoder.encode(part);
    const length = new Uint8Array(8); // lengths keep ("a", "bc") and ("ab", "c") apart
    new DataView(length.buffer).setBigUint64(0, BigInt(encoded.length), true);
    hash.update(length).update(encoded);
  }
  const digest = hash.digest();
  const key = new DataView(digest.buffer, digest.byteOffset, 16);
  return philox(key.getBigUint64(0, true), key.getBigUint64(8, true), count);
}

/** Philox4x64-10 from counter 0, as NumPy's bit generator gives its raw words: the counter is raised before each block. */
export function philox(key0: bigint, key1: bigint, count: number): BigUint64Array {
  const out = new BigUint64Array(Math.ceil(count / 4) * 4);
  for (let block = 0; block < out.length / 4; block++) {
    let [c0, c1, c2, c3] = [BigInt(block + 1), 0n, 0n, 0n];
    let [k0, k1] = [key0, key1];
    for (let round = 0; round < ROUNDS; round++) {
      const [first, second] = [MULTIPLIER[0] * c0, MULTIPLIER[1] * c2];
      [c0, c1, c2, c3] = [(second >> 64n) ^ c1 ^ k0, second & MASK, (first >> 64n) ^ c3 ^ k1, first & MASK];
      k0 = (k0 + WEYL[0]) & MASK;
      k1 = (k1 + WEYL[1]) & MASK;
    }
    out.set([c0, c1, c2, c3], block * 4);
  }
  return out.subarray(0, count);
}

/** The draws of one model: its algorithm version and its table of 1025 quantiles, times 2**30. */
export class Draws {
  constructor(
    readonly algorithm: number,
    readonly quantiles: ArrayLike<number>,
  ) {}

  /** (count) float32 in [-1, 1]: standard normal truncated to it. */
  truncatedNormal(purpose: string, position: Position, count: number): Float32Array {
    const raw = words(this.algorithm, purpose, position, count);
    const halves = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const [low, high] = LITTLE ? [halves.getUint32(8 * i, true), halves.getUint32(8 * i + 4, true)] : split(raw[i]!);
      const segment = high >>> 22;
      const place = (((high & 0x3fffff) << 10) | (low >>> 22)) >>> 0;
      const from = this.quantiles[segment]!;
      const step = this.quantiles[segment + 1]! - from; // above 0 and below 2**22
      // floor((from * 2**32 + step * place) / 2**38), with place in halves of 16 bits: every term is an integer below 2**53.
      const sixteenth = step * (place >>> 16) + Math.floor((step * (place & 0xffff)) / 0x10000);
      values[i] = Math.floor((from * 0x10000 + sixteenth) / 0x400000) * TO_UNIT;
    }
    return values;
  }

  /** An integer in [0, bound), each equally likely. */
  below(purpose: string, position: Position, bound: number): number {
    const limit = (1n << 64n) - ((1n << 64n) % BigInt(bound));
    for (let count = 4; ; count *= 2) {
      for (const word of words(this.algorithm, purpose, position, count)) {
        if (word < limit) return Number(word % BigInt(bound));
      }
    }
  }
}

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function split(word: bigint): [number, number] {
  return [Number(word & 0xffffffffn), Number(word >> 32n)];
}

export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
