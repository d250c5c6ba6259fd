import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

/** The tests as plain modules for `node --test`. */
export default defineConfig({
  build: {
    ssr: true,
    outDir: "test-build",
    emptyOutDir: true,
    reportCompressedSize: false,
    rollupOptions: {
      input: readdirSync("test")
        .filter((name) => name.endsWith(".test.ts"))
        .map((name) => `test/${name}`),
      output: { entryFileNames: "[name].mjs" },
    },
  },
  publicDir: false,
});
