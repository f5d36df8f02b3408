/**
 * passt for real, with namespace guests that speak QEMU's stream protocol: addresses by ordinary clients, all
 * directions and protocols, what is declared and no more, MTUs, and a passt or a carrier that is killed.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { InterfaceSpec } from "../../src/api/types.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import { processesInNetns } from "../../src/linux/sandbox/processes.ts";
import { vmi } from "../support/builders.ts";
import { udhcpc } from "../support/namespace-guest.ts";
import { eventually, inPod, requires } from "../support/netns.ts";
import { answer, ask, listen } from "../support/talk.ts";
import {
  HOST_IP,
  OTHER,
  POD,
  type PodOptions,
  type Scope,
  type WiredPod,
  wiredPod,
} from "../support/wired-pod.ts";

type Family = "v4" | "v6";
const STACKS = { v4: ["v4"], v6: ["v6"], dual: ["v4", "v6"] } as const;
const needs = requires("root", "nft", "udhcpc", "dhclient", "passt");
const PORTS: Partial<InterfaceSpec> = {
  ports: [{ port: 22 }, { port: 5353, protocol: "UDP" }],
  portRanges: [{ protocol: "TCP", start: 8080, end: 8083 }],
};

function place(t: Scope, nic: Partial<InterfaceSpec>, options: PodOptions = {}): Promise<WiredPod> {
  const spec = { domain: { devices: { interfaces: [{ name: "default", passtBinding: {}, ...nic }] } } };
  return wiredPod(t, vmi({ spec }), options);
}

/** As an ordinary guest gets them. */
async function addressed({ guest }: WiredPod, families: readonly Family[]): Promise<void> {
  if (families.includes("v4")) {
    const lease = await udhcpc(guest);
    assert.equal(lease?.["ip"], POD.v4);
    assert.equal(lease?.["router"], HOST_IP.v4);
    assert.equal(lease?.["dns"], HOST_IP.v4);
    assert.equal(lease?.["search"], "test.example");
  }
  if (families.includes("v6")) {
    await eventually(
      "a route by router advertisement",
      async () =>
        (await guest.read("ip", "-6", "route", "show", "default")).includes("via fe80") || undefined,
      10_000,
    );
    // The client itself is dhclient's; without a script it changes nothing.
    const files = ["-lf", "/dev/null", "-pf", "/dev/null", "-sf", "/bin/true"];
    await guest.exec("dhclient", ["-6", "-1", ...files, "-v", guest.nic]).then(({ stderr }) => {
      assert.match(stderr, new RegExp(`IAADDR ${POD.v6}\\b|${POD.v6}`));
    });
    await guest.read("ip", "address", "add", `${POD.v6}/64`, "dev", guest.nic, "nodad");
  }
}

for (const stack of ["v4", "v6", "dual"] as const) {
  const families: readonly Family[] = STACKS[stack];
  test(`passt, ${stack}: addresses by DHCP, out, and in as declared`, needs, async (t) => {
    const it = await place(t, PORTS, { stack });
    const { guest, neighbour, host } = it;
    await addressed(it, families);
    for (const port of [22, 23, 8080, 8083, 8084]) await listen(t, guest, "guest", "tcp", port);
    for (const port of [5353, 5354]) await listen(t, guest, "guest", "udp", port);
    for (const protocol of ["tcp", "udp"] as const) await listen(t, neighbour, "near", protocol, 7000);
    for (const family of families) {
      const ip = POD[family];
      for (const port of [22, 8080, 8083]) {
        assert.equal(
          await answer(neighbour, ip, "tcp", port),
          `guest ${OTHER[family]}`,
          `${family} tcp ${port}`,
        );
      }
      assert.equal(
        await answer(host, ip, "tcp", 22),
        `guest ${HOST_IP[family]}`,
        `${family} from the router`,
      );
      assert.equal(await answer(neighbour, ip, "udp", 5353), `guest ${OTHER[family]}`, `${family} udp 5353`);
      assert.equal(await answer(host, ip, "udp", 5353), `guest ${HOST_IP[family]}`, `${family} udp, router`);
      for (const port of [23, 8084]) {
        assert.equal(await answer(neighbour, ip, "tcp", port), "refused", `${family} tcp ${port}`);
      }
      assert.equal(await answer(neighbour, ip, "udp", 5354), "refused", `${family} udp 5354`);
      for (const protocol of ["tcp", "udp"] as const) {
        assert.equal(
          await answer(guest, OTHER[family], protocol, 7000),
          `near ${ip}`,
          `${family} ${protocol} out`,
        );
      }
      await guest.read("ping", "-c1", "-w5", OTHER[family]);
    }
  });
}

