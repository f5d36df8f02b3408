/** Disks of a VMI from an image store that hands out files of ours. What QEMU thinks of them: test/vm/images.test.ts. */
import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { vmi } from "../../../test/support/builders.ts";
import type { Vmi, VmiSpec } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";
import type { ImageRequest } from "../images/image-store.ts";
import type { DiskLookups } from "./cloud-init-sources.ts";
import { type PreparedDisks, prepareDisks } from "./prepare-disks.ts";

function lab(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "pt-disks-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const images = join(folder, "images");
  mkdirSync(images);
  const requests: ImageRequest[] = [];
  const imageStore = {
    fetch: async (request: ImageRequest) => {
      requests.push(request);
      return request.wanted.map((wanted) => {
        const pathInImage = "file" in wanted ? wanted.file : `${wanted.folder}/disk.img`;
        const path = join(images, `${request.image}-${pathInImage}`.replaceAll("/", "_"));
        writeFileSync(path, Buffer.alloc(4096, 1));
        return { path, pathInImage, sha256: "", bytes: 4096 };
      });
    },
  };
  const secrets: Record<string, Record<string, string>> = {};
  const lookups: DiskLookups = {
    secret: (name) =>
      secrets[name] && { apiVersion: "v1", kind: "Secret", metadata: { name }, data: secrets[name] },
    configMap: () => undefined,
  };
  const stateDir = join(folder, "disks");
  const prepare = (of: Vmi): Promise<PreparedDisks> =>
    prepareDisks({ vmi: of, imageStore, stateDir, lookups });
  return { folder, images, requests, secrets, stateDir, prepare };
}

function withDisks(spec: Partial<VmiSpec>, devices: VmiSpec["domain"]["devices"] = {}): Vmi {
  return vmi({ spec: { domain: { devices, ...spec.domain }, ...spec } });
}

test("disks come in the manifest's order, with what each says of itself", async (t) => {
  const { images, prepare, stateDir } = lab(t);
  const { disks } = await prepare(
    withDisks(
      {
        volumes: [
          { name: "extra", emptyDisk: { capacity: "1Gi" } },
          { name: "ci", cloudInitNoCloud: { userData: "#cloud-config" } },
          { name: "os", containerDisk: { image: "demo" } },
          { name: "unlisted", emptyDisk: { capacity: "1M" } },
        ],
      },
      {
        disks: [
          { name: "os", disk: { bus: "virtio", pciAddress: "0000:05:00.0" }, bootOrder: 1, cache: "none" },
          { name: "ci", cdrom: {} },
          { name: "extra", disk: { bus: "scsi" }, serial: "S1" },
        ],
      },
    ),
  );
  const [os, ci, extra, unlisted] = disks;
  const { path, ...rest } = os!;
  assert.match(path, new RegExp(`^${stateDir}/os\\.[0-9a-f]{12}\\.qcow2$`));
  assert.deepEqual(rest, {
    name: "os",
    device: "disk",
    bus: "virtio",
    format: "qcow2",
    backing: { path: join(images, "demo-disk_disk.img"), format: "raw" },
    readonly: false,
    bootOrder: 1,
    cache: "none",
    pciAddress: "0000:05:00.0",
  });
  assert.deepEqual([ci!.device, ci!.bus, ci!.format, ci!.readonly], ["cdrom", "sata", "raw", true]);
  assert.deepEqual([extra!.bus, extra!.serial, extra!.backing], ["scsi", "S1", undefined]);
  assert.deepEqual([unlisted!.name, unlisted!.device, unlisted!.bus], ["unlisted", "disk", "sata"]);
  for (const disk of disks) assert.equal(statSync(disk.path).mode & 0o777, 0o600);
});

test("a container disk as a CD-ROM is the shared file itself, read-only", async (t) => {
  const { images, prepare } = lab(t);
  const of = withDisks(
    { volumes: [{ name: "iso", containerDisk: { image: "demo", path: "/iso/a.iso" } }] },
    { disks: [{ name: "iso", cdrom: {} }] },
  );
  const [disk] = (await prepare(of)).disks;
  assert.deepEqual(
    [disk!.path, disk!.backing, disk!.readonly],
    [join(images, "demo-iso_a.iso"), undefined, true],
  );
});

test("what the guest wrote stays for the same VMI and goes for another", async (t) => {
  const { prepare, stateDir } = lab(t);
  const spec: Partial<VmiSpec> = {
    volumes: [
      { name: "os", containerDisk: { image: "demo" } },
      { name: "data", emptyDisk: { capacity: "1Mi" } },
    ],
  };
  const first = withDisks(spec);
  const before = (await prepare(first)).disks;
  for (const { path } of before) writeFileSync(path, "the guest was here");
  writeFileSync(join(stateDir, ".os.half"), "cut short");
  assert.deepEqual((await prepare(first)).disks, before);
  for (const { path } of before) assert.equal(readFileSync(path, "utf8"), "the guest was here");
  const other = { ...first, metadata: { ...first.metadata, uid: "another" } };
  const after = (await prepare(other)).disks;
  for (const { path } of after) assert.equal(readFileSync(path, "latin1").slice(0, 4), "QFI\xfb");
  assert.equal(readdirSync(stateDir).length, 2, "the former disks and the unfinished file are gone");
});

