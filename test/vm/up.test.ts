/**
 * The main job, whole: `podtap up` with a manifest, until a real guest serves behind its pod's address. On a host of
 * the test's own, with the daemon, libvirt, QEMU and CNI plugins as users have them.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Vmi } from "../../src/api/types.ts";
import { VMIS } from "../../src/cluster/port.ts";
import {
  api,
  begin,
  type Command,
  DEMO_IMAGE,
  daemonPid,
  killHard,
  onDaemonHost,
  podtap,
  processes,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const MANIFEST = `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  runStrategy: Always
  template:
    metadata: {labels: {app: web}}
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
          interfaces: [{name: default, masquerade: {}, ports: [{name: http, port: 80}]}]
      networks: [{name: default, pod: {}}]
      volumes:
        - name: init
          cloudInitNoCloud:
            userData: |
              #cloud-config
              user: tester
              password: tester
              chpasswd: {expire: false}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {vm.kubevirt.io/name: web}
  ipFamilyPolicy: PreferDualStack
  ports: [{name: http, port: 8080, targetPort: http}]
`;

describe("podtap up, masquerade", requires("root", "nft", "cni", "qemu", "libvirt"), () => {
  const file = join(mkdtempSync(join(tmpdir(), "podtap-up-")), "web.yaml");
  let vmi: Vmi;

  before(async () => {
    writeFileSync(file, MANIFEST);
    const said = await podtap("up", file, ...USE_LOCAL_IMAGES);
    assert.match(said, /web is running/);
    vmi = await getVmi();
  });
  after(async () => {
    api.close();
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined);
    assert.deepEqual(
      processes().filter(({ command }) => /libvirtd|qemu-system|catatonit -P|launcher/.test(command)),
      [],
    );
  });

  test("the guest's page is served on the pod's addresses and on the Service's", async () => {
    const service = JSON.parse(await podtap("get", "svc", "web", "-o", "json"));
    const pod = vmi.status?.interfaces?.[0]?.ipAddresses ?? [];
    assert.equal(pod.length, 2);
    for (const [ips, port] of [
      [pod, 80],
      [service.spec.clusterIPs as string[], 8080],
    ] as const) {
      for (const ip of ips) {
        const page = await eventually(`a page from ${ip}`, () => fetchPage(ip, port), 60_000);
        assert.match(page, /hello from web/);
        assert.match(page, /10\.0\.2\.2\/24/);
      }
    }
  });

  test("what is not declared stays closed to the host", () => {
    for (const ip of vmi.status?.interfaces?.[0]?.ipAddresses ?? [])
      assert.equal(fetchPage(ip, 22), undefined);
  });

  test("status has both addresses, labelled, and says how the guest runs", async () => {
    const seen = await eventually(
      "the guest agent",
      async () => {
        const now = await getVmi();
        return now.status?.conditions?.some(({ type }) => type === "AgentConnected") ? now : undefined;
      },
      60_000,
    );
    const [nic] = seen.status?.interfaces ?? [];
    assert.equal(nic?.infoSource, "domain, guest-agent");
    const by = (owner: string): readonly string[] =>
      (nic?.addresses ?? []).filter((one) => one.owner === owner).map(({ ip }) => ip);
    assert.deepEqual(by("pod"), nic?.ipAddresses);
    assert.deepEqual(by("guest").slice(0, 2), ["10.0.2.2", "fd10:0:2::2"]);
    assert.ok(["kvm", "tcg"].includes(seen.status?.accelerator?.type ?? ""));
    assert.equal(seen.status?.phase, "Running");
  });

  test("ssh reaches a port that nobody declared", async () => {
    const said = execFileSync(
      "sshpass",
      ["-p", "tester", "/run/program/bin/podtap", "ssh", "tester@web", "--", "hostname"],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, PODTAP_RUN_DIR: "/run/podtap", PODTAP_STATE_DIR: "/run/state" },
      },
    );
    assert.equal(said.trim(), "web");
  });

  test("launcher, libvirtd and QEMU have no capability, no way to new ones, and a uid of their own", () => {
    const found = processes().filter(({ command }) => /launcher\.js|libvirtd|qemu-system/.test(command));
    assert.equal(found.length, 3);
    for (const { pid, command } of found) {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
        assert.match(status, new RegExp(`${set}:\t0+\n`), command);
      assert.match(status, /NoNewPrivs:\t1/);
      assert.match(status, /Uid:\t107\t107\t107\t107/);
    }
    const qemu = found.find(({ command }) => command.includes("qemu-system"));
    assert.match(readFileSync(`/proc/${qemu?.pid}/status`, "utf8"), /Seccomp:\t2/);
  });

  test("what runs is the domain of the plan, valid by libvirt's own schema", async () => {
    const xml = await podtap("dumpxml", "web");
    assert.match(xml, /<target dev='tap0' managed='no'\/>/);
    assert.match(xml, /<alias name='ua-default'\/>/);
    assert.match(xml, new RegExp(`<mac address='${vmi.status?.interfaces?.[0]?.mac}'/>`));
    const path = join(tmpdir(), "web.xml");
    writeFileSync(path, xml);
    execFileSync("virt-xml-validate", [path, "domain"]);
  });

  test("the daemon that systemd would run has the flags of the one that commands start, and takes over", async (t) => {
    const started = daemonPid() ?? assert.fail("no daemon");
    const words = (pid: number): readonly string[] =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(1, -1);
    const auto = words(started);
    assert.ok(auto.includes("--max-semi-space-size=1"), auto.join(" "));
    process.kill(started, "SIGTERM");
    await eventually("the daemon's end", () => daemonPid() === undefined, 60_000);
    const node = begin("node");
    t.after(async () => {
      node.process.kill("SIGTERM");
      await node.ended;
    });
    await eventually("it answers", phaseOfWeb, 60_000);
    assert.equal(daemonPid(), node.process.pid);
    assert.deepEqual(
      words(daemonPid() ?? 0),
      auto.filter((word) => word !== "--auto"),
    );
    assert.equal(await phaseOfWeb(), "Running");
  });

  test("nothing is to change, and a second up says so", async () => {
    assert.match(await podtap("plan", "web"), /nothing to change/);
    assert.match(await podtap("up", file, ...USE_LOCAL_IMAGES), /unchanged/);
    const recorded = join(tmpdir(), "recorded.json");
    writeFileSync(recorded, await podtap("plan", "web", "-o", "json"));
    const again = await podtap("plan", "-f", file, "--observed", recorded, "--exit-code");
    assert.match(again, /nothing to change/);
  });

  test("a daemon killed in the middle is had back by up, get -w and console, which go on", async (t) => {
    const command = (...words: readonly string[]): Command => {
      const begun = begin(...words);
      t.after(() => begun.process.kill("SIGKILL"));
      return begun;
    };
    const LOST = "the podtap daemon ended in the middle";
    await podtap("down", "web");
    const up = command("up", file, "--wait=agent");
    await eventually("there is an instance", phaseOfWeb, 60_000);
    await killHard(daemonPid() ?? assert.fail("no daemon"));
    const { code, out, err } = await up.ended;
    assert.equal(code, 0, err);
    assert.match(out, /web is running/);
    assert.equal(err.split(LOST).length, 2, err);

    const watching = command("get", "vmi", "-w");
    const joined = command("console", "web", "--timeout", "5m");
    await eventually("the watch's first row", () => watching.heard.out.includes("web "), 60_000);
    // What the guest said before is replayed to who joins: a connection alone is only asking.
    await eventually("the console", () => joined.heard.out.includes("READY"), 60_000);
    await killHard(daemonPid() ?? assert.fail("no daemon"));
    await eventually(
      "the console is back",
      () => {
        if (joined.heard.err.includes("joined again") && joined.heard.out.split("READY").length > 2)
          return true;
        throw new Error(JSON.stringify(joined.heard) + joined.process.exitCode);
      },
      60_000,
    );

    const shown = watching.heard.out.length;
    await podtap("down", "web");
    const said = await joined.ended;
    assert.equal(said.code, 0, said.err);
    assert.match(said.out, /going down/i);
    await eventually("the watch goes on", () => watching.heard.out.slice(shown).includes("web "), 60_000);
    watching.process.kill("SIGINT");
    const seen = await watching.ended;
    assert.equal(seen.code, 0, seen.err);
    assert.match(seen.err + said.err, new RegExp(LOST), "whoever was first to miss it");
    assert.equal(seen.out.split(/^NAME/m).length, 2, seen.out);
  });
});

async function phaseOfWeb(): Promise<string | undefined> {
  return (await api.find<Vmi>(VMIS, { namespace: "default", name: "web" }))?.status?.phase;
}

async function getVmi(): Promise<Vmi> {
  return JSON.parse(await podtap("get", "vmi", "web", "-o", "json")) as Vmi;
}

function fetchPage(ip: string, port: number): string | undefined {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  try {
    const args = ["--silent", "--fail", "--noproxy", "*", "--max-time", "3", `http://${host}:${port}/`];
    return execFileSync("curl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return undefined;
  }
}
