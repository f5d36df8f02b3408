/**
 * Images and disks against the programs they are made for: skopeo with a registry, qemu-img, blkid and xorriso, and a
 * guest that boots from them under QEMU.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { VmiSpec } from "../../src/api/types.ts";
import { prepareDisks } from "../../src/vm/disks/prepare-disks.ts";
import { encodeQcow2 } from "../../src/vm/disks/qcow2.ts";
import { ImageStore, type ImageStoreOptions } from "../../src/vm/images/image-store.ts";
import { vmi } from "../support/builders.ts";
import { layerOf, writeLayout } from "../support/oci-layout.ts";
import { requires } from "../support/requires.ts";

const project = join(import.meta.dirname, "../..");
const DISK = { folder: "disk" } as const;

function lab(t: TestContext, more: Partial<ImageStoreOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "pt-vmimages-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return { folder, store: new ImageStore({ root: join(folder, "images"), ...more }) };
}

async function layoutWith(folder: string, name: string, content: string): Promise<string> {
  return writeLayout(join(folder, name), { tag: "v1", layers: [await layerOf({ name: "disk/d", content })] });
}

async function diskOf(
  store: ImageStore,
  image: string,
  pullPolicy: "Always" | "IfNotPresent" = "IfNotPresent",
) {
  const [file] = await store.fetch({ image, wanted: [DISK], pullPolicy });
  return readFileSync(file!.path, "utf8");
}

/** A registry with one repository, `lab/disk`, that serves whatever layout it is given. */
async function registry(t: TestContext) {
  const state = { layout: "", requests: 0 };
  const server = createServer((request, response) => {
    state.requests += 1;
    const [, kind, reference = ""] =
      /^\/v2\/lab\/disk\/(manifests|blobs)\/(.*)$/.exec(request.url ?? "") ?? [];
    const index = JSON.parse(readFileSync(join(state.layout, "index.json"), "utf8"));
    const digest: string = reference.startsWith("sha256:") ? reference : index.manifests[0].digest;
    const path = join(state.layout, "blobs/sha256", digest.slice(7));
    if (kind === undefined || !existsSync(path)) {
      response.writeHead(request.url === "/v2/" ? 200 : 404).end();
      return;
    }
    const mediaType = kind === "blobs" ? "application/octet-stream" : index.manifests[0].mediaType;
    const headers = {
      "content-type": mediaType,
      "docker-content-digest": digest,
      "content-length": statSync(path).size,
    };
    response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { state, host, image: `${host}/lab/disk:v1` };
}

test("skopeo pulls from a registry, once or always as the policy says", requires("skopeo"), async (t) => {
  const { state, host, image } = await registry(t);
  const { folder, store } = lab(t, { insecureRegistries: [host] });
  state.layout = await layoutWith(folder, "first", "first");
  assert.equal(await diskOf(store, image), "first");
  state.layout = await layoutWith(folder, "second", "second");
  const before = state.requests;
  assert.equal(await diskOf(store, image), "first");
  assert.equal(state.requests, before, "IfNotPresent asks nobody");
  assert.equal(await diskOf(store, image, "Always"), "second");
  const pulled = state.requests;
  assert.equal(await diskOf(store, image, "Always"), "second");
  assert.ok(
    state.requests - pulled < pulled - before,
    "Always asks for the digest only when nothing changed",
  );
});

test(
  "a registry that cannot be reached is named, with what was tried and a way on",
  requires("skopeo"),
  async (t) => {
    const { store } = lab(t);
    // Port 1 answers nobody.
    await assert.rejects(
      diskOf(store, "127.0.0.1:1/lab/disk:v1"),
      (thrown: Error & { code?: string; hint?: string }) => {
        assert.equal(thrown.code, "PT-IMAGE-3");
        assert.match(
          thrown.message,
          /127\.0\.0\.1:1\/lab\/disk:v1 was not pulled: its registry cannot be reached: .*connection refused/,
        );
        assert.match(thrown.hint ?? "", /--image-override 127\.0\.0\.1:1\/lab\/disk=oci:/);
        return true;
      },
    );
  },
);

test("archives as docker save and skopeo write them are read", requires("skopeo"), async (t) => {
  const { folder, store } = lab(t);
  const layout = await layoutWith(folder, "layout", "from an archive");
  for (const [kind, tag] of [
    ["docker-archive", "quay.io/lab/disk:v1"],
    ["oci-archive", "v1"],
  ] as const) {
    const archive = `${kind}:${folder}/${kind}.tar`;
    execFileSync("skopeo", ["--insecure-policy", "copy", "-q", `oci:${layout}:v1`, `${archive}:${tag}`]);
    assert.equal(await diskOf(store, `${archive}:${tag}`), "from an archive");
  }
  await assert.rejects(diskOf(store, "docker-archive:/does/not/exist.tar"), { code: "PT-IMAGE-4" });
});

test("qemu-img finds nothing wrong with disks that were written here", requires("qemu"), async (t) => {
  const { folder } = lab(t);
  const raw = join(folder, "base.raw");
  execFileSync("qemu-img", ["create", "-q", "-f", "raw", raw, "3G"]);
  const cases = [
    { virtualBytes: 1 << 20 },
    { virtualBytes: 5 * 2 ** 40 },
    { virtualBytes: 3 * 2 ** 30, backing: { path: raw, format: "raw" } },
  ] as const;
  for (const [i, one] of cases.entries()) {
    const path = join(folder, `${i}.qcow2`);
    writeFileSync(path, encodeQcow2(one));
    execFileSync("qemu-img", ["check", "-q", "-f", "qcow2", path]);
    const info = JSON.parse(
      execFileSync("qemu-img", ["info", "--output=json", "-f", "qcow2", path], { encoding: "utf8" }),
    );
    assert.equal(info["virtual-size"], one.virtualBytes);
    assert.equal(info["backing-filename"], "backing" in one ? raw : undefined);
    assert.equal(info["backing-filename-format"], "backing" in one ? "raw" : undefined);
  }
});

test("blkid and xorriso read the cloud-init disk", requires("qemu"), async (t) => {
  const { folder, store } = lab(t);
  const userData = `#!/bin/sh\n${"echo line\n".repeat(400)}`;
  const of = vmi({
    name: "web",
    spec: {
      domain: { devices: {} },
      volumes: [{ name: "ci", cloudInitNoCloud: { userData, networkData: "version: 2\n" } }],
    },
  });
  const lookups = { secret: () => undefined, configMap: () => undefined };
  const { disks } = await prepareDisks({
    vmi: of,
    imageStore: store,
    stateDir: join(folder, "disks"),
    lookups,
  });
  const iso = disks[0]!.path;
  const found = execFileSync("blkid", ["-p", "-o", "export", iso], { encoding: "utf8" });
  assert.match(found, /^LABEL=cidata$/m);
  assert.match(found, /^TYPE=iso9660$/m);
  execFileSync("xorriso", ["-indev", iso, "-osirrox", "on", "-extract", "/", join(folder, "out")], {
    stdio: "ignore",
  });
  assert.equal(readFileSync(join(folder, "out/user-data"), "utf8"), userData);
  assert.equal(readFileSync(join(folder, "out/network-config"), "utf8"), "version: 2\n");
  assert.equal(JSON.parse(readFileSync(join(folder, "out/meta-data"), "utf8"))["local-hostname"], "web");
});

/** The guest of tools/guest as a VMI, by its OCI layout. */
async function prepareGuest(t: TestContext, spec: VmiSpec) {
  const { folder, store } = lab(t, {
    overrides: () => ({
      "podtap/demo": `oci:${project}/.cache/guest/oci:demo`,
      "podtap/demo-kernel": `oci:${project}/.cache/guest/oci:demo-kernel`,
    }),
  });
  execFileSync(join(project, "tools/guest/build.sh"), { stdio: "ignore" });
  const lookups = { secret: () => undefined, configMap: () => undefined };
  return prepareDisks({
    vmi: vmi({ name: "web", spec }),
    imageStore: store,
    stateDir: join(folder, "disks"),
    lookups,
  });
}

const POWERDOWN = '{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n';

/** QEMU with a serial console on its standard streams; killed with the test. */
function startQemu(t: TestContext, args: readonly string[]) {
  const machine = [
    "-M",
    "q35",
    "-accel",
    "tcg",
    "-m",
    "256",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
  ];
  const child = spawn("qemu-system-x86_64", [...machine, "-serial", "stdio", ...args], { stdio: "pipe" });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  const waiting = new Set<() => void>();
  const note = (data: Buffer): void => {
    output += data.toString().replaceAll("\r", "");
    for (const look of waiting) look();
  };
  child.stdout.on("data", note);
  child.stderr.on("data", note);
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  /** The match in what the console says from now on. */
  const expect = (pattern: RegExp, seconds = 60): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no ${pattern} within ${seconds} s in:\n${output}`)),
        seconds * 1000,
      );
      const look = (): void => {
        const match = pattern.exec(output);
        if (match === null) return;
        clearTimeout(timer);
        waiting.delete(look);
        output = output.slice(match.index + match[0].length);
        resolve(match);
      };
      waiting.add(look);
      look();
    });
  /** Output of a command line in the guest's shell. */
  const ask = async (command: string): Promise<string> => {
    child.stdin.write(`${command}; echo "<$((6*7))>"\n`);
    const [said] = await expect(/\n[\s\S]*<42>\n/);
    return said.slice(1, said.lastIndexOf("<42>"));
  };
  return { child, exited, expect, ask };
}

test(
  "a guest boots from its container disk and cloud-init disk, and powers off when asked",
  requires("qemu"),
  async (t) => {
    const userData = [
      "#cloud-config",
      "user: lab",
      "password: secret",
      "ssh_authorized_keys: [ssh-ed25519 AAAA lab]",
      "runcmd:",
      "  - echo ran > /run/ran",
    ].join("\n");
    const { disks } = await prepareGuest(t, {
      domain: {
        devices: {
          disks: [
            { name: "os", disk: { bus: "virtio" } },
            { name: "ci", cdrom: {} },
          ],
        },
      },
      volumes: [
        { name: "os", containerDisk: { image: "podtap/demo" } },
        { name: "ci", cloudInitNoCloud: { userData } },
      ],
    });
    const [os, ci] = disks;
    const before = statSync(os!.backing!.path).mtimeMs;
    const qmp = join(os!.path, "../qmp");
    const { exited, expect, ask } = startQemu(t, [
      ...[
        "-drive",
        `if=none,id=os,format=${os!.format},file=${os!.path}`,
        "-device",
        "virtio-blk-pci,drive=os",
      ],
      ...[
        "-drive",
        `if=none,id=ci,format=raw,media=cdrom,readonly=on,file=${ci!.path}`,
        "-device",
        "ide-cd,drive=ci",
      ],
      ...["-netdev", "user,id=n0", "-device", "e1000,netdev=n0"],
      ...["-qmp", `unix:${qmp},server=on,wait=off`],
    ]);
    const started = performance.now();
    const ready = await expect(/READY (\S+) eth0 10\.0\.2\.15\/24 after (\S+) s/);
    t.diagnostic(
      `READY after ${((performance.now() - started) / 1000).toFixed(1)} s, by the guest's clock ${ready[2]} s`,
    );
    assert.equal(ready[1], "web");
    await expect(/:~# /);
    assert.match(await ask("cat /run/ran /home/lab/.ssh/authorized_keys"), /^ran\nssh-ed25519 AAAA lab\n$/m);
    assert.match(await ask("grep -c '^lab:.6' /etc/shadow"), /^1$/m);
    await ask("echo written by the guest | dd of=/dev/vda bs=512 seek=1000 conv=fsync 2>/dev/null; sync");
    // The ACPI button, as libvirt's shutdown presses it.
    execFileSync("socat", ["-", `unix-connect:${qmp}`], {
      input: POWERDOWN,
      stdio: ["pipe", "ignore", "ignore"],
    });
    assert.equal(await exited, 0);
    assert.equal(statSync(os!.backing!.path).mtimeMs, before, "the shared image is as it was");
  },
);
