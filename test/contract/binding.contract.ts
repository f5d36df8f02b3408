/**
 * What every binding must keep, whatever it wires: run on the fake kernel (unit) and on the real one (netns).
 * Nothing here knows a binding by name.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { observe } from "../../src/apply/observe.ts";
import type { Kernel } from "../../src/apply/ports.ts";
import { type PodFiles, podFiles, unwirePod, type WireInput, wirePod } from "../../src/apply/wire-pod.ts";
import { isLinkName, LINK_MARK } from "../../src/base/names.ts";
import { registry } from "../../src/bindings/index.ts";
import type { Binding } from "../../src/plan/binding.ts";
import { type HostFeatures, TYPICAL_FEATURES } from "../../src/plan/host-features.ts";
import type { Observed } from "../../src/plan/observed.ts";
import type { Step } from "../../src/plan/step.ts";
import { HOST, RESOLVER, vmi } from "../support/builders.ts";
import { dyingAt, failingAt } from "../support/mortal-kernel.ts";

/** A pod's namespace as CNI leaves it: `eth0` with these addresses. */
export type OpenPod = (addresses: readonly string[]) => { readonly kernel: Kernel; close(): void };

/** A binding, and the kernel's features that its plans are made for. */
type Subject = Binding & { readonly features: HostFeatures };

const STACKS: Readonly<Record<string, readonly string[]>> = {
  IPv4: ["10.244.1.7/24"],
  IPv6: ["fd00:10:244:1::7/64"],
  "dual stack": ["10.244.1.7/24", "fd00:10:244:1::7/64"],
};

const SYSCTLS = [
  "net/ipv4/ip_forward",
  "net/ipv6/conf/all/forwarding",
  "net/bridge/bridge-nf-call-iptables",
  "net/ipv6/conf/eth0/accept_ra",
];

/** @param features of the kernel that plans are carried out on */
export function bindingContract(where: string, openPod: OpenPod, features = TYPICAL_FEATURES): void {
  for (const one of registry.all) {
    const binding: Subject = { ...one, features };
    for (const [stack, addresses] of Object.entries(STACKS)) {
      contractOf(`${where}: ${binding.bindingName}, ${stack}`, binding, () => openPod(addresses));
    }
    test(`${where}: ${binding.bindingName}, no address: a plan or a problem, never an exception`, () => {
      within(
        () => openPod([]),
        (kernel, files) => {
          const result = wirePod(kernel, inputFor(binding), files, registry);
          if (!result.ok) assert.ok(result.problems.length > 0);
        },
      );
    });
  }
}

function contractOf(name: string, binding: Subject, openPod: () => ReturnType<OpenPod>): void {
  test(`${name}: applied again nothing is missing, torn down nothing is left`, () => {
    within(openPod, (kernel, files) => {
      const before = stateOf(kernel);
      const first = wire(kernel, binding, files);
      assert.ok(first.length > 0);
      assert.deepEqual(wire(kernel, binding, files), []);
      for (const link of observe(kernel).links.filter(({ alias }) => alias === LINK_MARK)) {
        assert.ok(isLinkName(link.name), link.name);
      }
      assert.deepEqual(unwirePod(kernel, files), []);
      assert.deepEqual(stateOf(kernel), before);
      assert.deepEqual(readdirSync(join(files.plan, "..")), []);
    });
  });

  test(`${name}: killed before any step, the next run finishes`, async () => {
    const count = within(openPod, (kernel, files) => wire(kernel, binding, files).length);
    for (let at = 0; at < count; at++) {
      // Sockets of nftables are closed by timers.
      await setImmediate();
      within(openPod, (kernel, files) => {
        const before = stateOf(kernel);
        assert.throws(() => wire(dyingAt(kernel, at), binding, files), /killed before/);
        wire(kernel, binding, files);
        assert.deepEqual(wire(kernel, binding, files), [], `killed at step ${at}`);
        assert.deepEqual(unwirePod(kernel, files), []);
        assert.deepEqual(stateOf(kernel), before, `killed at step ${at}`);
      });
    }
  });

  test(`${name}: killed and torn down, nothing is left`, () => {
    const half = Math.floor(within(openPod, (kernel, files) => wire(kernel, binding, files).length) / 2);
    within(openPod, (kernel, files) => {
      const before = stateOf(kernel);
      assert.throws(() => wire(dyingAt(kernel, half), binding, files), /killed before/);
      assert.deepEqual(unwirePod(kernel, files), []);
      assert.deepEqual(stateOf(kernel), before);
    });
  });

  test(`${name}: a step that fails undoes what this run did`, () => {
    const last = within(openPod, (kernel, files) => wire(kernel, binding, files).length) - 1;
    within(openPod, (kernel, files) => {
      const before = stateOf(kernel);
      assert.throws(() => wire(failingAt(kernel, last), binding, files), /refused for a test.*was undone/);
      assert.deepEqual(stateOf(kernel), before);
    });
  });
}

function wire(kernel: Kernel, binding: Subject, files: PodFiles): readonly Step[] {
  const result = wirePod(kernel, inputFor(binding), files, registry);
  assert.ok(result.ok, JSON.stringify(result));
  return result.value.steps;
}

function inputFor(binding: Subject): WireInput {
  const { masquerade: _, ...nic } = vmi({ nic: { ports: [{ port: 80 }] } }).spec.domain.devices
    .interfaces?.[0] ?? {
    name: "default",
  };
  const spec = { domain: { devices: { interfaces: [{ ...nic, ...binding.spelling }] } } };
  return { vmi: vmi({ spec }), resolver: RESOLVER, host: { ...HOST, features: binding.features }, queues: 0 };
}

/** What a teardown must restore: the kernel numbers links anew and that is no difference. */
function stateOf(kernel: Kernel): object {
  const { links, routes, sysctls, nft } = observe(kernel, { sysctls: SYSCTLS });
  return { links: links.map(comparable), routes, sysctls, nft };
}

function comparable({ index: _, ...link }: Observed["links"][number]): object {
  return link;
}

function within<T>(openPod: () => ReturnType<OpenPod>, run: (kernel: Kernel, files: PodFiles) => T): T {
  const pod = openPod();
  const state = mkdtempSync(join(tmpdir(), "podtap-contract-"));
  try {
    return run(pod.kernel, podFiles(state));
  } finally {
    pod.close();
    rmSync(state, { recursive: true, force: true });
  }
}
