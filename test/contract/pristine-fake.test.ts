/** What every plan of a pod is made from, however far its wiring has gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { observe } from "../../src/apply/observe.ts";
import { pristineOf } from "../../src/apply/pristine.ts";
import { type Cidr, eui64, type Ip } from "../../src/base/ip.ts";
import { type Mac, macToBytes } from "../../src/base/mac.ts";
import { type FakeKernelOptions, fakeKernel } from "../../src/linux/fake/kernel.ts";
import type { ObservedNeighbour } from "../../src/plan/observed.ts";
import { podLink } from "../support/builders.ts";

const ROUTER = "02:00:00:00:00:01" as Mac;
const LINK_LOCAL = eui64("fe80::" as Ip, macToBytes(ROUTER));
const ROUTES = [
  { destination: "0.0.0.0/0" as Cidr, gateway: "10.244.1.1" as Ip, link: "eth0" },
  { destination: "::/0" as Cidr, gateway: "fd00::1" as Ip, link: "eth0", metric: 1024 },
];

test("an IPv6 router is known by its MAC and its link-local address, an IPv4 one is not asked for", () => {
  const { kernel, of } = pod({ answering: ["10.244.1.1", "fd00::1", LINK_LOCAL].map(neighbour) });
  assert.deepEqual(of(["eth0"]).neighbours, [neighbour("fd00::1"), neighbour(LINK_LOCAL)]);
  assert.deepEqual(of([]).neighbours, []);
  assert.deepEqual(kernel.readNeighbours(), []);
});

test("a silent router leaves no trace", () => {
  assert.deepEqual(pod({}).of(["eth0"]).neighbours, []);
});

test("what CNI said of neighbours for ever is remembered", () => {
  const { kernel, of } = pod({});
  kernel.run({ op: "neighbour.add", link: "eth0", ip: "169.254.1.1" as Ip, mac: ROUTER });
  const remembered = of(["eth0"]);
  kernel.run({ op: "neighbour.delete", link: "eth0", ip: "169.254.1.1" as Ip });
  assert.deepEqual(remembered.neighbours, [{ ...neighbour("169.254.1.1"), permanent: true }]);
  const again = pristineOf(kernel, remembered, observe(kernel), ["eth0"], ["eth0"]);
  assert.deepEqual(again.neighbours, remembered.neighbours);
});

test("a NIC that was renamed and lost its addresses is as it was, one that was made anew is as it is", () => {
  const { kernel, of } = pod({});
  const first = of([]);
  for (const address of first.links[1]?.addresses ?? []) {
    kernel.run({ op: "address.delete", link: "eth0", address });
  }
  kernel.run({ op: "link.set", name: "eth0", changes: { rename: "eth0-nic" } });
  kernel.run({ op: "park.add", name: "eth0", kind: "dummy", mac: ROUTER, mtu: 1450 });
  const second = pristineOf(kernel, first, observe(kernel), ["eth0"], []);
  assert.deepEqual(second.links, first.links);
  assert.deepEqual(second.routes, first.routes);
  const anew = { ...podLink(["10.244.1.9/24"], { index: 77 }) };
  const other = fakeKernel({ links: [anew] });
  const third = pristineOf(other, second, observe(other), ["eth0"], []);
  assert.deepEqual(third.links.find(({ name }) => name === "eth0")?.addresses, ["10.244.1.9/24"]);
  assert.ok(!third.routes.some(({ gateway }) => gateway === "10.244.1.1"));
});

function pod(options: FakeKernelOptions) {
  const kernel = fakeKernel({
    ...options,
    links: [podLink(["10.244.1.7/24", "fd00::7/64"], { index: 0 })],
    routes: ROUTES,
  });
  const of = (gatewaysOf: readonly string[]) =>
    pristineOf(kernel, undefined, observe(kernel), ["eth0"], gatewaysOf);
  return { kernel, of };
}

function neighbour(ip: string): ObservedNeighbour {
  return { link: "eth0", ip: ip as Ip, mac: ROUTER, permanent: false };
}
