/** Generator and judge. */
import { type Latents } from "../core/conditions";
import { type Verdict, readVerdict } from "../core/criterion";
import { type Spec } from "../core/spec";
import { type Backend, type Ort } from "./runtime";

export type Session = Awaited<ReturnType<Ort["InferenceSession"]["create"]>>;

export function openSession(ort: Ort, content: ArrayBuffer, backend: Backend): Promise<Session> {
  const options = { executionProviders: [backend], graphOptimizationLevel: "all" as const, logSeverityLevel: 3 as const };
  return ort.InferenceSession.create(content, options);
}

export class Networks {
  private constructor(
    private readonly ort: Ort,
    private readonly spec: Spec,
    private readonly generator: Session,
    private readonly judge: Session,
  ) {}

  static async create(ort: Ort, spec: Spec, backend: Backend, generator: ArrayBuffer, judge: ArrayBuffer): Promise<Networks> {
    const draws = await openSession(ort, generator, backend);
    // The judge stays on the processor: it is small, and its scores decide which attempt is taken.
    const judges = await openSession(ort, judge, "wasm");
    return new Networks(ort, spec, draws, judges);
  }

  /** RGB pixels of each face, (size * size * 3). */
  async draw(faces: Latents[]): Promise<Uint8Array<ArrayBuffer>[]> {
    const { noise_size, style_size, size } = this.spec.header;
    const { Tensor } = this.ort;
    const feed: Record<string, InstanceType<Ort["Tensor"]>> = {
      noise: new Tensor("float32", flat(faces.map((one) => one.noise)), [faces.length, noise_size]),
      gender: new Tensor(
        "int64",
        BigInt64Array.from(faces, (one) => BigInt(one.gender)),
        [faces.length],
      ),
    };
    if (style_size) feed["style"] = new Tensor("float32", flat(faces.map((one) => one.style)), [faces.length, style_size]);
    const { image } = await this.generator.run(feed);
    const pixels = (await image!.getData()) as Uint8Array;
    const each = size * size * 3;
    const rows = faces.map((_, i) => Uint8Array.from(pixels.subarray(i * each, (i + 1) * each)));
    image!.dispose();
    return rows;
  }

  async look(pixels: Uint8Array[]): Promise<Verdict[]> {
    const { size } = this.spec.header;
    const all = new Uint8Array(pixels.length * size * size * 3);
    pixels.forEach((one, i) => all.set(one, i * one.length));
    const told = await this.judge.run({ image: new this.ort.Tensor("uint8", all, [pixels.length, size, size, 3]) });
    const probabilities = (await told["probabilities"]!.getData()) as Float32Array;
    const quality = (await told["quality"]!.getData()) as Float32Array;
    const width = probabilities.length / pixels.length;
    const verdicts = pixels.map((_, i) => readVerdict(this.spec, probabilities.slice(i * width, (i + 1) * width), quality[i]!));
    for (const tensor of Object.values(told)) tensor.dispose();
    return verdicts;
  }
}

function flat(rows: Float32Array[]): Float32Array {
  const all = new Float32Array(rows.length * rows[0]!.length);
  rows.forEach((row, i) => all.set(row, i * row.length));
  return all;
}
