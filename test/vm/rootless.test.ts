/**
 * `podtap up --rootless` as an ordinary user: a real guest, reached by ports of the host, and nothing of root's. The
 * user has a uid of its own, no group, no capability and no way to get one; the host has one link with both families.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import type { Vmi } from "../../src/api/types.ts";
import {
  DEMO_IMAGE,
  type FoundProcess,
  onDaemonHost,
  processes,
  type Said,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const UID = 4711;
const HOME = "/run/home";
const XDG_RUNTIME_DIR = `/run/user/${UID}`;
const ENVIRONMENT = { PATH: process.env["PATH"], HOME, XDG_RUNTIME_DIR, TMPDIR: `${XDG_RUNTIME_DIR}/tmp` };
const UNPRIVILEGED = [
  `--reuid=${UID}`,
  `--regid=${UID}`,
  "--clear-groups",
  "--no-new-privs",
  "--inh-caps=-all",
  "--bounding-set=-all",
];
const MANIFEST = `${HOME}/vm.yaml`;

function manifest(nic: string): string {
  return `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  runStrategy: Always
  template:
    metadata:
      annotations: {podtap.io/host-ports: "8080:80, [::1]:8081:80"}
    spec:
      terminationGracePeriodSeconds: 5
      domain:
        memory: {guest: 256Mi}
        firmware:
          kernelBoot:
            container: {image: ${DEMO_IMAGE}, kernelPath: /boot/vmlinuz, initrdPath: /boot/initramfs}
            kernelArgs: console=ttyS0 quiet no_timer_check mitigations=off
        devices:
          disks: [{name: init, disk: {bus: virtio}}]
          interfaces: [{name: default, ${nic}, ports: [{name: http, port: 80}, {name: ssh, port: 22}]}]
      networks: [{name: default, pod: {}}]
      volumes:
        - name: init
          cloudInitNoCloud:
            userData: |
              #cloud-config
              user: tester
              password: tester
              chpasswd: {expire: false}
`;
}

describe("podtap up --rootless", requires("root", "passt", "qemu", "libvirt", "skopeo"), () => {
  before(async () => {
    makeUser();
    makeUplink();
    writeFileSync(MANIFEST, manifest("passtBinding: {}"));
  });
  after(async () => {
    await run("--rootless", "down", "--all");
  });

  test("what needs root is refused with what to write instead", async () => {
    writeFileSync(`${HOME}/masquerade.yaml`, manifest("masquerade: {}"));
    const said = await run("up", "--rootless", `${HOME}/masquerade.yaml`, ...USE_LOCAL_IMAGES);
    assert.equal(said.code, 1, said.out + said.err);
    assert.match(said.err, /masquerade is not for VMs without root/);
    assert.match(said.err, /`passtBinding: \{\}`/);
    const plain = await run("get", "vmi");
    assert.equal(plain.code, 3);
    assert.match(plain.err, /--rootless/);
  });

  test("a taken port of the host is told, not waited for", async () => {
    const server = createServer().listen(8080, "127.0.0.1");
    try {
      const said = await run("up", "--rootless", MANIFEST, "--rm", ...USE_LOCAL_IMAGES);
      assert.notEqual(said.code, 0);
      assert.match(said.err, /127\.0\.0\.1 port 8080\/tcp cannot be listened on \(EADDRINUSE\)/);
    } finally {
      await closed(server);
    }
  });

  test("the guest serves on ports of the host, by IPv4 and IPv6, and nobody but the user runs anything", async () => {
    const said = await podtap("up", "--rootless", MANIFEST, ...USE_LOCAL_IMAGES);
    assert.match(
      said,
      /127\.0\.0\.1:8080 -> 80\/TCP, \[::1\]:8081 -> 80\/TCP, 127\.0\.0\.1:10022 -> 22\/TCP/,
    );
    for (const url of ["http://127.0.0.1:8080/", "http://localhost:8080/", "http://[::1]:8081/"]) {
      const page = await eventually(`a page from ${url}`, () => fetchPage(url), 60_000);
      assert.match(page, /hello from web/);
      // The guest has the host's own address.
      assert.match(page, /198\.18\.7\.2\/24/);
    }
    const started = processes().filter(isPodtaps);
    for (const program of [
      /node\.js/,
      /launcher\.js --dir/,
      /podtap-usernet/,
      /libvirtd/,
      /qemu-system/,
      /passt/,
    ])
      assert.ok(
        started.some(({ command }) => program.test(command)),
        `${program}`,
      );
    for (const one of started) assertPowerless(one);
  });

  test("what is not declared is not open, and the host's other addresses lead nowhere", () => {
    assert.equal(fetchPage("http://198.18.7.2:8080/"), undefined);
    const listening = execFileSync("ss", ["-Hltn"], { encoding: "utf8" });
    const ports = listening
      .split("\n")
      .flatMap((line) => /\s(\S+):(\d+)\s/.exec(line)?.slice(1, 3).join(" ") ?? []);
    assert.deepEqual(ports.toSorted(), ["127.0.0.1 10022", "127.0.0.1 8080", "[::1] 8081"]);
  });

  test("status, describe, logs, plan and ssh of a rootless VM", async () => {
    const vmi = JSON.parse(await podtap("--rootless", "get", "vmi", "web", "-o", "json")) as Vmi;
    const [nic] = vmi.status?.interfaces ?? [];
    assert.deepEqual(nic?.ipAddresses, ["127.0.0.1", "::1"]);
    assert.equal(nic?.binding, "passt");
    assert.match(
      await podtap("--rootless", "describe", "vmi", "web"),
      /Host ports: +127\.0\.0\.1:8080 -> 80\/TCP/,
    );
    assert.match(
      await podtap("--rootless", "plan", "web"),
      /the user's own sockets, as the host's wl0 has them/,
    );
    assert.notEqual(await podtap("--rootless", "logs", "web"), "");
    const ssh = [
      "-p",
      "tester",
      "/run/program/bin/podtap",
      "--rootless",
      "ssh",
      "tester@web",
      "--",
      "hostname",
    ];

    const hostname = await eventually(
      "ssh",
      () => {
        const { status, stdout } = spawnSync("setpriv", [...UNPRIVILEGED, "sshpass", ...ssh], {
          encoding: "utf8",
          env: ENVIRONMENT,
        });

        return status === 0 ? stdout.trim() : undefined;
      },
      60_000,
    );
    assert.equal(hostname, "web");
  });

  test("a daemon that is killed is survived by the guest, and the next one takes it over", async () => {
    const [daemon] = processes().filter(({ command }) => /dist\/node\.js/.test(command));
    const qemu = (): readonly number[] =>
      processes().flatMap(({ pid, command }) => (/qemu-system/.test(command) ? [pid] : []));
    const running = qemu();
    process.kill(daemon?.pid ?? 0, "SIGKILL");
    await eventually("the daemon's end", () => processes().every(({ pid }) => pid !== daemon?.pid));
    const vmi = JSON.parse(await podtap("--rootless", "get", "vmi", "web", "-o", "json")) as Vmi;
    assert.equal(vmi.status?.phase, "Running");
    assert.deepEqual(qemu(), running);
    assert.match(
      (await eventually("a page", () => fetchPage("http://127.0.0.1:8080/"))) ?? "",
      /hello from web/,
    );
  });

  test("down leaves no process, no file of the VM and no port", async () => {
    await podtap("--rootless", "down", MANIFEST);
    assert.deepEqual(
      processes().filter(({ command }) => /launcher|libvirtd|qemu-system|passt/.test(command)),
      [],
    );
    for (const folder of [`${XDG_RUNTIME_DIR}/podtap/p`, `${HOME}/.local/state/podtap/pods`])
      assert.deepEqual(existsSync(folder) ? readdirSync(folder) : [], [], folder);
    assert.equal(execFileSync("ss", ["-Hltn"], { encoding: "utf8" }), "");
    await podtap("--rootless", "down", "--all");
    await eventually("the daemon's end", () => processes().filter(isPodtaps).length === 0);
  });
});

/** libvirtd wants its user in /etc/passwd. */
function makeUser(): void {
  for (const [file, line] of [
    ["passwd", `ordinary:x:${UID}:${UID}::${HOME}:/bin/sh`],
    ["group", `ordinary:x:${UID}:`],
  ] as const) {
    writeFileSync(`/run/${file}`, `root:x:0:0:root:/root:/bin/sh\n${line}\n`);
    if (file === "group") writeFileSync("/run/group", `root:x:0:\n${line}\n`);
    execFileSync("mount", ["--bind", `/run/${file}`, `/etc/${file}`]);
  }
  for (const folder of [HOME, XDG_RUNTIME_DIR, ENVIRONMENT.TMPDIR]) {
    mkdirSync(folder, { recursive: true });
    chownSync(folder, UID, UID);
  }
}

