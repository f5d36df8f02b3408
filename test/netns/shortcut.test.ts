/** The bridge's shortcut, with packets: taken where the kernel has eBPF, and not missed where it has none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { InterfaceSpec, Vmi } from "../../src/api/types.ts";
import { previewPod } from "../../src/apply/wire-pod.ts";
import type { Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { registry } from "../../src/bindings/index.ts";
import { vmi } from "../support/builders.ts";
import { guestFrames, networkFrames } from "../support/frames.ts";
import { frameSocket, judgeFrames } from "../support/judge-frames.ts";
import { udhcpc } from "../support/namespace-guest.ts";
import { eventually, requires } from "../support/netns.ts";
import { ask, listen } from "../support/talk.ts";
import { OTHER, POD, type Segment, type WiredPod, wiredPod } from "../support/wired-pod.ts";

const families = ["v4", "v6"] as const;
const needs = requires("root", "nft", "udhcpc");
const guestWith = (spelling: Partial<InterfaceSpec>): Vmi =>
  vmi({
    spec: {
      domain: { devices: { interfaces: [{ name: "default", ...spelling }] as InterfaceSpec[] } },
      networks: [{ name: "default", pod: {} }],
    },
  });
const guest = guestWith({ bridge: {} });

/** Of IP, what the pod's bridge carries between its ports: asked before br_netfilter (0), which takes packets out. */
const WITNESS = `table bridge witness {
  counter carried { }
  chain forward {
    type filter hook forward priority -10;
    ether type ip counter name carried
    ip6 nexthdr { tcp, udp } counter name carried
  }
}`;

for (const [label, features, crosses] of [
  ["by eBPF IP goes past the bridge", {}, false],
  ["without eBPF it crosses the bridge", { classifiers: ["u32"] }, true],
] as const) {
  test(`bridge: ${label}, in and out`, needs, async (t) => {
    const prepare = ({ pod }: Segment): void => void pod.run("nft", WITNESS);
    const it = await wiredPod(t, guest, { features, prepare });
    const links = it.kernel.readRedirects(["tap0", "eth0-nic"]);
    assert.deepEqual(
      Object.values(links).map((redirect) => redirect?.to ?? null),
      crosses ? [null, null] : ["eth0-nic", "tap0"],
    );
    const carried = (): number =>
      Number(/packets (\d+)/.exec(it.pod.run("nft", "list", "counter", "bridge", "witness", "carried"))?.[1]);
    await addressed(it);
    for (const protocol of ["tcp", "udp"] as const) {
      await listen(t, it.guest, "guest", protocol, 7000);
      await listen(t, it.neighbour, "neighbour", protocol, 7000);
      for (const family of families) {
        const out = () => ask(it.guest, OTHER[family], protocol, 7000);
        await eventually(`${protocol} ${family} out`, async () => (await out()).startsWith("neighbour"));
        const into = () => ask(it.neighbour, POD[family], protocol, 7000);
        await eventually(`${protocol} ${family} in`, async () => (await into()).startsWith("guest"));
      }
    }
    assert.equal(carried() > 0, crosses, `${carried()} packets crossed the bridge`);
    assert.deepEqual(stepsMissing(it), []);
  });
}

for (const spelling of [{ bridge: {} }, { binding: { name: "tc-redirect" } }]) {
  const title = `${JSON.stringify(spelling)}: what sits at the far end of the veth judges the guest's frames`;
  test(title, needs, async (t) => {
    const it = await wiredPod(t, guestWith(spelling));
    assert.equal(it.kernel.readRedirects(["tap0"])["tap0"]?.classifier, "bpf");
    await addressed(it);
    const ping = async (): Promise<boolean> =>
      (await it.guest.exec("ping", ["-c1", "-W2", OTHER.v4])).code === 0;
    assert.ok(await ping());
    const { host } = it;
    host.run(
      "nft",
      "table netdev judge { chain c { type filter hook ingress device v0 priority 0; meta protocol ip drop; }; }",
    );
    assert.equal(await ping(), false);
    host.run("nft", "delete", "table", "netdev", "judge");
    // As CNI's bandwidth plugin limits what a pod sends.
    host.run("ip", "link", "add", "ifb0", "type", "ifb");
    host.run("ip", "link", "set", "ifb0", "up");
    host.run("tc", "qdisc", "add", "dev", "v0", "ingress");
    const filter = ["parent", "ffff:", "protocol", "all", "u32", "match", "u32", "0", "0"];
    host.run(
      "tc",
      "filter",
      "add",
      "dev",
      "v0",
      ...filter,
      "action",
      "mirred",
      "egress",
      "redirect",
      "dev",
      "ifb0",
    );
    assert.ok(await ping());
    const [ifb] = JSON.parse(host.run("ip", "-s", "-j", "link", "show", "ifb0"));
    assert.ok(ifb.stats64.tx.packets > 0, "the guest's packets went through the plugin's queue");
  });
}

test(
  "bridge without eBPF: forged frames are dropped and counted by kind, honest ones pass",
  needs,
  async (t) => {
    const it = await wiredPod(t, guest, { features: { classifiers: [] } });
    const linkLocalOf = (text: string): Ip => (/fe80[0-9a-f:]+/.exec(text)?.[0] ?? "") as Ip;
    const linkLocal = await eventually("a link-local address of the guest", async () => {
      const text = await it.guest.read("ip", "-6", "address", "show", "dev", it.guest.nic, "scope", "link");
      return text.includes("tentative") ? undefined : linkLocalOf(text) || undefined;
    });
    const parties = {
      guest: { mac: it.nic.mac, v4: POD.v4 as Ip, v6: POD.v6 as Ip, linkLocal },
      other: {
        mac: it.neighbour.run("cat", "/sys/class/net/eth0/address").trim() as Mac,
        v4: OTHER.v4 as Ip,
        v6: OTHER.v6 as Ip,
      },
      router: linkLocalOf(it.host.run("ip", "-6", "address", "show", "dev", "br0")),
    };
    const inside = frameSocket(t, it.guest.netns, it.guest.nic);
    const outside = frameSocket(t, it.neighbour.name, "eth0");
    await judgeFrames(it, guestFrames(parties), inside, outside);
    await judgeFrames(it, networkFrames(parties), outside, inside);
  },
);

/** IPv4 by a client, IPv6 as a client would: the responders are others' tests. */
async function addressed(it: WiredPod): Promise<void> {
  assert.equal((await udhcpc(it.guest))?.["ip"], POD.v4);
  await it.guest.read("ip", "address", "add", `${POD.v6}/64`, "dev", it.guest.nic, "nodad");
}

function stepsMissing(it: WiredPod): readonly unknown[] {
  const preview = previewPod(it.kernel, it.input, it.files, registry);
  assert.ok(preview.ok);
  return preview.value.steps;
}
