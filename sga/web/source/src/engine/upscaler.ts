/** The model's upscaler, as sga/generation/enlarge.py runs it. The page offers only factors that need no tiles there. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type UpscalerEntry } from "../core/spec";
import { download, type Progress } from "./files";
import { openSession, type Session } from "./networks";
import { type Ort } from "./runtime";

export class Upscaler {
  private content: Promise<ArrayBuffer> | null = null;
  private session: Session | null = null;
  private cache: RequestCache = "default";

  constructor(
    private readonly ort: Ort,
    private readonly entry: UpscalerEntry,
    private readonly place: string,
  ) {}

  /** Fetch the file, unless it is there or on its way. One that failed is fetched anew, past the browser's cache. */
  async fetch(progress: Progress): Promise<void> {
    this.content ??= this.download(progress);
    try {
      await this.content;
    } catch (error) {
      this.content = null;
      this.cache = "reload";
      throw error;
    }
  }

  /** RGB of (times·size * times·size) pixels from RGB of (size * size), a pass at a time. The file must have been fetched. */
  async *enlarge(pixels: Uint8Array, size: number, times: number): AsyncGenerator<void, Uint8Array> {
    const { factors } = this.entry;
    const passes = factors.indexOf(times) + 1;
    if (!passes) throw new Error(`Expected to enlarge by ${factors.join(" or ")}, found ${times}.`);
    // On the processor, as the command line: the next pass would make more of what a graphics card rounds.
    this.session ??= await openSession(this.ort, await this.content!, "wasm");
    let large = pixels;
    for (let pass = 0; pass < passes; pass++) {
      yield;
      large = await this.pass(this.session, large, size * (factors[pass - 1] ?? 1));
    }
    return large;
  }

  private async pass(session: Session, pixels: Uint8Array, edge: number): Promise<Uint8Array> {
    const { large } = await session.run({ image: new this.ort.Tensor("uint8", pixels, [1, edge, edge, 3]) });
    const enlarged = Uint8Array.from((await large!.getData()) as Uint8Array);
    large!.dispose();
    return enlarged;
  }

  private async download(progress: Progress): Promise<ArrayBuffer> {
    const content = await download(new URL(this.entry.path, this.place), this.entry, progress, this.cache);
    const found = bytesToHex(sha256(new Uint8Array(content))).slice(0, this.entry.name.length);
    if (found !== this.entry.name) throw new Error(`${this.entry.path}: ${found} instead of ${this.entry.name}`);
    return content;
  }
}
