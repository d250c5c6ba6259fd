declare module "virtual:runtimes" {
  interface Packed {
    path: string;
    bytes: number;
    unpacked: number;
  }
  export const wasm: Packed;
  export const webgpu: Packed;
}

declare module "onnxruntime-web/*.mjs?url" {
  const url: string;
  export default url;
}
