import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Prints what a browser downloads in all, so that growth is seen. */
function totalSize(): Plugin {
  return {
    name: "total-size",
    apply: "build",
    writeBundle(_, bundle) {
      let bytes = 0;
      for (const file of Object.values(bundle)) {
        bytes += gzipSync(file.type === "chunk" ? file.code : file.source).length;
      }
      console.log(`all together: ${(bytes / 1000).toFixed(1)} kB gzip`);
    },
  };
}

const backend = process.env["RAPT_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "./",
  plugins: [totalSize()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": { target: backend, ws: true } } },
  test: { environment: "node", include: ["tests/**/*.test.ts"] },
});
