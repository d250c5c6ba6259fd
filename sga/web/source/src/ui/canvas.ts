/** Faces on canvases. */
import { enlarge } from "../core/resize";
import { h } from "./dom";

/** A canvas that a screen reader passes over: what it shows is said by the element around it. */
export function canvas(): HTMLCanvasElement {
  return h("canvas", { width: 1, height: 1, attributes: { "aria-hidden": "true" } });
}

/** Paint RGB pixels, enlarged to `edge` pixels. */
export function paint(target: HTMLCanvasElement, pixels: Uint8Array, size: number, edge: number): void {
  if (target.width !== edge) target.width = target.height = edge;
  target.getContext("2d")!.putImageData(new ImageData(enlarge(pixels, size, edge), edge, edge), 0, 0);
}
