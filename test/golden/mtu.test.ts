/** What every binding tells its guest of the way's MTU, and what people are told that no guest can be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { InterfaceSpec } from "../../src/api/types.ts";
import type { Cidr, Ip } from "../../src/base/ip.ts";
import type { Mac } from "../../src/base/mac.ts";
import { registry } from "../../src/bindings/index.ts";
import type { NetworkAttachment } from "../../src/plan/binding.ts";
import type { ObservedRoute } from "../../src/plan/observed.ts";
import type { NicPlan } from "../../src/plan/plan.ts";
import { planPod } from "../../src/plan/planner.ts";
import { DUAL_STACK, HOST, observedPod, podLink, RESOLVER, vmi } from "../support/builders.ts";

const gateways = ["10.244.1.1", "fd00:10:244:1::1"] as Ip[];
const neighbours = [...gateways, "fe80::1" as Ip].map((ip) => ({
  link: "eth0",
  ip,
  mac: "ee:ee:ee:00:00:01" as Mac,
  permanent: false,
}));

interface Case {
  readonly spelling?: object;
  readonly nic?: Partial<InterfaceSpec>;
  readonly linkMtu?: number;
  readonly defaultMtu?: number;
  readonly more?: readonly ObservedRoute[];
  readonly attachment?: Partial<NetworkAttachment>;
  readonly addresses?: readonly string[];
}

/** A link of 1500, unless said otherwise. */
function planned(one: Case): NicPlan {
  const { spelling = { bridge: {} }, linkMtu = 1500, defaultMtu, addresses = DUAL_STACK } = one;
  const routes = ["0.0.0.0/0", "::/0"].map((destination, i) => ({
    destination: destination as Cidr,
    link: "eth0",
    ...(gateways[i] !== undefined && { gateway: gateways[i] }),
    ...(defaultMtu !== undefined && { mtu: defaultMtu }),
  }));
  const result = planPod(
    {
      vmi: vmi({
        spec: {
          domain: {
            devices: { interfaces: [{ name: "default", ...one.nic, ...spelling }] },
          },
        },
      }),
      observed: observedPod(addresses, {
        links: [podLink(addresses, { mtu: linkMtu })],
        routes: [...routes, ...(one.more ?? [])],
        neighbours,
      }),
      resolver: RESOLVER,
      host: HOST,
      queues: 0,
      ...(one.attachment && { attachments: { default: { plugins: ["bridge"], ...one.attachment } } }),
    },
    registry,
  );
  assert.ok(result.ok, JSON.stringify(result));
  return result.value.nics[0] ?? assert.fail("no NIC");
}

const notesOf = (one: Case): readonly string[] =>
  planned(one).notes.filter((note) => note.startsWith("MTU: "));

for (const { bindingName, spelling } of registry.all) {
  test(`${bindingName}: a default route's smaller MTU is the guest's, by every way it is told`, () => {
    const nic = planned({ spelling, defaultMtu: 1400 });
    const told = nic.services.flatMap(({ config }) => ("mtu" in config ? [config.mtu] : []));
    assert.deepEqual(new Set([nic.domain.mtu, ...told]), new Set([1400]));
    assert.deepEqual(notesOf({ spelling, defaultMtu: 1400 }), []);
  });

  test(`${bindingName}: without any, the link's is`, () => {
    const nic = planned({ spelling, linkMtu: 9000 });
    const told = nic.services.flatMap(({ config }) => ("mtu" in config ? [config.mtu] : []));
    // QEMU's own network has no other.
    const most = nic.domain.type === "user" && nic.domain.netdev.type === "builtin" ? 1500 : 9000;
    assert.deepEqual(new Set([nic.domain.mtu, ...told]), new Set([most]));
  });
}

test("frames between a bridged guest and its neighbours keep the link's size", () => {
  const sizes = planned({ defaultMtu: 1400 }).links.flatMap((link) => ("mtu" in link ? [link.mtu] : []));
  assert.deepEqual(new Set(sizes), new Set([1500]));
});

test("a narrower link of the host is named, with what to set", () => {
  const narrowest = { link: "eth9", mtu: 1400 };
  assert.deepEqual(notesOf({ attachment: { master: "br0", narrowest } }), [
    "MTU: eth9, on the way of network default, carries 1400 bytes and the guest is told 1500: what is larger is lost there; set \"mtu\": 1400 in the network's configuration, or raise eth9's",
  ]);
  assert.deepEqual(notesOf({ attachment: { narrowest }, linkMtu: 1400 }), []);
  assert.deepEqual(notesOf({ attachment: { narrowest: { link: "br0", mtu: 1500 } } }), []);
});

test("a narrower route is named where the guest has to know it, not where the pod routes", () => {
  const more = [{ destination: "10.9.0.0/16" as Cidr, link: "eth0", mtu: 1300 }];
  assert.deepEqual(notesOf({ more }), [
    'MTU: the route to 10.9.0.0/16 carries 1300 bytes and the guest is told 1500: DHCP has no MTU for a route; give it to the route in the guest, or set "mtu": 1300 for all of network default',
  ]);
  assert.deepEqual(notesOf({ more, spelling: { masquerade: {} } }), []);
});

test("IPv6 does not fit below 1280", () => {
  const [note, ...others] = notesOf({ defaultMtu: 1200 });
  assert.match(note ?? "", /the guest is told 1200, and IPv6 needs 1280/);
  assert.deepEqual(others, []);
  assert.deepEqual(notesOf({ defaultMtu: 1200, addresses: ["10.244.1.7/24"] }), []);
});

test("models that cannot tell their driver are named, where it makes a difference", () => {
  const e1000 = { nic: { model: "e1000" } };
  assert.deepEqual(notesOf(e1000), []);
  assert.match(notesOf({ ...e1000, linkMtu: 1400 })[0] ?? "", /^MTU: e1000 cannot tell its driver of 1400: /);
  assert.deepEqual(notesOf({ linkMtu: 1400, nic: { model: "virtio" } }), []);
});
