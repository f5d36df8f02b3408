/**
 * A pod wired by masquerade with a namespace guest in it, a neighbour pod, and the host between them:
 *
 *   guest ─ tap0 ─ k6t-eth0 ═ nft ═ eth0 ─┐
 *                                         br0 (host) 10.99.0.1, fd99::1
 *                       neighbour eth0 ───┘
 *
 * Phase 1 by the real engine, addresses by DHCP and router advertisements of the real responders.
 */
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PodFiles, podFiles, type WireInput, wirePod } from "../../src/apply/wire-pod.ts";
import type { Ip } from "../../src/base/ip.ts";
import { registry } from "../../src/bindings/index.ts";
import { type OpenKernel, openKernel } from "../../src/linux/kernel.ts";
import { packetPort } from "../../src/linux/packet-port.ts";
import { openPacketSocket } from "../../src/linux/packet-socket.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { guestServices } from "../../src/vm/guest-services.ts";
import { HOST, type VmiParts, vmi } from "./builders.ts";
import { type NamespaceGuest, startNamespaceGuest, udhcpc } from "./namespace-guest.ts";
import { eventually, type TestPod, testPod } from "./netns.ts";

type After = Parameters<typeof testPod>[0];

export const POD = { v4: "10.99.0.2", v6: "fd99::2" } as const;
export const HOST_IP = { v4: "10.99.0.1", v6: "fd99::1" } as const;
export const GUEST = { v4: "10.0.2.2", v6: "fd10:0:2::2" } as const;

export interface MasqueradePod {
  readonly host: TestPod;
  readonly pod: TestPod;
  readonly neighbour: TestPod;
  readonly guest: NamespaceGuest;
  readonly kernel: OpenKernel;
  readonly plan: Plan;
  readonly input: WireInput;
  readonly files: PodFiles;
  counter(name: string): number;
}

export async function masqueradePod(
  t: After,
  parts: VmiParts,
  options: { readonly mtu?: number } = {},
): Promise<MasqueradePod> {
  const { host, pod, neighbour } = threeNamespaces(t, options.mtu ?? 1500);
  const state = mkdtempSync(join(tmpdir(), "podtap-masquerade-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const kernel = openKernel(pod.path);
  t.after(() => kernel.close());
  const input: WireInput = {
    vmi: vmi(parts),
    resolver: { nameservers: [HOST_IP.v4 as Ip, HOST_IP.v6 as Ip], searchDomains: ["test.example"] },
    host: HOST,
    queues: 0,
  };
  const files = podFiles(state);
  const wired = wirePod(kernel, input, files, registry);
  if (!wired.ok) throw new Error(wired.problems.map(({ message }) => message).join("; "));
  const { plan } = wired.value;
  const [nic] = plan.nics;
  if (nic === undefined) throw new Error("no NIC in the plan");
  serve(t, pod, plan);
  const guest = await startNamespaceGuest({
    podNetns: pod.name,
    tap: "tap0",
    mac: nic.mac,
    mtu: options.mtu ?? 1500,
  });
  t.after(() => guest.stop());
  await udhcpc(guest);
  await eventually("an IPv6 default route by router advertisement", async () =>
    (await guest.read("ip", "-6", "route", "show", "default")).includes("fe80::1") ? true : undefined,
  );
  // What DHCPv6 gives; the clients themselves are tested in guest-services.test.ts.
  await guest.read("ip", "address", "add", `${GUEST.v6}/128`, "dev", "eth0", "nodad");
  const counter = (name: string): number =>
    nic.nft.reduce((sum, table) => sum + (kernel.readNftCounters(table)[name]?.packets ?? 0), 0);
  return { host, pod, neighbour, guest, kernel, plan, input, files, counter };
}

function threeNamespaces(t: After, mtu: number): Pick<MasqueradePod, "host" | "pod" | "neighbour"> {
  const host = testPod(t, "host");
  host.run("ip", "link", "add", "br0", "mtu", String(mtu), "type", "bridge", "mcast_snooping", "0");
  for (const ip of [`${HOST_IP.v4}/24`, `${HOST_IP.v6}/64`])
    host.run("ip", "address", "add", ip, "dev", "br0", ...nodad(ip));
  host.run("ip", "link", "set", "br0", "up");
  const [pod, neighbour] = (["pod", "near"] as const).map((label, i) => {
    const one = testPod(t, label);
    host.run(
      "ip",
      "link",
      "add",
      `v${i}`,
      "mtu",
      String(mtu),
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "mtu",
      String(mtu),
      "netns",
      one.name,
    );
    host.run("ip", "link", "set", `v${i}`, "master", "br0", "up");
    for (const ip of [`10.99.0.${i + 2}/24`, `fd99::${i + 2}/64`])
      one.run("ip", "address", "add", ip, "dev", "eth0", ...nodad(ip));
    one.run("ip", "link", "set", "eth0", "up");
    one.run("ip", "route", "add", "default", "via", HOST_IP.v4);
    one.run("ip", "-6", "route", "add", "default", "via", HOST_IP.v6);
    return one;
  });
  if (pod === undefined || neighbour === undefined) throw new Error("unreachable");
  return { host, pod, neighbour };
}

function serve(t: After, pod: TestPod, plan: Plan): void {
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
  server.serve(
    plan.nics.flatMap((nic) => nic.services),
    () => undefined,
  );
}

function nodad(ip: string): readonly string[] {
  return ip.includes(":") ? ["nodad"] : [];
}
