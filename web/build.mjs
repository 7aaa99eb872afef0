// Bundles the page into the Python package.
import { build } from "esbuild";
import { cpSync, mkdirSync, rmSync } from "node:fs";

const out = new URL("../src/metamers/experiment/page/", import.meta.url).pathname;
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: [new URL("src/main.ts", import.meta.url).pathname],
  bundle: true,
  minify: true,
  target: "es2022",
  outfile: `${out}main.js`,
  legalComments: "linked",
});
for (const name of ["index.html", "style.css", "icon.svg"]) cpSync(new URL(`src/${name}`, import.meta.url).pathname, out + name);