test(
  "passt: without ports all is closed; with `inbound: all` all is open, or refused for want of files",
  needs,
  async (t) => {
    const spec = { domain: { devices: { interfaces: [{ name: "default", passtBinding: {} }] } } };
    await t.test("closed", async (inner) => {
      const it = await wiredPod(inner, vmi({ spec }), { stack: "v4" });
      await addressed(it, ["v4"]);
      await listen(inner, it.guest, "guest", "tcp", 22);
      assert.equal(await answer(it.neighbour, POD.v4, "tcp", 22), "refused");
    });
    await t.test("all", async (inner) => {
      const annotations = { "podtap.io/inbound": "all" };
      const placed = wiredPod(inner, vmi({ spec, annotations }), { stack: "v4" });
      if (hostFeatures().openFiles < 80_000) return assert.rejects(placed, /open files/);
      const it = await placed;
      await addressed(it, ["v4"]);
      await listen(inner, it.guest, "guest", "tcp", 22);
      assert.equal(await answer(it.neighbour, POD.v4, "tcp", 22), `guest ${OTHER.v4}`);
    });
  },
);

test("passt: the guest finds nothing of the pod's own, by no address", needs, async (t) => {
  const it = await place(t, PORTS);
  await addressed(it, ["v4", "v6"]);
  // Of the pod's loopback only: what else listens there is what the guest declared.
  await it.guest.read("ip", "route", "add", "127.9.9.9/32", "via", HOST_IP.v4, "table", "local");
  for (const protocol of ["tcp", "udp"] as const) await listen(t, it.pod, "pod", protocol, 9000);
  for (const ip of [HOST_IP.v4, HOST_IP.v6, POD.v4, POD.v6, "127.9.9.9"]) {
    for (const protocol of ["tcp", "udp"] as const) {
      const answer = await ask(it.guest, ip, protocol, 9000);
      assert.ok(!answer.startsWith("pod"), `${protocol} to ${ip}: ${answer}`);
    }
  }
});

for (const mtu of [1400, 1500, 9000]) {
  test(`passt: MTU ${mtu} is told, and large transfers end, both ways`, needs, async (t) => {
    const it = await place(t, { ports: [{ port: 22 }] }, { mtu });
    const { guest, neighbour } = it;
    await addressed(it, ["v4", "v6"]);
    const lease = await udhcpc(guest);
    assert.equal(lease?.["mtu"], String(mtu));
    const size = 8 << 20;
    for (const [family, ip] of [
      ["v4", POD.v4],
      ["v6", `[${POD.v6}]`],
    ] as const) {
      const far = family === "v4" ? OTHER.v4 : `[${OTHER.v6}]`;
      for (const [from, to, target] of [
        [neighbour.name, guest.netns, `TCP:${ip}:22`],
        [guest.netns, neighbour.name, `TCP:${far}:22`],
      ] as const) {
        const kind = family === "v4" ? "TCP-LISTEN:22,reuseaddr" : "TCP6-LISTEN:22,reuseaddr,ipv6only=1";
        const done = await transfer(from, to, kind, target, size);
        assert.equal(done, size, `${family} to ${target}`);
      }
    }
  });
}

