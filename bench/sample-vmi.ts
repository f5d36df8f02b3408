/** The VMIs that benchmarks wire and run. */
import type { Vmi } from "../src/api/types.ts";
import { PodtapError } from "../src/base/errors.ts";
import { registry } from "../src/bindings/index.ts";

/** One NIC with three declared ports. */
export function sampleVmi(name: string, binding: string): Vmi {
  const ports = [22, 80, 443].map((port) => ({ port }));
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name, namespace: "bench", uid: name },
    spec: {
      domain: {
        devices: { interfaces: [{ name: "default", ...spellingOf(binding), ports }] },
        memory: { guest: "256Mi" },
      },
      networks: [{ name: "default", pod: {} }],
    },
  };
}

/** @param binding as `--binding` has it */
function spellingOf(binding: string): object {
  const found = registry.all.find(({ bindingName }) => bindingName === binding);
  if (found !== undefined) return found.spelling;
  throw new PodtapError({
    code: "PT-USAGE-1",
    message: `no binding called ${binding}`,
    hint: `there are: ${registry.all.map(({ bindingName }) => bindingName).join(", ")}`,
  });
}

/** The same with a kernel out of an image; what the guest does after its start is nobody's concern here. */
export function bootableVmi(name: string, binding: string, image: string): Vmi {
  const { spec, metadata, ...kind } = sampleVmi(name, binding);
  const container = { image, kernelPath: "/boot/vmlinuz", initrdPath: "/boot/initramfs" };
  return {
    ...kind,
    metadata: { name: metadata.name, namespace: "default" },
    spec: {
      ...spec,
      terminationGracePeriodSeconds: 0,
      domain: {
        ...spec.domain,
        firmware: {
          kernelBoot: { container, kernelArgs: "console=ttyS0 quiet no_timer_check mitigations=off" },
        },
      },
    },
  };
}
