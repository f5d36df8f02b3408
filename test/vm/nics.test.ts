/**
 * One guest with a NIC of every model and property that a manifest can ask for, on networks that would each like to
 * give it a default route. What is claimed is asked of the guest itself.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Pod, Vmi, VmiInterfaceStatus } from "../../src/api/types.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
import type { Plan } from "../../src/plan/plan.ts";
import {
  DEMO_IMAGE,
  daemonPid,
  manifest,
  onDaemonHost,
  podProcess,
  podtap,
  traces,
  USE_LOCAL_IMAGES,
} from "../support/daemon-host.ts";
import { inGuest } from "../support/guest-console.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const OPTIONS = (site: string): object => ({
  tftpServerName: `tftp.${site}.example`,
  bootFileName: `${site}/pxelinux.0`,
  ntpServers: ["192.0.2.7", "192.0.2.8"],
  privateOptions: [{ option: 240, value: `private to ${site}` }],
});
/** In the order of the guest's own names: virtio, then what sits behind other bridges. */
const INTERFACES = [
  {
    name: "default",
    masquerade: {},
    ports: [{ port: 80 }],
    macAddress: "02:aa:00:00:00:80",
    bootOrder: 1,
    acpiIndex: 7,
    dhcpOptions: OPTIONS("masquerade"),
  },
  {
    name: "gateway",
    bridge: {},
    macAddress: "02:aa:00:00:00:81",
    pciAddress: "0000:00:10.0",
    dhcpOptions: OPTIONS("bridge"),
  },
  { name: "ptp", bridge: {}, macAddress: "02:aa:00:00:00:82", model: "e1000" },
  { name: "lan1", bridge: {}, macAddress: "02:aa:00:00:00:83", model: "e1000e", state: "up" },
  { name: "lan2", bridge: {}, macAddress: "02:aa:00:00:00:84", model: "rtl8139" },
  { name: "cut", bridge: {}, macAddress: "02:aa:00:00:00:85", model: "virtio", state: "down" },
  { name: "gone", bridge: {}, state: "absent" },
] as const;

const VM = manifest(
  JSON.stringify({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "nics" },
    spec: {
      terminationGracePeriodSeconds: 0,
      domain: {
        cpu: { cores: 2 },
        memory: { guest: "256Mi" },
        firmware: {
          kernelBoot: {
            container: { image: DEMO_IMAGE, kernelPath: "/boot/vmlinuz", initrdPath: "/boot/initramfs" },
            // The console's shell does not wait for a lease, which the NIC without carrier never gets.
            kernelArgs: "console=ttyS0 quiet no_timer_check mitigations=off podtap.wait=0",
          },
        },
        devices: { networkInterfaceMultiqueue: true, interfaces: INTERFACES },
      },
      networks: INTERFACES.map(({ name }) =>
        name === "default" ? { name, pod: {} } : { name, multus: { networkName: name } },
      ),
    },
  }),
);

const nad = (name: string, config: object): string =>
  JSON.stringify({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name },
    spec: { config: JSON.stringify({ cniVersion: "0.4.0", ...config }) },
  });
const ipam = (n: number, ...destinations: readonly string[]): object => ({
  type: "host-local",
  ranges: [[{ subnet: `10.${n}.0.0/24` }], [{ subnet: `fd${n}::/64` }]],
  routes: destinations.map((dst) => ({ dst })),
});
const bridgeNad = (name: string, n: number, more: object = {}): string =>
  nad(name, { type: "bridge", bridge: `pt-nic${n}`, isGateway: true, ipam: ipam(n), ...more });

/** Two of them would be the guest's way out, and each has a network of its own behind its gateway. None is `gone`. */
const NADS = manifest(
  bridgeNad("gateway", 81, {
    mtu: 1400,
    isDefaultGateway: true,
    ipam: ipam(81, "10.181.0.0/16"),
  }),
  nad("ptp", { type: "ptp", mtu: 1380, ipam: ipam(82, "0.0.0.0/0", "::/0", "10.182.0.0/16") }),
  bridgeNad("lan1", 83, { mtu: 9000 }),
  bridgeNad("lan2", 84),
  bridgeNad("cut", 85, { mtu: 1450 }),
);
const MTUS: Readonly<Record<string, number>> = {
  default: 1500,
  gateway: 1400,
  ptp: 1380,
  lan1: 9000,
  lan2: 1500,
  cut: 1450,
};
const BRIDGES = [81, 83, 84, 85].map((n) => `pt-nic${n}`);

