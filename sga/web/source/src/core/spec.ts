/** What the page reads of a model: the header that sga/web writes, and the arrays behind it. */

export interface Attribute {
  name: string;
  kind: "exclusive" | "independent" | "ordinal";
  role: "gender" | "style" | "quality";
  values: string[];
}

export interface FileEntry {
  path: string;
  /** Bytes that travel, and bytes unpacked. */
  bytes: number;
  unpacked: number;
}

/** The upscaler: fetched when a larger picture is first asked for. */
export interface UpscalerEntry extends FileEntry {
  /** What pictures say enlarged them: 16 hex digits of the unpacked file's SHA-256. */
  name: string;
  /** What one pass, two passes and so on enlarge by. */
  factors: number[];
}

export interface ArrayEntry {
  dtype: "float16" | "float32" | "float64" | "int8" | "int16" | "int32" | "uint8";
  shape: number[];
  offset: number;
}

export interface Header {
  format: number;
  hash: string;
  /** Names what decides a face; another judge leaves it as it is. Links carry it. */
  drawing: string;
  name: string;
  algorithm: number;
  attributes: Attribute[];
  size: number;
  noise_size: number;
  style_size: number;
  style_source: "features" | "tags";
  style_prior: "empirical" | "truncated_normal";
  style_jitter: number;
  gender_threshold: number;
  /** Quality from which a face is accepted, by code of the gender. */
  accepted: { usual: number[]; strict: number[] };
  max_attempts: number;
  avatar_attempts: number;
  licence: string;
  judge: string;
  files: { generator: FileEntry; judge: FileEntry; arrays: FileEntry; upscaler?: UpscalerEntry };
  arrays: Record<string, ArrayEntry>;
}

export type Numbers = Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array;
export type Arrays = Record<string, Numbers>;

export class Spec {
  readonly gender: Attribute;
  readonly quality: Attribute;
  /** Every attribute but quality, in the order of the judge's probabilities. */
  readonly judged: Attribute[];
  readonly styled: Attribute[];

  constructor(readonly header: Header) {
    this.gender = header.attributes.find((one) => one.role === "gender")!;
    this.quality = header.attributes.find((one) => one.role === "quality")!;
    this.judged = header.attributes.filter((one) => one.role !== "quality");
    this.styled = header.attributes.filter((one) => one.role === "style");
  }

  /** Whether style rows of real faces carry an attribute. */
  labelled(name: string): boolean {
    return `codes.${name}` in this.header.arrays;
  }

  get empirical(): boolean {
    return this.header.style_prior === "empirical" && this.header.style_size > 0;
  }

  /** Attributes that can be asked for: where styles come from real faces, only those that the faces are labelled with. */
  get asked(): Attribute[] {
    return this.styled.filter((one) => !this.empirical || this.labelled(one.name));
  }
}

/** The arrays of a header out of the one file that holds them, little-endian. */
export function readArrays(header: Header, content: ArrayBuffer): Arrays {
  const arrays: Arrays = {};
  for (const [name, { dtype, shape, offset }] of Object.entries(header.arrays)) {
    const count = shape.reduce((product, edge) => product * edge, 1);
    arrays[name] = READ[dtype](new DataView(content), offset, count);
  }
  return arrays;
}

const READ: Record<ArrayEntry["dtype"], (view: DataView, offset: number, count: number) => Numbers> = {
  float16: (view, offset, count) => Float32Array.from({ length: count }, (_, i) => half(view.getUint16(offset + 2 * i, true))),
  float32: (view, offset, count) => Float32Array.from({ length: count }, (_, i) => view.getFloat32(offset + 4 * i, true)),
  float64: (view, offset, count) => Float64Array.from({ length: count }, (_, i) => view.getFloat64(offset + 8 * i, true)),
  int8: (view, offset, count) => Int8Array.from({ length: count }, (_, i) => view.getInt8(offset + i)),
  int16: (view, offset, count) => Int16Array.from({ length: count }, (_, i) => view.getInt16(offset + 2 * i, true)),
  int32: (view, offset, count) => Int32Array.from({ length: count }, (_, i) => view.getInt32(offset + 4 * i, true)),
  uint8: (view, offset, count) => Uint8Array.from({ length: count }, (_, i) => view.getUint8(offset + i)),
};

/** A half-precision number, which a double holds exactly. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
