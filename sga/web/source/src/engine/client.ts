/** The page's side of the worker. */
import { type Backend } from "./runtime";
import { type Drawn, type Order, type Reply, type Started } from "./protocol";

interface Waiting {
  resolve: (result: { result: unknown; stopped: boolean }) => void;
  reject: (error: Error) => void;
  drawn?: (drawn: Drawn) => void;
  progress?: (received: number, total: number) => void;
}

/** What an order under way can do. */
export interface Running<T> {
  ended: Promise<{ result: T; stopped: boolean }>;
  stop(): void;
}

export class Engine {
  private readonly waiting = new Map<number, Waiting>();
  private last = 0;
  private retired = false;

  private constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.take(data);
    worker.onerror = (event) => this.fail(new Error(event.message || "The worker did not start."));
  }

  /** Start a worker with the model at `place`. It fails where the runtime does, or where its pixels are not those of the exporter. */
  static async start(
    place: URL,
    backend: Backend,
    threads: number,
    progress: NonNullable<Waiting["progress"]>,
  ): Promise<{ engine: Engine; started: Started }> {
    const engine = new Engine(new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "sga" }));
    try {
      const order: Order = { order: "start", model: place.href, backend, threads };
      const { result } = await engine.ask<Started>(order, { progress }).ended;
      return { engine, started: result };
    } catch (error) {
      engine.end();
      throw error;
    }
  }

  /** Give an order; none after `retire`. */
  ask<T>(order: Order, hear: Pick<Waiting, "drawn" | "progress"> = {}): Running<T> {
    if (this.retired) throw new Error("Expected an engine that takes orders; this one was retired.");
    const id = ++this.last;
    const ended = new Promise<{ result: unknown; stopped: boolean }>((resolve, reject) =>
      this.waiting.set(id, { resolve, reject, ...hear }),
    );
    this.worker.postMessage({ ...order, id });
    return { ended: ended as Running<T>["ended"], stop: () => this.worker.postMessage({ order: "stop", id }) };
  }

  end(): void {
    this.worker.terminate();
    this.fail(new Error("The worker was ended."));
  }

  /** Take no more orders, and end the worker behind the last one under way. */
  retire(): void {
    this.retired = true;
    this.rest();
  }

  private take(reply: Reply): void {
    const one = this.waiting.get(reply.id);
    if (!one) return;
    if (reply.event === "progress") one.progress?.(reply.received, reply.total);
    else if (reply.event === "drawn") one.drawn?.(reply.drawn);
    else {
      this.waiting.delete(reply.id);
      if (reply.event === "end") one.resolve(reply);
      else one.reject(new Error(reply.message));
      this.rest();
    }
  }

  private rest(): void {
    if (this.retired && !this.waiting.size) this.worker.terminate();
  }

  private fail(error: Error): void {
    for (const one of this.waiting.values()) one.reject(error);
    this.waiting.clear();
    this.rest();
  }
}