describe("a guest with many NICs", requires("root", "nft", "cni", "qemu", "libvirt"), () => {
  let atFirst: readonly string[] = [];
  /** The guest's own name of each NIC. */
  let links: Readonly<Record<string, string>> = {};

  before(async () => {
    atFirst = traces();
    await podtap("up", NADS, VM, ...USE_LOCAL_IMAGES);
    const wanted = (await status()).flatMap(guestAddresses);
    assert.equal(wanted.length, 10, "dual stack on five NICs");
    await eventually(
      "every lease",
      async () => {
        const shown = await inGuest("nics", "ip -o addr show scope global");
        const missing = wanted.filter((ip) => !shown.includes(` ${ip}/`));
        if (missing.length > 0) throw new Error(`no ${missing.join(", ")}\n${shown}`);
        return true;
      },
      60_000,
    );
    const macs = await inGuest(
      "nics",
      'cd /sys/class/net && for n in eth*; do echo "$(cat $n/address) $n"; done',
    );
    const byMac = Object.fromEntries(
      macs
        .trim()
        .split("\n")
        .map((line) => line.split(" ")),
    );
    links = Object.fromEntries(
      INTERFACES.flatMap((nic) => ("macAddress" in nic ? [[nic.name, byMac[nic.macAddress]]] : [])),
    );
    assert.equal(Object.keys(byMac).length, 6, macs);
  });
  after(async () => {
    await podtap("down", "--all");
    await eventually("the daemon's end", () => daemonPid() === undefined || undefined);
    for (const bridge of BRIDGES) spawnSync("ip", ["link", "delete", bridge]);
    const ours = /^object |^file \/run\/(state|podtap)\/(?!leases)/;
    const left = traces().filter((trace) => !ours.test(trace) && !atFirst.includes(trace));
    assert.deepEqual(left, []);
  });

  test("every NIC has the driver of its model, and the addresses that its network gave", async () => {
    const drivers: (readonly [string, string | undefined])[] = [];
    for (const [name, link] of Object.entries(links)) {
      const driver = await inGuest("nics", `readlink -f /sys/class/net/${link}/device/driver`);
      drivers.push([name, driver.trim().split("/").at(-1)]);
    }
    assert.deepEqual(Object.fromEntries(drivers), {
      default: "virtio_net",
      gateway: "virtio_net",
      ptp: "e1000",
      lan1: "e1000e",
      lan2: "8139cp",
      cut: "virtio_net",
    });
    for (const nic of await status()) {
      const look = `ip -o addr show dev ${links[nic.name ?? ""]} scope global`;
      if (nic.name === "cut") assert.equal(await inGuest("nics", look), "");
      // A new MTU takes e1000's link down for a moment, and the DHCPv6 client its address off it.
      else {
        await eventually(`${nic.name}'s addresses`, async () => {
          const shown = await inGuest("nics", look);
          return guestAddresses(nic).every((ip) => shown.includes(` ${ip}/`)) || undefined;
        });
      }
    }
  });

  test("the guest has one default route a family: the pod network's", async () => {
    const [v4, v6] = [await inGuest("nics", "ip route"), await inGuest("nics", "ip -6 route")];
    const defaults = (text: string): readonly string[] => text.match(/^default .*$/gm) ?? [];
    assert.deepEqual(
      defaults(v4).map((line) => /via (\S+) dev (\S+)/.exec(line)?.slice(1)),
      [["10.0.2.1", links["default"]]],
      v4,
    );
    assert.deepEqual(
      defaults(v6).map((line) => /via (\S+) dev (\S+)/.exec(line)?.slice(1)),
      [["fe80::1", links["default"]]],
      v6,
    );
  });

  test("what lies behind the others' gateways is reached by these", async () => {
    const routes = await inGuest("nics", "ip route");
    assert.match(
      routes,
      new RegExp(`^10\\.181\\.0\\.0/16 via 10\\.81\\.0\\.1 dev ${links["gateway"]} `, "m"),
    );
    assert.match(routes, new RegExp(`^10\\.182\\.0\\.0/16 via 10\\.82\\.0\\.1 dev ${links["ptp"]} `, "m"));
    // ptp's subnet is not on the link.
    assert.match(routes, new RegExp(`^10\\.82\\.0\\.0/24 via 10\\.82\\.0\\.1 dev ${links["ptp"]} `, "m"));
  });

  test("each NIC's addresses answer its network, and not those of a NIC that is cut off", async () => {
    for (const { name, ipAddresses = [] } of await status()) {
      if (name === "cut") continue;
      for (const ip of ipAddresses) {
        if (name === "default") await eventually(`a page from ${ip}`, () => page(ip), 20_000);
        else await eventually(`${name}: ${ip}`, () => ping(ip), 20_000);
      }
    }
    assert.equal(ping("10.85.0.2"), undefined);
  });

  test("a NIC with state down has no carrier, one with state absent is not there", async () => {
    const carriers = await inGuest(
      "nics",
      'cd /sys/class/net && for n in eth*; do echo "$n $(cat $n/carrier)"; done',
    );
    for (const line of carriers.trim().split("\n")) {
      const [link, carrier] = line.split(" ");
      assert.equal(carrier, link === links["cut"] ? "0" : "1", line);
    }
    const known = (await status()).map(({ name }) => name);
    assert.ok(!known.includes("gone"), `${known}`);
  });

  test("virtio NICs have a queue a CPU, other models one", async () => {
    for (const [name, link] of Object.entries(links)) {
      const queues = await inGuest("nics", `ls /sys/class/net/${link}/queues`);
      const several = ["default", "gateway", "cut"].includes(name);
      assert.deepEqual(queues.match(/rx-\d/g), several ? ["rx-0", "rx-1"] : ["rx-0"], name);
    }
  });

  test("PCI address and ACPI index are where the manifest put them", async () => {
    const device = await inGuest("nics", `readlink -f /sys/class/net/${links["gateway"]}/device`);
    assert.match(device, /\/0000:00:10\.0\/virtio\d+$/m);
    const index = await inGuest("nics", `cat /sys/class/net/${links["default"]}/device/../acpi_index`);
    assert.equal(index.trim(), "7");
  });

  test("bootOrder makes the NIC the first that firmware asks, the others have no option ROM", async () => {
    const { items } = JSON.parse(await podtap("get", "pods", "-o", "json")) as { items: readonly Pod[] };
    const pod = items[0] ?? assert.fail("no pod");
    const qemu = readFileSync(`/proc/${podProcess(identityOf(pod).id, "qemu")}/cmdline`, "utf8");
    const nics = qemu.split("\0").filter((word) => word.includes('"mac":"02:aa:'));
    assert.equal(nics.length, 6);
    for (const nic of nics) {
      const { mac, bootindex, romfile } = JSON.parse(nic) as Record<string, unknown>;
      const first = mac === INTERFACES[0].macAddress;
      assert.deepEqual([bootindex, romfile], first ? [1, undefined] : [undefined, ""], nic);
    }
  });

  for (const [name, binding] of [
    ["default", "masquerade"],
    ["gateway", "bridge"],
  ] as const) {
    test(`${binding}: a client that asks gets the manifest's DHCP options`, async () => {
      const script = "/tmp/show";
      await inGuest("nics", `printf '#!/bin/sh\\n[ $1 = bound ] && env\\n' >${script} && chmod +x ${script}`);
      const asked = ["tftp", "bootfile", "ntpsrv", "0xf0"].map((option) => `-O ${option}`).join(" ");
      const lease = await inGuest(
        "nics",
        `udhcpc -f -n -q -i ${links[name]} -s ${script} ${asked} 2>/dev/null`,
      );
      const seen = Object.fromEntries(lease.split("\n").map((line) => line.split(/=(.*)/)));
      assert.equal(seen["tftp"], `tftp.${binding}.example`);
      assert.equal(seen["bootfile"], `${binding}/pxelinux.0`);
      assert.equal(seen["ntpsrv"], "192.0.2.7 192.0.2.8");
      assert.equal(Buffer.from(seen["opt240"] ?? "", "hex").toString(), `private to ${binding}`);
    });
  }

  test("each NIC has the MTU of its network, by every model, and carries frames of that size", async () => {
    for (const [name, mtu] of Object.entries(MTUS)) {
      const told = await inGuest("nics", `cat /sys/class/net/${links[name]}/mtu`);
      assert.equal(told.trim(), String(mtu), name);
    }
    const packet = 20 + 8;
    for (const { name = "", ipAddress = "" } of await status()) {
      if (name === "default" || name === "cut") continue;
      const most = (MTUS[name] ?? 0) - packet;
      await eventually(
        `${name}: ${most} bytes`,
        () => ping(ipAddress, "-M", "do", "-s", String(most)),
        20_000,
      );
    }
  });

  test("the MTU comes by DHCP, by router advertisement and by the virtio device itself", async () => {
    const link = links["gateway"];
    assert.match(await inGuest("nics", `cat /run/net/${link}.4`), /^mtu=1400$/m);
    assert.equal((await inGuest("nics", `cat /proc/sys/net/ipv6/conf/${link}/mtu`)).trim(), "1400");
    // Without carrier nobody but the device told it.
    await assert.rejects(inGuest("nics", `ip link set ${links["cut"]} mtu 1500`), /in the guest/);
    const [untold, ...others] = await mtuNotes();
    assert.match(untold ?? "", /^ptp MTU: e1000 cannot tell its driver of 1380: /);
    assert.match(others.join(), /^lan1 MTU: e1000e cannot tell its driver of 9000: [^,]*$/);
  });

  test("a narrower port of a network's bridge is named by the plan", async (t) => {
    execFileSync("ip", [
      "link",
      "add",
      "pt-nicup",
      "mtu",
      "1400",
      "type",
      "veth",
      "peer",
      "name",
      "pt-nicfar",
    ]);
    t.after(() => execFileSync("ip", ["link", "delete", "pt-nicup"]));
    execFileSync("ip", ["link", "set", "pt-nicup", "master", "pt-nic84"]);
    const notes = await mtuNotes();
    assert.match(
      notes.join("\n"),
      /^lan2 MTU: pt-nicup, on the way .* 1400 bytes and the guest is told 1500: /m,
    );
  });
});

