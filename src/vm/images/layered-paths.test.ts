import assert from "node:assert/strict";
import { test } from "node:test";
import { LayeredPaths, type Wanted } from "./layered-paths.ts";
import type { TarEntry, TarEntryType } from "./tar-reader.ts";

type Layer = readonly (string | readonly [path: string, type: TarEntryType, target?: string])[];

/** Files as plain strings; the content of a file is "layer:path". */
function apply(wanted: Wanted, ...layers: readonly Layer[]): { path: string; content: string } {
  const paths = new LayeredPaths<string>([wanted]);
  layers.forEach((layer, number) => {
    for (const one of layer) {
      const [path, type, linkTarget = ""] = typeof one === "string" ? ([one, "file"] as const) : one;
      const entry: TarEntry = { path, type, bytes: 1, linkTarget };
      paths.add(entry, paths.wantsContent(entry) ? `${number}:${path}` : undefined);
    }
    paths.endLayer();
  });
  return paths.resolve(wanted);
}

const disk: Wanted = { folder: "disk" };

test("the only file of the folder is found, and a higher layer's replaces it", () => {
  assert.deepEqual(apply(disk, [["disk", "directory"], "disk/a.img", "etc/x"]), {
    path: "disk/a.img",
    content: "0:disk/a.img",
  });
  assert.equal(apply(disk, ["disk/a.img"], ["disk/a.img"]).content, "1:disk/a.img");
});

test("whiteouts remove what lower layers brought, and not what their own layer brings", () => {
  assert.equal(apply(disk, ["disk/old"], ["disk/new", "disk/.wh.old"]).path, "disk/new");
  assert.equal(apply(disk, ["disk/old", "disk/older"], ["disk/.wh..wh..opq", "disk/new"]).path, "disk/new");
  assert.equal(apply(disk, ["disk/old"], [".wh.disk", ["disk", "directory"], "disk/new"]).path, "disk/new");
  assert.equal(apply(disk, ["disk/a"], ["disk/a", "disk/.wh.a"]).content, "1:disk/a");
  assert.throws(() => apply(disk, ["disk/a"], ["disk/.wh.a"]), /has no file in \/disk/);
  assert.throws(() => apply({ file: "boot/k" }, ["boot/k"], [".wh..wh..opq"]), /no file \/boot\/k/);
});

test("a folder over a folder keeps its files; anything else hides them", () => {
  assert.equal(apply(disk, ["disk/a"], [["disk", "directory"]]).path, "disk/a");
  assert.equal(apply(disk, [["disk", "directory"], "disk/a"], [["disk", "directory"]]).path, "disk/a");
  assert.throws(() => apply(disk, [["disk", "directory"], "disk/a"], ["disk"]), { code: "PT-IMAGE-6" });
  assert.throws(
    () => apply({ file: "a/b" }, ["a/b"], [["a", "symlink", "/etc"]]),
    /\/a of the image is a symbolic link to \/etc/,
  );
});

test("links and devices are named and not followed", () => {
  const cases: readonly [TarEntryType, RegExp][] = [
    ["symlink", /a symbolic link to \/etc\/shadow/],
    ["hardlink", /a hard link to \/etc\/shadow/],
    ["device", /a device node/],
    ["directory", /a folder/],
  ];
  for (const [type, words] of cases) {
    assert.throws(() => apply(disk, [["disk/d", type, "/etc/shadow"]]), words);
    assert.throws(() => apply({ file: "disk/d" }, [["disk/d", type, "/etc/shadow"]]), words);
  }
  assert.throws(() => apply(disk, [["disk", "symlink", "/etc"]]), /\/disk of the image is a symbolic link/);
});

test("several files in the folder are listed", () => {
  assert.throws(() => apply(disk, ["disk/a", "disk/b"]), /2 files \(\/disk\/a, \/disk\/b\)/);
});

test("a layer with countless entries where one is looked for is refused", () => {
  const many = Array.from({ length: 1001 }, (_, i) => `disk/${i}`);
  assert.throws(() => apply(disk, many), { code: "PT-IMAGE-7" });
});
