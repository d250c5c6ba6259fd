/** What runs, how fast, and the switch to the graphics card. */
import { type Spec } from "../core/spec";
import { type Backend } from "../engine/runtime";
import { type Runs } from "../engine/protocol";
import { follow, say } from "../words";
import { h, text } from "./dom";

export class Status {
  /** Whether this browser has what the WebGPU runtime needs: the API, and WebAssembly that can wait for it. */
  static readonly webgpu = "gpu" in navigator && "Suspending" in WebAssembly;
  readonly element: HTMLElement;
  private runs: Runs | null = null;
  private waiting = false;
  private milliseconds: number | null = null;
  private readonly line = h("p");
  private readonly input: HTMLInputElement;

  constructor(spec: Spec, changed: (backend: Backend) => void) {
    const able = Status.webgpu;
    this.input = h("input", { type: "checkbox", disabled: !able });
    this.input.setAttribute("role", "switch");
    this.input.addEventListener("change", () => changed(this.input.checked ? "webgpu" : "wasm"));
    const label = h("label", { className: "check" }, this.input, text("span", "webgpu"));
    if (!able) follow(label, () => (label.title = say("webgpu.absent")));
    const licence = follow(h("p"), (element) => (element.textContent = say("licence", { licence: spec.header.licence })));
    const third = text("a", "third", { href: "./THIRD_PARTY.txt" });
    this.element = h("footer", {}, this.line, label, able ? null : text("p", "webgpu.absent"), licence, third);
    follow(this.line, () => this.show());
  }

  tell(runs: Runs): void {
    this.runs = runs;
    this.waiting = false;
    this.milliseconds = null;
    this.input.disabled = !Status.webgpu;
    this.input.checked = runs.backend === "webgpu";
    this.show();
  }

  /** The other backend is being loaded. */
  trying(): void {
    this.waiting = true;
    this.input.disabled = true;
    this.line.textContent = say("runs.trying");
  }

  /** A face took so long. */
  time(milliseconds: number): void {
    this.milliseconds = this.milliseconds === null ? milliseconds : 0.8 * this.milliseconds + 0.2 * milliseconds;
    if (!this.waiting) this.show();
  }

  private show(): void {
    if (!this.runs) return;
    const { backend, threads, isolated, difference, refused } = this.runs;
    const parts = [say(`runs.${backend}`)];
    if (backend === "wasm")
      parts.push(threads > 1 ? say("runs.threads", { threads }) : say(isolated ? "runs.single" : "runs.thread"));
    if (this.milliseconds !== null) parts.push(say("runs.speed", { ms: Math.round(this.milliseconds) }));
    parts.push(say("runs.exact", { difference }));
    if (refused) parts.push(say("runs.refused", { reason: refused }));
    this.line.textContent = parts.join(" · ");
  }
}