/** What leads to the world on a laptop; the other end is nobody. */
function makeUplink(): void {
  const script = [
    "ip link add wl0 type veth peer name wl0-far",
    "ip link set wl0-far up",
    "ip address add 198.18.7.2/24 dev wl0",
    "ip address add fd00:7::2/64 dev wl0 nodad",
    "ip link set wl0 up",
    "ip route add default via 198.18.7.1",
    "ip route add default via fd00:7::1",
  ].join(" && ");
  execFileSync("sh", ["-c", script]);
}

function run(...words: readonly string[]): Promise<Said> {
  const child = spawn("setpriv", [...UNPRIVILEGED, "/run/program/bin/podtap", ...words], {
    env: ENVIRONMENT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    said.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    said.err += chunk;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ ...said, code })));
}

async function podtap(...words: readonly string[]): Promise<string> {
  const said = await run(...words);
  if (said.code === 0) return said.out;
  const log = `${XDG_RUNTIME_DIR}/podtap/node.log`;
  const daemon = existsSync(log) ? readFileSync(log, "utf8") : "";
  throw new Error(`podtap ${words.join(" ")}: ${said.code}\n${said.out}${said.err}\n${daemon}`);
}

function isPodtaps({ command }: FoundProcess): boolean {
  return /program\/dist|podtap-usernet|libvirtd|qemu-system|passt/.test(command);
}

function assertPowerless({ pid, command }: FoundProcess): void {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  assert.match(status, new RegExp(`^Uid:\t${UID}\t${UID}\t${UID}\t${UID}$`, "m"), command);
  assert.match(status, /^NoNewPrivs:\t1$/m, command);
  for (const set of ["CapPrm", "CapEff", "CapAmb"])
    assert.match(status, new RegExp(`^${set}:\t0+$`, "m"), command);
}

function fetchPage(url: string): string | undefined {
  const { status, stdout } = spawnSync("curl", ["-sf", "--max-time", "3", url], { encoding: "utf8" });
  return status === 0 ? stdout : undefined;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
