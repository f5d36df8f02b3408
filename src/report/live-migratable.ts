/**
 * May the running VM move, as far as its network goes? KubeVirt's rule (`pkg/network/vmispec/interface.go`) looks at
 * the pod network's interface only; here the binding's traits answer.
 */
import type { Condition } from "../api/object.ts";
import type { Vmi } from "../api/types.ts";
import type { BindingRegistry } from "../plan/binding.ts";
import type { Plan } from "../plan/plan.ts";

export function liveMigratable(
  vmi: Vmi,
  plan: Plan,
  registry: BindingRegistry,
): Omit<Condition, "lastTransitionTime"> {
  const network = vmi.spec.networks?.find(({ pod }) => pod !== undefined);
  const nic = plan.nics.find(({ name }) => name === network?.name);
  const traits = registry.all.find(({ bindingName }) => bindingName === nic?.bindingName)?.traits;
  const lifted = traits?.migrationAnnotation;
  // Any value counts, `false` too (kubevirt-datapath, Q14).
  const isLifted = lifted !== undefined && Object.hasOwn(vmi.metadata.annotations ?? {}, lifted);
  if (traits?.liveMigration !== "no" || isLifted) return { type: "LiveMigratable", status: "True" };
  const able = registry.all.filter((binding) => {
    const { liveMigration, networks } = binding.traits;
    return liveMigration !== "no" && networks === "pod";
  });
  const names = able.map(({ bindingName }) => bindingName).join(", ");
  return {
    type: "LiveMigratable",
    status: "False",
    reason: "InterfaceNotLiveMigratable",
    message: `cannot migrate VMI which does not use ${names} or a migratable plugin to connect to the pod network`,
  };
}
