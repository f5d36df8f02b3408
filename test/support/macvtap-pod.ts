/**
 * Pods wired by macvtap, on the two kinds of network it is for; guests are namespaces.
 *
 * On the pod network, as CNI's bridge plugin leaves it:            On a host's interface, by the macvlan plugin:
 *
 *   guest ─ tap0 ─ eth0 ─┐                                           guest ─ tap… ─┐
 *                        br0 (host) 10.98.0.1, fd98::1                             h0 (host) ─── lan
 *   neighbour eth0 ──────┘                                           guest ─ tap… ─┘ 10.97.0.1   10.97.0.9
 */
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PodFiles, podFiles, type WireInput, wirePod } from "../../src/apply/wire-pod.ts";
import type { Ip } from "../../src/base/ip.ts";
import { secondaryPodInterface } from "../../src/base/names.ts";
import { registry } from "../../src/bindings/index.ts";
import { type OpenKernel, openKernel } from "../../src/linux/kernel.ts";
import { packetPort } from "../../src/linux/packet-port.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import type { NetworkAttachment } from "../../src/plan/binding.ts";
import type { NicPlan } from "../../src/plan/plan.ts";
import { guestServices } from "../../src/vm/guest-services.ts";
import { HOST, vmi } from "./builders.ts";
import { type NamespaceGuest, startNamespaceGuest } from "./namespace-guest.ts";
import { connect, type TestPod, testPod } from "./netns.ts";

type After = Parameters<typeof testPod>[0];

export const POD_IP = { v4: "10.98.0.2", v6: "fd98::2" } as const;
export const HOST_IP = { v4: "10.98.0.1", v6: "fd98::1" } as const;
export const OTHER_IP = { v4: "10.98.0.3", v6: "fd98::3" } as const;
export const LAN_NETWORK = "default/lan";

export interface PodNetwork {
  readonly host: TestPod;
  readonly pod: TestPod;
  readonly neighbour: TestPod;
}

export interface MacvtapPod {
  readonly pod: TestPod;
  readonly kernel: OpenKernel;
  readonly nic: NicPlan;
  readonly input: WireInput;
  readonly files: PodFiles;
  counter(name: string): number;
  /** Takes the place of QEMU, `queues` times. */
  startGuest(queues?: number): Promise<NamespaceGuest>;
}

export interface MacvtapParts {
  readonly name?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly macAddress?: string;
  readonly networkName?: string;
  readonly attachment?: NetworkAttachment;
}

export function podNetwork(t: After, mtu = 1500): PodNetwork {
  const host = testPod(t, "mvthost");
  // A router is there for some time before its pods.
  host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0");
  // With a MAC of its own a bridge keeps it, and the link-local address that it suggests, when ports come.
  host.run(
    "ip",
    "link",
    "add",
    "br0",
    "address",
    "02:00:00:98:00:01",
    "type",
    "bridge",
    "mcast_snooping",
    "0",
  );
  host.run("ip", "link", "set", "br0", "up", "mtu", String(mtu));
  const [pod, neighbour] = (["mvtpod", "mvtnear"] as const).map((label, i) => {
    const one = testPod(t, label);
    connect({
      pod: one,
      link: "eth0",
      addresses: [`10.98.0.${i + 2}/24`, `fd98::${i + 2}/64`],
      peer: host,
      peerLink: `v${i}`,
      mtu,
    });
    host.run("ip", "link", "set", `v${i}`, "master", "br0");
    one.run("ip", "route", "add", "default", "via", HOST_IP.v4);
    one.run("ip", "-6", "route", "add", "default", "via", HOST_IP.v6);
    return one;
  });
  for (const ip of [`${HOST_IP.v4}/24`]) host.run("ip", "address", "add", ip, "dev", "br0");
  host.run("ip", "address", "add", `${HOST_IP.v6}/64`, "dev", "br0", "nodad");
  if (pod === undefined || neighbour === undefined) throw new Error("unreachable");
  return { host, pod, neighbour };
}

export interface Lan {
  readonly host: TestPod;
  /** Another machine. */
  readonly lan: TestPod;
}

export function lanNetwork(t: After): Lan {
  const host = testPod(t, "mvthost");
  const lan = testPod(t, "mvtlan");
  connect({
    pod: host,
    link: "h0",
    addresses: ["10.97.0.1/24", "fd97::1/64"],
    peer: lan,
    peerLink: "lan",
    peerAddresses: ["10.97.0.9/24", "fd97::9/64"],
  });
  return { host, lan };
}

/** What the macvlan plugin does, without IPAM or with these addresses. */
export function macvlanPod(t: After, { host }: Lan, addresses: readonly string[] = []): TestPod {
  const pod = testPod(t, "mvtpod");
  const name = secondaryPodInterface("lan");
  host.run("ip", "link", "add", name, "link", "h0", "netns", pod.name, "type", "macvlan", "mode", "bridge");
  for (const address of addresses) {
    const quiet = address.includes(":") ? ["nodad"] : [];
    pod.run("ip", "address", "add", address, "dev", name, ...quiet);
  }
  pod.run("ip", "link", "set", name, "up");
  return pod;
}

/** Phase 1 by the real engine, and its responders. */
export function wireMacvtap(t: After, pod: TestPod, parts: MacvtapParts = {}): MacvtapPod {
  const state = mkdtempSync(join(tmpdir(), "podtap-macvtap-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const kernel = openKernel(pod.path);
  t.after(() => kernel.close());
  const lan = parts.networkName === "lan";
  const name = lan ? "lan" : "default";
  const input: WireInput = {
    vmi: vmi({
      ...(parts.name && { name: parts.name }),
      ...(parts.annotations && { annotations: parts.annotations }),
      spec: {
        domain: {
          devices: {
            interfaces: [
              {
                name,
                binding: { name: "macvtap" },
                ...(parts.macAddress && { macAddress: parts.macAddress }),
              },
            ],
          },
        },
        networks: [{ name, ...(lan ? { multus: { networkName: LAN_NETWORK } } : { pod: {} }) }],
      },
    }),
    resolver: { nameservers: [HOST_IP.v4 as Ip, HOST_IP.v6 as Ip], searchDomains: ["test.example"] },
    // A park that every kernel has.
    host: { ...HOST, features: { ...HOST.features, dummy: false } },
    queues: 0,
    ...(parts.attachment && { attachments: { [name]: parts.attachment } }),
  };
  const files = podFiles(state);
  const wired = wirePod(kernel, input, files, registry);
  if (!wired.ok) throw new Error(wired.problems.map(({ message }) => message).join("; "));
  const [nic] = wired.value.plan.nics;
  if (nic === undefined) throw new Error("no NIC in the plan");
  if (nic.services.length > 0) serve(t, pod, nic);
  return {
    pod,
    kernel,
    nic,
    input,
    files,
    counter: (counter) =>
      nic.nft.reduce((sum, table) => sum + (kernel.readNftCounters(table)[counter]?.packets ?? 0), 0),
    startGuest: async (queues = 1) => {
      const { mac, guestLink, domain } = nic;
      const guest = await startNamespaceGuest({
        podNetns: pod.name,
        tap: guestLink,
        mac,
        mtu: domain.mtu,
        queues,
      });
      t.after(() => guest.stop());
      return guest;
    },
  };
}

function serve(t: After, pod: TestPod, nic: NicPlan): void {
  const fd = openPacketSocket(pod.path);
  const server = guestServices({
    port: packetPort,
    descriptors: [fd],
    clock: { now: Date.now },
    log: () => undefined,
  });
  t.after(() => {
    server.close();
    closeSync(fd);
  });
  server.serve(nic.services, () => undefined);
}
