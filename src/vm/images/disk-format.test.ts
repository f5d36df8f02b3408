import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeQcow2 } from "../disks/qcow2.ts";
import { diskFormat } from "./disk-format.ts";

const plain = (): Buffer => encodeQcow2({ virtualBytes: 1 << 30 }).subarray(0, 112);

test("qcow2 and raw are told apart, with the size that the guest sees", () => {
  assert.deepEqual(diskFormat(plain(), 262144, "disk"), { format: "qcow2", virtualBytes: 1 << 30 });
  assert.deepEqual(diskFormat(Buffer.from("anything"), 4096, "disk"), { format: "raw", virtualBytes: 4096 });
});

test("a disk image that names another file is refused", () => {
  const overlay = encodeQcow2({ virtualBytes: 512, backing: { path: "/etc/shadow", format: "raw" } });
  assert.throws(() => diskFormat(overlay.subarray(0, 112), 1, "/disk/a of image x"), {
    code: "PT-IMAGE-9",
    message: "/disk/a of image x is refused: it names a backing file, which would be opened on this machine",
  });
  const external = plain();
  external.writeBigUInt64BE(4n, 72);
  assert.throws(() => diskFormat(external, 1, "disk"), /keeps its data in another file/);
});

test("what QEMU might do with unknown, encrypted or cut headers is not tried", () => {
  const unknown = plain();
  unknown.writeBigUInt64BE(1n << 40n, 72);
  const encrypted = plain();
  encrypted.writeUInt32BE(2, 32);
  const future = plain();
  future.writeUInt32BE(4, 4);
  const empty = plain();
  empty.writeBigUInt64BE(0n, 24);
  for (const head of [unknown, encrypted, future, empty, plain().subarray(0, 40), plain().subarray(0, 76)]) {
    assert.throws(() => diskFormat(head, 1, "disk"), { code: "PT-IMAGE-9" });
  }
  for (const magic of ["KDMV", "# Disk DescriptorFile\n", "vhdxfile", "conectix", "<<< Oracle VM"]) {
    assert.throws(() => diskFormat(Buffer.from(magic), 99, "disk"), /disks are raw or qcow2/);
  }
  assert.throws(() => diskFormat(Buffer.alloc(0), 0, "disk"), /is empty/);
});