/** Each behind its NIC's name. */
async function mtuNotes(): Promise<readonly string[]> {
  const { plan } = JSON.parse(await podtap("plan", "nics", "-o", "json")) as { readonly plan: Plan };
  return plan.nics.flatMap(({ name, notes }) =>
    notes.filter((note) => note.startsWith("MTU: ")).map((note) => `${name} ${note}`),
  );
}

/** Of the NICs, as their VMI tells. */
async function status(): Promise<readonly VmiInterfaceStatus[]> {
  const vmi = JSON.parse(await podtap("get", "vmi", "nics", "-o", "json")) as Vmi;
  return vmi.status?.interfaces ?? [];
}

/** What the guest should have on it. */
function guestAddresses({ name, ipAddresses = [] }: VmiInterfaceStatus): readonly string[] {
  if (name === "cut") return [];
  return name === "default" ? ["10.0.2.2", "fd10:0:2::2"] : ipAddresses;
}

function ping(ip: string, ...more: readonly string[]): true | undefined {
  return spawnSync("ping", ["-c1", "-W1", ...more, ip]).status === 0 ? true : undefined;
}

function page(ip: string): string | undefined {
  const url = `http://${ip.includes(":") ? `[${ip}]` : ip}/`;
  const args = ["--silent", "--fail", "--noproxy", "*", "--max-time", "3", url];
  const { status: code, stdout } = spawnSync("curl", args, { encoding: "utf8" });
  return code === 0 ? stdout : undefined;
}
