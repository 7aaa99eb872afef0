// Bundles the page into the Python package.
import { build } from "esbuild";
import { cpSync, mkdirSync, rmSync } from "node:fs";

const out = new URL("../src/metamers/experiment/page/", import.meta.url).pathname;
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: ["main", "admin", "jatos"].map((name) => new URL(`src/${name}.ts`, import.meta.url).pathname),
  bundle: true,
  minify: true,
  target: "es2022",
  outdir: out,
  legalComments: "linked",
});
for (const name of ["index.html", "admin.html", "jatos.html", "style.css", "icon.svg"]) cpSync(new URL(`src/${name}`, import.meta.url).pathname, out + name);
