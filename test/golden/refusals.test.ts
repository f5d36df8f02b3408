/** What cannot work is refused before anything runs, at its place in the manifest, with what to take instead. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblems } from "../../src/api/format-problems.ts";
import { validateManifests } from "../../src/api/validate.ts";
import { networkProblems } from "../../src/apps/cli/network-problems.ts";
import { SETTINGS } from "../../src/apps/cli/settings.ts";
import type { Problem } from "../../src/base/problem.ts";
import { registry } from "../../src/bindings/index.ts";
import { planPod } from "../../src/plan/planner.ts";
import { DUAL_STACK, HOST, observedPod, RESOLVER, vmi } from "../support/builders.ts";

interface Nic {
  readonly spelling: object;
  readonly cni: object;
}

/** A VM with these NICs beside its pod network, on NADs of the same file. */
async function problemsOf(
  nics: readonly Nic[],
  kind = "VirtualMachineInstance",
): Promise<readonly Problem[]> {
  const names = nics.map((_, i) => `net${i + 1}`);
  const nads = nics.map(({ cni }, i) => ({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: names[i] },
    spec: { config: JSON.stringify({ cniVersion: "0.4.0", ...cni }) },
  }));
  const spec = {
    domain: {
      memory: { guest: "64Mi" },
      devices: {
        interfaces: [
          { name: "default", masquerade: {}, ports: [{ port: 80 }] },
          ...nics.map(({ spelling }, i) => ({ name: names[i], ...spelling })),
        ],
      },
    },
    networks: [
      { name: "default", pod: {} },
      ...names.map((name) => ({ name, multus: { networkName: name } })),
    ],
  };
  const machine = {
    apiVersion: "kubevirt.io/v1",
    kind,
    metadata: { name: "vm" },
    spec: kind === "VirtualMachine" ? { runStrategy: "Always", template: { spec } } : spec,
  };
  const text = [...nads, machine].map((one) => JSON.stringify(one, null, 1)).join("\n---\n");
  const { objects, problems } = validateManifests([{ name: "vm.yaml", text }], SETTINGS);
  assert.deepEqual(problems, []);
  return networkProblems(objects, "default");
}

const bridge = { bridge: {} };
const by = (name: string): object => ({ binding: { name } });
const refused: readonly (readonly [
  title: string,
  nics: readonly Nic[],
  code: string,
  message: RegExp,
  hint: RegExp,
])[] = [
  [
    "a bridge over macvlan",
    [{ spelling: bridge, cni: { type: "macvlan", master: "eth9" } }],
    "PT-BRIDGE-1",
    /macvlan/,
    /tc-redirect|macvtap/,
  ],
  [
    "a bridge over ipvlan",
    [{ spelling: bridge, cni: { type: "ipvlan", master: "eth9" } }],
    "PT-BRIDGE-1",
    /ipvlan/,
    /tc-redirect/,
  ],
  [
    "a managed tap over macvlan",
    [{ spelling: by("managed-tap"), cni: { type: "macvlan", master: "eth9" } }],
    "PT-BRIDGE-1",
    /macvlan/,
    /tc-redirect|macvtap/,
  ],
  [
    "a bridge over Wi-Fi",
    [{ spelling: bridge, cni: { type: "host-device", device: "wlan0" } }],
    "PT-BRIDGE-1",
    /wlan0 is wireless/,
    /masquerade/,
  ],
  [
    "macvtap over ipvlan",
    [{ spelling: by("macvtap"), cni: { type: "ipvlan", master: "eth9" } }],
    "PT-MACVTAP-2",
    /MAC/,
    /macvlan/,
  ],
  [
    "passthru of a device that macvlan shares",
    [{ spelling: by("macvtap"), cni: { type: "macvlan", master: "eth9", mode: "passthru" } }],
    "PT-MACVTAP-2",
    /for itself alone/,
    /host-device/,
  ],
  [
    "one device for two NICs",
    [1, 2].map(() => ({ spelling: bridge, cni: { type: "host-device", device: "eth9" } })),
    "PT-NAD-6",
    /networks net1 and net2 both take the host's eth9/,
    /macvlan/,
  ],
  [
    "a macvtap network without a link",
    [{ spelling: by("macvtap"), cni: { type: "macvtap" } }],
    "PT-NAD-5",
    /link/,
    /resourceName/,
  ],
];

for (const [title, nics, code, message, hint] of refused) {
  test(`${title} is refused with the alternative`, async () => {
    const [problem, ...more] = await problemsOf(nics);
    assert.deepEqual([problem?.code, problem?.severity, more], [code, "error", []]);
    assert.match(problem?.message ?? "", message);
    assert.match(problem?.hint ?? "", hint);
  });
}

test("the place is the interface's in the file, also of a VM's template", async () => {
  const nics = [{ spelling: bridge, cni: { type: "macvlan", master: "eth9" } }];
  for (const [kind, field] of [
    ["VirtualMachineInstance", "spec.domain.devices.interfaces[1]"],
    ["VirtualMachine", "spec.template.spec.domain.devices.interfaces[1]"],
  ] as const) {
    const [problem] = await problemsOf(nics, kind);
    assert.equal(problem?.field, field);
    assert.match(formatProblems(problem ? [problem] : [], { color: false }), /^vm\.yaml:\d+:\d+ {2}error/);
  }
});

test("what works is not refused", async () => {
  const cnis = [
    { type: "bridge", bridge: "br9" },
    { type: "ptp" },
    { type: "vlan", master: "eth9", vlanId: 5 },
    { type: "host-device", device: "eth8" },
    { type: "host-device", device: "eth9" },
  ];
  assert.deepEqual(await problemsOf(cnis.map((cni) => ({ spelling: bridge, cni }))), []);
  const macvlan = { type: "macvlan", master: "eth9" };
  for (const spelling of [by("tc-redirect"), by("macvtap")]) {
    assert.deepEqual(await problemsOf([{ spelling, cni: macvlan }]), []);
  }
});

test("a kernel that cannot redirect frames: bridge is named", () => {
  const result = planPod(
    {
      vmi: vmi({
        spec: {
          domain: { devices: { interfaces: [{ name: "default", binding: { name: "tc-redirect" } }] } },
        },
      }),
      observed: observedPod(DUAL_STACK),
      resolver: RESOLVER,
      host: { ...HOST, features: { ...HOST.features, classifiers: [] } },
      queues: 0,
    },
    registry,
  );
  assert.ok(!result.ok);
  assert.match(result.problems[0]?.message ?? "", /no classifier of bpf, matchall and u32/);
  assert.match(result.problems[0]?.hint ?? "", /bridge/);
});