test("a link that a guest's process left in the folder is replaced, not followed", async (t) => {
  const { folder, prepare } = lab(t);
  const of = withDisks({ volumes: [{ name: "data", emptyDisk: { capacity: "1Mi" } }] });
  const { path } = (await prepare(of)).disks[0]!;
  const precious = join(folder, "shadow");
  writeFileSync(precious, "secret");
  rmSync(path);
  symlinkSync(precious, path);
  await prepare(of);
  assert.equal(readFileSync(precious, "utf8"), "secret");
  assert.equal(readFileSync(path, "latin1").slice(0, 4), "QFI\xfb");
});

test("kernel boot gives paths and arguments, from one request with its policy and its pull secret", async (t) => {
  const { images, requests, secrets, prepare } = lab(t);
  secrets["pull"] = { ".dockerconfigjson": Buffer.from('{"auths":{}}').toString("base64") };
  const container = {
    image: "kernel",
    kernelPath: "/boot/vmlinuz",
    initrdPath: "/boot/initramfs",
    imagePullPolicy: "Always",
    imagePullSecret: "pull",
  };
  const of = vmi({
    spec: { domain: { devices: {}, firmware: { kernelBoot: { kernelArgs: "quiet", container } } } },
  });
  const { kernel, disks } = await prepare(of);
  assert.deepEqual(disks, []);
  assert.deepEqual(kernel, {
    kernelPath: join(images, "kernel-boot_vmlinuz"),
    initrdPath: join(images, "kernel-boot_initramfs"),
    args: "quiet",
  });
  assert.deepEqual(
    [requests.length, requests[0]?.pullPolicy, requests[0]?.credentials],
    [1, "Always", '{"auths":{}}'],
  );
});

test("cloud-init reads secrets under both of KubeVirt's keys, and base64", async (t) => {
  const { secrets, prepare } = lab(t);
  secrets["a"] = { userdata: Buffer.from("from userdata").toString("base64") };
  secrets["b"] = {
    userData: Buffer.from("from userData").toString("base64"),
    networkData: Buffer.from("version: 2").toString("base64"),
  };
  const of = withDisks({
    volumes: [
      { name: "one", cloudInitNoCloud: { secretRef: { name: "a" } } },
      { name: "two", cloudInitNoCloud: { secretRef: { name: "b" }, networkDataSecretRef: { name: "b" } } },
      { name: "three", cloudInitNoCloud: { userDataBase64: Buffer.from("from base64").toString("base64") } },
    ],
  });
  const images = (await prepare(of)).disks.map(({ path }) => readFileSync(path, "latin1"));
  for (const [i, words] of ["from userdata", "from userData", "from base64"].entries())
    assert.ok(images[i]!.includes(words));
  assert.ok(images[1]!.includes("version: 2"));
});

test("what cannot be prepared is named by volume and field", async (t) => {
  const { secrets, prepare } = lab(t);
  secrets["empty"] = { other: "" };
  const cases: readonly [VmiSpec["volumes"], string, RegExp][] = [
    [
      [{ name: "d", hostDisk: { path: "/etc/shadow" } } as never],
      "PT-DISK-1",
      /volume d: source hostDisk is not supported yet/,
    ],
    [
      [{ name: "c", cloudInitNoCloud: { secretRef: { name: "nope" } } }],
      "PT-DISK-2",
      /secret nope does not exist/,
    ],
    [
      [{ name: "c", cloudInitNoCloud: { secretRef: { name: "empty" } } }],
      "PT-DISK-2",
      /no key userdata or userData/,
    ],
    [
      [{ name: "c", cloudInitNoCloud: { userDataBase64: "%%%" } }],
      "PT-DISK-3",
      /volume c: the data is not base64/,
    ],
    [[{ name: "e", emptyDisk: { capacity: "much" } }], "PT-DISK-5", /capacity much is not a size/],
    [[{ name: "../e", emptyDisk: { capacity: "1Mi" } }], "PT-DISK-4", /is not a DNS label/],
    [
      [{ name: "d", containerDisk: { image: "x", path: "/disk/../../etc" } }],
      "PT-DISK-4",
      /leads out of the image/,
    ],
  ];
  for (const [volumes, code, words] of cases) {
    await assert.rejects(prepare(withDisks({ volumes: volumes! })), (thrown) => {
      assert.ok(thrown instanceof PodtapError, String(thrown));
      assert.equal(thrown.code, code);
      assert.match(thrown.message, words);
      return true;
    });
  }
});
