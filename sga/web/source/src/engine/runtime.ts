/** ONNX Runtime in two builds: WebAssembly with SIMD and threads, and, when asked for, the one that computes with WebGPU. */
import type * as Ort from "onnxruntime-web/wasm";
import wasmScript from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import webgpuScript from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import { wasm, webgpu } from "virtual:runtimes";
import { type Progress, download } from "./files";

export type Backend = "wasm" | "webgpu";
export type Ort = typeof Ort;

/** Load a build. It is fetched packed, because many static hosts pack nothing. */
export async function loadRuntime(backend: Backend, threads: number, progress: Progress): Promise<Ort> {
  const file = backend === "webgpu" ? webgpu : wasm;
  const [ort, binary] = await Promise.all([
    backend === "webgpu" ? import("onnxruntime-web/jspi") : import("onnxruntime-web/wasm"),
    download(new URL(file.path, import.meta.url), file, progress),
  ]);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.wasmPaths = { mjs: new URL(backend === "webgpu" ? webgpuScript : wasmScript, import.meta.url).href };
  ort.env.logLevel = "error";
  return ort as unknown as Ort;
}
