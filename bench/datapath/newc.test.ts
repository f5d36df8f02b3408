import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { joinArchives, newcArchive } from "./newc.ts";

test("cpio lists and unpacks what was packed, at odd sizes too", () => {
  const archive = newcArchive({ "usr/bin/one": new Uint8Array([1, 2, 3, 4, 5]), two: new Uint8Array() });
  assert.equal(archive.length % 4, 0);
  const listed = execFileSync("cpio", ["-tv", "--quiet"], { input: archive, encoding: "utf8" });
  assert.match(
    listed,
    /^-rwxr-xr-x +1 root +root +5 .* usr\/bin\/one\n-rwxr-xr-x +1 root +root +0 .* two\n$/,
  );
  const unpacked = execFileSync("cpio", ["-i", "--quiet", "--to-stdout", "usr/bin/one"], { input: archive });
  assert.deepEqual([...unpacked], [1, 2, 3, 4, 5]);
});

test("a second archive begins where Linux looks for it", () => {
  const second = newcArchive({ more: new Uint8Array([9]) });
  const joined = joinArchives(new Uint8Array(13).fill(7), second);
  assert.deepEqual([...joined.subarray(16)], [...second]);
  assert.deepEqual([...joined.subarray(12, 16)], [7, 0, 0, 0]);
});
