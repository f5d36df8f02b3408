// The layers of ARCHITECTURE.md as rules. "Look down only": a folder may import what its row lists, nothing else.
const layers = {
  base: [],
  wire: ["base"],
  api: ["base"],
  nft: ["base"],
  domain: ["api", "base"],
  guest: ["wire", "base"],
  plan: ["api", "nft", "domain", "guest", "base"],
  bindings: ["plan", "api", "nft", "domain", "guest", "base"],
  report: ["plan", "api", "base"],
  apply: ["plan", "nft", "api", "base"],
  linux: ["apply", "plan", "wire", "nft", "base"],
  vm: ["apply", "plan", "domain", "guest", "wire", "api", "base"],
  hooks: ["api", "base"],
  cluster: ["apply", "plan", "nft", "report", "domain", "api", "base"],
};
const folders = Object.keys(layers);
const test = "\\.test\\.ts$";
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    ...folders.map((folder) => ({
      name: `layer-${folder}`,
      comment: `src/${folder} may import only: ${["itself", ...layers[folder]].join(", ")}`,
      severity: "error",
      from: { path: `^src/${folder}/`, pathNot: test },
      to: { path: "^src/", pathNot: `^src/(${[folder, ...layers[folder]].join("|")})/` },
    })),
    {
      name: "bindings-stand-alone",
      comment: "a binding never imports another binding; only bindings/index.ts lists them",
      severity: "error",
      from: { path: "^src/bindings/([^/]+)/" },
      to: { path: "^src/bindings/", pathNot: "^src/bindings/$1/" },
    },
    {
      name: "cluster-backends-stand-alone",
      severity: "error",
      from: { path: "^src/cluster/(local|kubernetes)/" },
      to: { path: "^src/cluster/(local|kubernetes)/", pathNot: "^src/cluster/$1/" },
    },
    {
      name: "pure-has-no-node",
      comment: "no I/O above the purity line",
      severity: "error",
      from: { path: "^src/(base|wire|api|nft|domain|guest|plan|bindings|report)/", pathNot: test },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "apps-are-roots",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/apps/" },
      to: { path: "^src/apps/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { extensions: [".ts", ".js", ".json"] },
  },
};
