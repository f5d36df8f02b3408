import assert from "node:assert/strict";
import { test } from "node:test";
import { vmi } from "../../../test/support/builders.ts";
import { nad } from "../../../test/support/nads.ts";
import type { NetworkSpec } from "../../api/types.ts";
import { secondaryPodInterface } from "../../base/names.ts";
import { EXAMPLE } from "./plan-input.ts";
import { exampleFor, knownNetworks } from "./plan-networks.ts";

const LAN = secondaryPodInterface("lan");

function on(...networks: readonly NetworkSpec[]) {
  const interfaces = networks.map(({ name }) => ({
    name,
    ...(name === "lan" && { macAddress: "02:AA:00:00:00:01" }),
  }));
  return vmi({ spec: { domain: { devices: { interfaces } }, networks } });
}

const lan: NetworkSpec = { name: "lan", multus: { networkName: "net/blue" } };

test("a NAD of the same manifests becomes an example NIC and an attachment", async () => {
  const subnet = "10.9.0.0/24";
  const config = {
    plugins: [
      {
        type: "bridge",
        bridge: "br1",
        ipam: { type: "host-local", subnet, routes: [{ dst: "10.8.0.0/16" }] },
      },
      { type: "tuning", mtu: 1400 },
    ],
  };
  const wanted = on({ name: "default", pod: {} }, lan);
  const known = await knownNetworks(wanted, [nad("blue", config, { namespace: "net" })], undefined);
  assert.deepEqual(known.attachments, { lan: { plugins: ["bridge", "tuning"], master: "br1" } });
  assert.deepEqual(known.notes, []);
  const { observed, attachments } = exampleFor(wanted, known, EXAMPLE);
  assert.equal(attachments, known.attachments);
  assert.deepEqual(
    observed.links.map(({ name }) => name),
    ["lo", "eth0", LAN],
  );
  const link = observed.links.at(-1);
  assert.equal(link?.mac, "02:aa:00:00:00:01");
  assert.equal(link?.mtu, 1400);
  assert.deepEqual(link?.addresses, ["10.9.0.7/24"]);
  assert.deepEqual(observed.routes.at(-1), { destination: "10.8.0.0/16", gateway: "10.9.0.1", link: LAN });
});

test("what is not known is said, and planned as a link without addresses", async () => {
  const wanted = on({ name: "default", pod: {} }, lan);
  const known = await knownNetworks(wanted, [nad("blue", { type: "bridge" })], undefined);
  assert.match(
    known.notes.join(),
    /network lan: its NAD net\/blue is neither in these manifests nor known to a daemon/,
  );
  const link = exampleFor(wanted, known, EXAMPLE).observed.links.at(-1);
  assert.deepEqual([link?.name, link?.addresses], [LAN, []]);
});

test("a default NAD's example takes the place of the pod's", async () => {
  const wanted = on({ name: "red", multus: { networkName: "own", default: true } });
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.9.0.0/30" }], [{ subnet: "fd00:9::/64" }]] };
  const known = await knownNetworks(wanted, [nad("own", { type: "ptp", ipam })], undefined);
  const { observed } = exampleFor(wanted, known, EXAMPLE);
  assert.deepEqual(observed.links.at(-1)?.addresses, ["10.9.0.2/30", "fd00:9::7/64"]);
  assert.equal(observed.links.at(-1)?.name, "eth0");
  assert.deepEqual(
    observed.routes.map(({ destination, gateway }) => [destination, gateway]),
    [
      ["10.9.0.1/32", undefined],
      ["10.9.0.0/30", "10.9.0.1"],
      ["fd00:9::1/128", undefined],
      ["fd00:9::/64", "fd00:9::1"],
    ],
  );
});

test("KubeVirt's macvtap networks are planned on macvlan; a NAD that is broken is refused", async () => {
  const wanted = on(lan);
  const tap = { type: "macvtap", master: "eth9" };
  const known = await knownNetworks(wanted, [nad("blue", tap, { namespace: "net" })], undefined);
  assert.deepEqual(known.attachments, { lan: { plugins: ["macvlan"], master: "eth9", mode: "bridge" } });
  const link = exampleFor(wanted, known, EXAMPLE).observed.links.at(-1);
  assert.deepEqual([link?.type, link?.macvlan], ["macvlan", { mode: "bridge" }]);
  await assert.rejects(knownNetworks(wanted, [nad("blue", "{", { namespace: "net" })], undefined), {
    code: "PT-CNI-1",
    message: /NetworkAttachmentDefinition net\/blue, spec\.config/,
  });
});
