import { defineConfig } from "vitest/config";

// Addresses are relative, so that the page works behind a prefix; the service serves what lands in service/static/web.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../service/static/web",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a strict policy allows no data: scripts or styles
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1300, // MapLibre is one chunk, and loads after the page itself
    rolldownOptions: { checks: { pluginTimings: false } },
    license: { fileName: "assets/licences.md" },
  },
  server: { proxy: { "^/(jobs|processes|uploads|page.json|problems|files)": "http://127.0.0.1:3000" } },
  test: { include: ["tests/**/*.test.ts"], setupFiles: ["tests/browser.ts"] },
});
