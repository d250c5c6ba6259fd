import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const require = createRequire(import.meta.url);
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`;
const RUNTIMES = { wasm: "ort-wasm-simd-threaded.wasm", webgpu: "ort-wasm-simd-threaded.jspi.wasm" };

/** The runtimes' WebAssembly, packed: 14 and 17 MB travel as 3.7 and 4.1 on any static host. */
function packedRuntimes(): Plugin {
  const virtual = "\0virtual:runtimes";
  let building = false;
  return {
    name: "packed-runtimes",
    configResolved: (config) => void (building = config.command === "build"),
    resolveId: (id) => (id === "virtual:runtimes" ? virtual : undefined),
    load(id) {
      if (id !== virtual) return undefined;
      const lines = Object.entries(RUNTIMES).map(([name, file]) => {
        const path = require.resolve(`onnxruntime-web/${file}`);
        const raw = readFileSync(path);
        if (!building) return `export const ${name} = { path: "/@fs${path}", bytes: ${raw.length}, unpacked: ${raw.length} };`;
        const packed = gzipSync(raw, { level: 9 });
        const digest = createHash("sha256").update(raw).digest("hex").slice(0, 12);
        const fileName = `assets/${file.replace(".wasm", "")}-${digest}.bin`;
        this.emitFile({ type: "asset", fileName, source: packed });
        const place = fileName.replace("assets/", "");
        return `export const ${name} = { path: "${place}", bytes: ${packed.length}, unpacked: ${raw.length} };`;
      });
      return lines.join("\n");
    },
  };
}

/** The licences of what is bundled. */
function thirdParty(): Plugin {
  const told = [
    `onnxruntime-web ${versionOf("onnxruntime-web")} and onnxruntime-common ${versionOf("onnxruntime-common")} (scripts, and the files ort-wasm-*.bin packed with gzip)
https://github.com/microsoft/onnxruntime

MIT License

Copyright (c) Microsoft Corporation

${MIT}
Parts within it have licences of their own:
https://github.com/microsoft/onnxruntime/blob/v${versionOf("onnxruntime-web")}/ThirdPartyNotices.txt
`,
    `@noble/hashes ${versionOf("@noble/hashes")}
https://github.com/paulmillr/noble-hashes

${readFileSync("node_modules/@noble/hashes/LICENSE", "utf8")}`,
  ];
  const source = ["What this page bundles of others. All else is part of sga-gan, Apache-2.0.\n", ...told].join(
    `\n${"-".repeat(100)}\n\n`,
  );
  return {
    name: "third-party",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "THIRD_PARTY.txt", source });
    },
  };
}

function versionOf(name: string): string {
  return (JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")) as { version: string }).version;
}

export default defineConfig({
  plugins: [thirdParty()],
  base: "./",
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "development|production"] },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  worker: { format: "es", plugins: () => [packedRuntimes()] },
});
