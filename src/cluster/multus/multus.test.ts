import assert from "node:assert/strict";
import { test } from "node:test";
import { vmi } from "../../../test/support/builders.ts";
import type { InterfaceSpec, NetworkSpec, Vmi } from "../../api/types.ts";
import { parseSelections } from "./network-selection.ts";
import { parseNetworkStatus, renderNetworkStatus } from "./network-status.ts";
import { networkAnnotations } from "./pod-networks.ts";

const NETWORKS = "k8s.v1.cni.cncf.io/networks";

function vmiWith(
  interfaces: readonly InterfaceSpec[],
  networks: readonly NetworkSpec[],
  annotations: Readonly<Record<string, string>> = {},
): Vmi {
  const made = vmi({ annotations, spec: { domain: { devices: { interfaces } }, networks } });
  return { ...made, metadata: { ...made.metadata, namespace: "ns1" } };
}

/** The reference's example (kubevirt-api.md 3.3), as KubeVirt's own annotation_test has it. */
test("the pod's annotation is KubeVirt's, to the byte", () => {
  const made = networkAnnotations(
    vmiWith(
      [
        { name: "default", masquerade: {} },
        { name: "test1", bridge: {}, macAddress: "de:ad:00:00:be:af" },
        { name: "gone", bridge: {}, state: "absent" },
        { name: "red", bridge: {} },
      ],
      [
        { name: "red", multus: { networkName: "other/redn" } },
        { name: "default", pod: {} },
        { name: "gone", multus: { networkName: "gone" } },
        { name: "test1", multus: { networkName: "blue" } },
      ],
    ),
  );
  assert.deepEqual(made, {
    [NETWORKS]:
      '[{"name":"blue","namespace":"ns1","mac":"de:ad:00:00:be:af","interface":"pod1b4f0e98519"},{"name":"redn","namespace":"other","interface":"podb1f51a511f1"}]',
  });
});

test("a default network is named raw, and a VMI on the pod network asks for nothing", () => {
  const networks = [{ name: "a", multus: { networkName: "own", default: true } }];
  assert.deepEqual(networkAnnotations(vmiWith([{ name: "a", bridge: {} }], networks)), {
    "v1.multus-cni.io/default-network": "own",
  });
  assert.deepEqual(networkAnnotations(vmi()), {});
});

test("what the VMI's own annotation asks of the same NAD is added, KubeVirt's keys win", () => {
  const own = JSON.stringify([
    { name: "blue", ips: ["10.0.0.5/24"], mac: "02:00:00:00:00:01", "cni-args": { a: 1 } },
    { name: "blue", interface: "podb1f51a511f1", bandwidth: { ingressRate: 1 } },
    { name: "stranger" },
  ]);
  const spec = [
    [
      { name: "test1", bridge: {}, macAddress: "de:ad:00:00:be:af" },
      { name: "red", bridge: {} },
    ],
    [
      { name: "test1", multus: { networkName: "blue" } },
      { name: "red", multus: { networkName: "ns1/blue" } },
    ],
  ] as const;
  const made = networkAnnotations(vmiWith(...spec, { [NETWORKS]: own }))[NETWORKS];
  assert.deepEqual(JSON.parse(made ?? ""), [
    {
      name: "blue",
      namespace: "ns1",
      ips: ["10.0.0.5/24"],
      mac: "de:ad:00:00:be:af",
      interface: "pod1b4f0e98519",
      "cni-args": { a: 1 },
    },
    { name: "blue", namespace: "ns1", interface: "podb1f51a511f1", bandwidth: { ingressRate: 1 } },
  ]);
  assert.throws(() => networkAnnotations(vmiWith(...spec, { [NETWORKS]: "[{" })), { code: "PT-NAD-1" });
});

test("both forms of the annotation are read, and nothing that is neither", () => {
  assert.deepEqual(parseSelections(" a, ns/b@net7 ", "x"), [
    { name: "a", namespace: "x" },
    { name: "b", namespace: "ns", interface: "net7" },
  ]);
  assert.deepEqual(parseSelections("", "x"), []);
  assert.deepEqual(parseSelections('[{"name":"a","interface":"","mac":"","ips":[],"cni-args":null}]', "x"), [
    { name: "a", namespace: "x" },
  ]);
  const bad = [
    "a,,b",
    "a@b@c",
    "../a",
    "a@../../x",
    "A",
    "{}",
    "[1]",
    "[{}]",
    '[{"name":"a/b"}]',
    '[{"name":"a","interface":"way-too-long-a-name"}]',
    '[{"name":"a","ips":"10.0.0.1"}]',
    '[{"name":"a","cni-args":[]}]',
  ];
  for (const text of bad) assert.throws(() => parseSelections(text, "x"), { code: "PT-NAD-1" }, text);
});

test("a status is written as Multus does and read back; rubbish counts as none", () => {
  const status = { name: "ns/a", interface: "net1", ips: ["10.0.0.2"], dns: {} };
  const text = renderNetworkStatus([status]);
  assert.equal(text.split("\n")[1], "    {");
  assert.deepEqual(parseNetworkStatus(text), [status]);
  for (const rubbish of [undefined, "{", "{}", '[null,{"name":"a"}]']) {
    assert.deepEqual(parseNetworkStatus(rubbish), []);
  }
});
