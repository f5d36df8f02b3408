/**
 * What is compared. Four are wired by hand, without podtap: they are the yardstick. Every binding of the registry is
 * wired by podtap's own engine.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { podFiles, wirePod } from "../../src/apply/wire-pod.ts";
import type { Mac } from "../../src/base/mac.ts";
import { registry } from "../../src/bindings/index.ts";
import { hostFeatures } from "../../src/linux/features.ts";
import { openKernel } from "../../src/linux/kernel.ts";
import type { Binding } from "../../src/plan/binding.ts";
import { HOST, vmi } from "../../test/support/builders.ts";
import type { TestPod } from "../../test/support/netns.ts";
import type { Guest, GuestKind, Station, WiredNic } from "./guest.ts";
import { HOST_IP, ip, type Lab, PREFIX } from "./lab.ts";

export interface Scenario {
  readonly name: string;
  /** For people: the hops between the bridge and the guest. */
  readonly path: string;
  open(lab: Lab, address: string, guests: GuestKind): Promise<Station>;
}

const MAC = (address: string): Mac =>
  `02:be:00:00:00:${Number(address.split(".").at(-1)).toString(16).padStart(2, "0")}` as Mac;

export const DIRECT = "direct tap";

export const AS_THE_SEED: readonly Scenario[] = [
  {
    name: DIRECT,
    path: "br0 - tap",
    open: async (lab, address, guests) => {
      const tap = `tap${address.split(".").at(-1)}`;
      makeTap(lab.host, tap, lab.mtu);
      ip(lab.host, "link", "set", tap, "master", "br0", "up");
      return guestOn(lab, guests, lab.host, tap, address);
    },
  },
  {
    name: "tap + bridge + veth",
    path: "br0 - veth - eth0 - bridge - tap",
    open: async (lab, address, guests) => {
      const pod = lab.pod("hand", address);
      ip(pod, "address", "flush", "dev", "eth0");
      ip(pod, "link", "add", "br0", "mtu", String(lab.mtu), "type", "bridge", "mcast_snooping", "0");
      makeTap(pod, "tap0", lab.mtu);
      for (const port of ["eth0", "tap0"]) ip(pod, "link", "set", port, "master", "br0", "up");
      ip(pod, "link", "set", "br0", "up");
      return guestOn(lab, guests, pod, "tap0", address);
    },
  },
  {
    name: "tc bypass",
    path: "br0 - veth - eth0 - tc - tap",
    open: async (lab, address, guests) => {
      const pod = lab.pod("tc", address);
      ip(pod, "address", "flush", "dev", "eth0");
      makeTap(pod, "tap0", lab.mtu);
      ip(pod, "link", "set", "tap0", "up");
      for (const [from, to] of [
        ["eth0", "tap0"],
        ["tap0", "eth0"],
      ] as const) {
        tc(pod, "qdisc", "add", "dev", from, "ingress");
        const all = "parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev";
        tc(pod, "filter", "add", "dev", from, ...all.split(" "), to);
      }
      return guestOn(lab, guests, pod, "tap0", address);
    },
  },
];

/** The least that masquerade can do, and the networks that it does it between. */
const BEHIND = { gateway: "10.0.2.1", guest: "10.0.2.2" };
const NAT = `table ip nat {
  chain prerouting { type nat hook prerouting priority dstnat; iifname eth0 dnat to ${BEHIND.guest}; }
  chain postrouting { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }
}`;

export const NAT_BY_HAND: Scenario = {
  name: "NAT by hand",
  path: "br0 - veth - eth0 - nat - bridge - tap",
  open: async (lab, address, guests) => {
    const pod = lab.pod("nat", address);
    ip(pod, "link", "add", "br0", "mtu", String(lab.mtu), "type", "bridge", "mcast_snooping", "0");
    makeTap(pod, "tap0", lab.mtu);
    ip(pod, "link", "set", "tap0", "master", "br0", "up");
    ip(pod, "link", "set", "br0", "up");
    ip(pod, "address", "add", `${BEHIND.gateway}/24`, "dev", "br0");
    pod.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
    pod.run("nft", NAT);
    return guestOn(lab, guests, pod, "tap0", address, BEHIND);
  },
};

/** By podtap, on the pod's own network. */
export function scenarioOf(binding: Binding): Scenario {
  return {
    name: binding.bindingName,
    path: `br0 - veth - eth0 - ${binding.traits.path}`,
    open: async (lab, address, guests) => {
      const pod = lab.pod(binding.bindingName, address);
      const state = mkdtempSync(join(tmpdir(), "podtap-bench-"));
      lab.after(() => rmSync(state, { recursive: true, force: true }));
      const host = { ...HOST, features: hostFeatures() };
      const kernel = openKernel(pod.path);
      try {
        const { masquerade: _, ...nic } = vmi({ nic: { ports: [{ port: 7777 }] } }).spec.domain.devices
          .interfaces?.[0] ?? { name: "default" };
        const { domain, ...spec } = vmi().spec;
        const devices = { interfaces: [{ ...nic, ...binding.spelling }] };
        const ours = vmi({ spec: { ...spec, domain: { ...domain, devices } } });
        const wired = wirePod(
          kernel,
          { vmi: ours, resolver: { nameservers: [], searchDomains: [] }, host, queues: 0 },
          podFiles(state),
          registry,
        );
        if (!wired.ok) throw new Error(wired.problems.map(({ message }) => message).join("; "));
        const [plan] = wired.value.plan.nics;
        if (plan === undefined) throw new Error("no NIC in the plan");
        const guest = await guests.start(lab, { pod, nic: plan, vmi: ours });
        return await atRest(guest, binding.traits.attaches === "user-network" ? "asks" : plan, address);
      } finally {
        kernel.close();
      }
    },
  };
}

async function guestOn(
  lab: Lab,
  guests: GuestKind,
  pod: TestPod,
  tap: string,
  address: string,
  behind?: typeof BEHIND,
): Promise<Station> {
  const mac = MAC(address);
  const domain: WiredNic["domain"] = {
    type: "ethernet",
    alias: "ua-default",
    target: { dev: tap, managed: false },
    mac,
    model: "virtio-non-transitional",
    mtu: lab.mtu,
    romEnabled: false,
  };
  const nic: WiredNic = { domain, guestLink: tap, mac, links: [], services: [] };
  const guest = await guests.start(lab, { pod, nic, vmi: vmi() });
  return await atRest(guest, nic, behind?.guest ?? address, behind?.gateway);
}

/** A guest with its address: what DHCP would say, without its time; from a network of QEMU's or passt's by asking. */
async function atRest(guest: Guest, nic: WiredNic | "asks", ip: string, gateway = HOST_IP): Promise<Station> {
  if (nic === "asks") {
    await guest.run("udhcpc", "-f", "-n", "-q", "-i", "eth0", "-s", "/usr/lib/guest/dhcp4");
  } else {
    const lease = nic.services.find((service) => service.type === "dhcp4")?.config;
    await guest.run("ip", "address", "add", lease?.lease ?? `${ip}/${PREFIX}`, "dev", "eth0");
    await guest.run("ip", "route", "add", "default", "via", lease?.router ?? gateway);
  }
  await guest.rest();
  return guest;
}

function makeTap(where: TestPod, name: string, mtu: number): void {
  where.run("ip", "tuntap", "add", name, "mode", "tap", "user", "107", "group", "107", "vnet_hdr");
  ip(where, "link", "set", name, "mtu", String(mtu));
}

function tc(where: TestPod, ...args: readonly string[]): void {
  execFileSync("ip", ["netns", "exec", where.name, "tc", ...args]);
}
