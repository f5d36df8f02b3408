/** The store on layouts of our own making: what it finds, what it refuses, and that nothing half-done remains. */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { layerOf, type TestLayer, writeLayout } from "../../../test/support/oci-layout.ts";
import { ImageStore, type ImageStoreOptions } from "./image-store.ts";

const DISK = { folder: "disk" } as const;

function lab(t: TestContext, more: Partial<ImageStoreOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "pt-images-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const root = join(folder, "images");
  const store = new ImageStore({ root, ...more });
  const layout = (...layers: readonly TestLayer[]) =>
    `oci:${writeLayout(mkdtempSync(join(folder, "layout-")), { tag: "demo", layers })}:demo`;
  return { folder, root, store, layout };
}

/** Everything below a folder that is not a folder, relative. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

async function fetchDisk(store: ImageStore, image: string): Promise<string> {
  const [file] = await store.fetch({ image, wanted: [DISK] });
  return readFileSync(file!.path, "latin1");
}

test("the disk of an image is unpacked once, whatever the layer is packed with", async (t) => {
  const { root, store, layout } = lab(t);
  const content = `disk${"\0".repeat(200_000)}end`;
  const { tar } = await layerOf({ name: "disk/disk.img", content });
  for (const compression of ["none", "gzip", "zstd"] as const) {
    assert.equal(await fetchDisk(store, layout({ tar, compression })), content);
  }
  assert.equal(readdirSync(join(root, "files")).length, 1, "the same content is kept once");
  assert.deepEqual(readdirSync(join(root, "tmp")), []);
});

test("kernel and initrd come from one pass, in the order they were asked for", async (t) => {
  const { store, layout } = lab(t);
  const image = layout(
    await layerOf({ name: "boot/initrd", content: "i" }, { name: "./boot/vmlinuz", content: "k" }),
  );
  const files = await store.fetch({ image, wanted: [{ file: "boot/vmlinuz" }, { file: "boot/initrd" }] });
  assert.deepEqual(
    files.map(({ path, pathInImage }) => [pathInImage, readFileSync(path, "latin1")]),
    [
      ["boot/vmlinuz", "k"],
      ["boot/initrd", "i"],
    ],
  );
});

test("higher layers of an image win, and their whiteouts hold", async (t) => {
  const { store, layout } = lab(t);
  const low = await layerOf({ name: "disk/old.img", content: "old" });
  const high = await layerOf({ name: "disk/.wh.old.img" }, { name: "disk/new.img", content: "new" });
  assert.equal(await fetchDisk(store, layout(low, high)), "new");
});

test("an image index gives this machine's platform, or says what there is", async (t) => {
  const { folder, store } = lab(t);
  const layers = [await layerOf({ name: "disk/d", content: "mine" })];
  const own = process.arch === "x64" ? "amd64" : process.arch;
  const path = writeLayout(
    join(folder, "multi"),
    { tag: "a", layers, platforms: ["s390x", own] },
    { tag: "b", layers, platforms: ["s390x"] },
  );
  assert.equal(await fetchDisk(store, `oci:${path}:a`), "mine");
  await assert.rejects(fetchDisk(store, `oci:${path}:b`), /has no linux\/\w+; it has linux\/s390x/);
  await assert.rejects(fetchDisk(store, `oci:${path}:c`), /no image tagged c; it has a, b/);
  await assert.rejects(fetchDisk(store, `oci:${path}`), /several images/);
});

test("hostile layers are refused and leave nothing", async (t) => {
  const { folder, root, store, layout } = lab(t);
  const honest = await layerOf({ name: "disk/d", content: "x".repeat(5000) });
  const digest = `sha256:${"0".repeat(64)}`;
  const cases: readonly [string, TestLayer, string][] = [
    ["traversal", await layerOf({ name: "disk/../../../escaped", content: "x" }), "PT-IMAGE-7"],
    ["absolute traversal", await layerOf({ name: "/../escaped", content: "x" }), "PT-IMAGE-7"],
    ["symlink", await layerOf({ name: "disk/d", type: "symlink", linkname: "/etc/shadow" }), "PT-IMAGE-6"],
    [
      "symlinked folder",
      await layerOf({ name: "disk", type: "symlink", linkname: folder }, { name: "disk/d", content: "x" }),
      "PT-IMAGE-6",
    ],
    [
      "hardlink",
      await layerOf({ name: "disk/d", type: "link", linkname: "../../../../etc/shadow" }),
      "PT-IMAGE-6",
    ],
    [
      "device",
      await layerOf({ name: "disk/d", type: "block-device", devmajor: 8, devminor: 0 }),
      "PT-IMAGE-6",
    ],
    ["wrong digest", { ...honest, lies: { digest } }, "PT-IMAGE-5"],
    ["wrong size", { ...honest, lies: { size: 17 } }, "PT-IMAGE-5"],
    [
      "other content",
      { ...honest, lies: { content: (await layerOf({ name: "disk/d", content: "evil" })).tar } },
      "PT-IMAGE-5",
    ],
    ["cut short", { ...honest, lies: { content: honest.tar.subarray(0, 3000) } }, "PT-IMAGE-5"],
    ["broken gzip", { tar: Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]) }, "PT-IMAGE-7"],
    ["no tar", { tar: Buffer.from("hello ".repeat(500)) }, "PT-IMAGE-7"],
  ];
  for (const [name, layer, code] of cases) {
    await assert.rejects(fetchDisk(store, layout(layer)), { code }, name);
  }
  assert.deepEqual(filesBelow(root), []);
  assert.ok(!existsSync(join(folder, "escaped")));
  assert.ok(!existsSync(join(tmpdir(), "escaped")));
});

test("a decompression bomb stops at the free space, in wanted files and in others", async (t) => {
  const { root, store, layout } = lab(t, { freeBytes: async () => 1 << 20 });
  for (const name of ["disk/d", "other"]) {
    const { tar } = await layerOf({ name: "disk/x", content: "x" }, { name, content: Buffer.alloc(8 << 20) });
    await assert.rejects(
      fetchDisk(store, layout({ tar, compression: "zstd" })),
      { code: "PT-IMAGE-8" },
      name,
    );
  }
  assert.deepEqual(filesBelow(root), []);
});

test("layouts that lead astray are refused", async (t) => {
  const { folder, store } = lab(t);
  const write = (index: unknown): string => {
    const path = mkdtempSync(join(folder, "bad-"));
    mkdirSync(join(path, "blobs/sha256"), { recursive: true });
    writeFileSync(join(path, "index.json"), typeof index === "string" ? index : JSON.stringify(index));
    return `oci:${path}`;
  };
  const withDigest = (digest: string) => ({ manifests: [{ mediaType: "", digest, size: 3 }] });
  const cases = [
    write("{"),
    write([]),
    write({ manifests: "x" }),
    write(withDigest("sha256:../../../../etc/passwd")),
    write(withDigest(`md5:${"0".repeat(32)}`)),
    write(withDigest(`sha256:${"0".repeat(64)}`)),
    write(`{"manifests":[],"x":"${" ".repeat(5 << 20)}"}`),
    "oci:/does/not/exist",
  ];
  for (const image of cases) await assert.rejects(fetchDisk(store, image), { code: "PT-IMAGE-4" }, image);
});

test("the same image asked for many times at once is unpacked once", async (t) => {
  const { root, store, layout } = lab(t);
  const image = layout(await layerOf({ name: "disk/d", content: "x".repeat(3 << 20) }));
  const reports: number[] = [];
  const ask = () => store.fetch({ image, wanted: [DISK], progress: ({ bytes }) => reports.push(bytes) });
  const all = await Promise.all(Array.from({ length: 8 }, ask));
  assert.equal(new Set(all.map(([file]) => file!.path)).size, 1);
  // Each report of the one unpacking reaches the eight.
  assert.equal(reports.length % 8, 0);
  assert.equal(new Set(reports).size * 8, reports.length);
  assert.deepEqual(readdirSync(join(root, "tmp")), []);
});

test("one who gives up does not stop the others, and the last one does", async (t) => {
  const { root, store, layout } = lab(t);
  const image = layout(await layerOf({ name: "disk/d", content: "x".repeat(3 << 20) }));
  const impatient = new AbortController();
  const first = store.fetch({ image, wanted: [DISK], signal: impatient.signal });
  const second = store.fetch({ image, wanted: [DISK] });
  impatient.abort(new Error("no longer wanted"));
  await assert.rejects(first, /no longer wanted/);
  assert.equal((await second).length, 1);
  const other = layout(await layerOf({ name: "disk/d", content: "y".repeat(3 << 20) }));
  const last = new AbortController();
  const alone = store.fetch({
    image: other,
    wanted: [DISK],
    signal: last.signal,
    progress: () => last.abort(new Error("enough")),
  });
  await assert.rejects(alone, /enough/);
  assert.equal(readdirSync(join(root, "files")).length, 1, "an abandoned unpacking leaves no file");
});

test("what an interrupted run left is swept, and a damaged file is made anew", async (t) => {
  const { root, store, layout } = lab(t);
  const image = layout(await layerOf({ name: "disk/d", content: "content" }));
  const [file] = await store.fetch({ image, wanted: [DISK] });
  chmodSync(file!.path, 0o600);
  writeFileSync(file!.path, "cut");
  // No process has this number.
  mkdirSync(join(root, "tmp", "99999999-x/files"), { recursive: true });
  const next = new ImageStore({ root });
  assert.deepEqual(readdirSync(join(root, "tmp")), []);
  assert.equal(await fetchDisk(next, image), "content");
});

test("an override leads to a layout or to a disk, which is copied so that it cannot change", async (t) => {
  const overrides: Record<string, string> = {};
  const { folder, store, layout } = lab(t, { overrides: () => overrides });
  overrides["quay.io/lab/demo"] = layout(await layerOf({ name: "disk/d", content: "from the layout" }));
  overrides["fedora"] = join(folder, "own.img");
  writeFileSync(join(folder, "own.img"), "my own disk");
  assert.equal(await fetchDisk(store, "quay.io/lab/demo:v3"), "from the layout");
  const [file] = await store.fetch({ image: "fedora:latest", wanted: [DISK] });
  writeFileSync(join(folder, "own.img"), "changed meanwhile");
  assert.equal(readFileSync(file!.path, "latin1"), "my own disk");
  assert.equal(await fetchDisk(store, "fedora"), "changed meanwhile");
  overrides["fedora"] = join(folder, "missing.img");
  await assert.rejects(fetchDisk(store, "fedora"), /missing\.img cannot be copied: ENOENT/);
});

test("a layouts folder answers for registry names, by repository and by complete name", async (t) => {
  const layouts = mkdtempSync(join(tmpdir(), "pt-layouts-"));
  t.after(() => rmSync(layouts, { recursive: true, force: true }));
  const { store } = lab(t, { layouts, skopeo: "/nonexistent/skopeo" });
  const layers = async (content: string) => [await layerOf({ name: "disk/d", content })];
  writeLayout(layouts, { tag: "quay.io/lab/b:v1", layers: await layers("b") });
  writeLayout(join(layouts, "quay.io/lab/a"), { tag: "v1", layers: await layers("a") });
  assert.equal(await fetchDisk(store, "quay.io/lab/a:v1"), "a");
  assert.equal(await fetchDisk(store, "quay.io/lab/b:v1"), "b");
  await assert.rejects(fetchDisk(store, "quay.io/lab/a:v2"), /skopeo cannot be started/);
});

test("a manifest may not name this machine's paths where that is switched off", async (t) => {
  const { store, layout } = lab(t, { localReferences: false });
  const image = layout(await layerOf({ name: "disk/d", content: "x" }));
  await assert.rejects(fetchDisk(store, image), { code: "PT-IMAGE-1" });
});

test("imagePullPolicy Never does not ask the registry", async (t) => {
  const { store } = lab(t, { skopeo: "/nonexistent/skopeo" });
  const ask = store.fetch({ image: "quay.io/lab/x:v1", wanted: [DISK], pullPolicy: "Never" });
  await assert.rejects(ask, { code: "PT-IMAGE-2", message: /quay\.io\/lab\/x:v1 is not on this machine/ });
});