test("passt that is killed is back, says so, and the guest goes on", needs, async (t) => {
  const it = await place(t, PORTS);
  const { guest, neighbour, userNetwork } = it;
  assert.ok(userNetwork);
  await addressed(it, ["v4", "v6"]);
  await listen(t, guest, "guest", "tcp", 22);
  await listen(t, neighbour, "near", "udp", 7000);
  for (const round of [1, 2]) {
    const before = await userNetwork.up();
    assert.equal(before.restarts, round - 1);
    assert.ok(before.pid);
    // In the middle of frames both ways.
    const flood = guest.start("ping", ["-f", "-s", "1400", OTHER.v4]);
    process.kill(before.pid, "SIGKILL");
    const now = await eventually("another passt", () => {
      const status = userNetwork.status();
      return status?.state === "up" && status.restarts === round ? status : undefined;
    });
    flood.kill("SIGKILL");
    assert.notEqual(now.pid, before.pid);
    assert.match(now.reason ?? "", /^was ended by SIGKILL/);
    // A guest that asked for a neighbour while there was nobody to answer asks again a second later.
    await eventually(
      "in again",
      async () => (await ask(neighbour, POD.v4, "tcp", 22)) === `guest ${OTHER.v4}`,
      15_000,
    );
    assert.equal(await answer(guest, OTHER.v6, "udp", 7000), `near ${POD.v6}`);
  }
});

test(
  "passt that stops answering holds up nobody, and a carrier that is killed is replaced",
  needs,
  async (t) => {
    const it = await place(t, PORTS);
    const { guest, neighbour, userNetwork } = it;
    assert.ok(userNetwork);
    await addressed(it, ["v4"]);
    const { pid } = await userNetwork.up();
    assert.ok(pid);
    await guest.read(
      "ip",
      "neighbour",
      "replace",
      HOST_IP.v4,
      "lladdr",
      "02:00:00:00:00:00",
      "dev",
      guest.nic,
    );
    await guest.read("ip", "route", "replace", OTHER.v4, "via", HOST_IP.v4, "dev", guest.nic);
    process.kill(pid, "SIGSTOP");
    // More than all buffers on the way hold: a guest that had to wait would never be done.
    const script = `head -c ${32 << 20} /dev/zero | socat -b 1400 -u - UDP:${OTHER.v4}:9`;
    const sent = await guest.exec("sh", ["-c", script]);
    assert.equal(sent.code, 0, sent.stderr);
    process.kill(pid, "SIGKILL");
    await eventually("another passt", () => (userNetwork.status()?.restarts === 1 ? true : undefined));
    await userNetwork.up();
    await guest.read("ping", "-c1", "-w5", OTHER.v4);

    await userNetwork.replace();
    await userNetwork.up();
    await eventually("the old passt ended with its carrier", () =>
      passtsIn(it.pod.path).length === 1 ? true : undefined,
    );
    await listen(t, neighbour, "near", "tcp", 7000);
    assert.equal(await answer(guest, OTHER.v4, "tcp", 7000), `near ${POD.v4}`);
  },
);

test("passt runs without any right, behind its own seccomp filter", needs, async (t) => {
  const it = await place(t, PORTS);
  const wanted = ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"];
  // It confines itself in the moment after it began to listen.
  await eventually("its confinement", () => {
    const status = readFileSync(`/proc/${passtsIn(it.pod.path)[0]}/status`, "utf8");
    const missing = wanted.filter((line) => !status.includes(`${line}\n`));
    if (missing.length > 0) throw new Error(missing.join());
    return true;
  });
});

function passtsIn(netns: string): readonly number[] {
  return processesInNetns(netns).filter((pid) => commOf(pid).startsWith("passt"));
}

function commOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8");
  } catch {
    return "";
  }
}

/** Bytes that arrived. */
async function transfer(
  from: string,
  to: string,
  listener: string,
  target: string,
  size: number,
): Promise<number> {
  const sink = spawn("ip", ["netns", "exec", to, "socat", "-u", listener, "-"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let got = 0;
  sink.stdout.on("data", (chunk: Buffer) => {
    got += chunk.length;
  });
  const ended = once(sink, "close");
  await eventually("the sink listens", () => inPod(to, ["ss", "-Hltn", "sport = :22"]) !== "" || undefined);
  const script = `head -c ${size} /dev/zero | socat -u - ${target}`;
  const source = spawn("ip", ["netns", "exec", from, "sh", "-c", script], { stdio: "ignore" });
  const timer = setTimeout(() => [sink, source].forEach((one) => void one.kill("SIGKILL")), 30_000);
  await ended;
  clearTimeout(timer);
  return got;
}
