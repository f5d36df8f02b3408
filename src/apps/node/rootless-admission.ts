/** What an ordinary user cannot have is refused when it is applied, each with what to write instead. */
import type { KubeObject } from "../../api/object.ts";
import type { InterfaceSpec, VirtualMachine, Vmi, VmiSpec } from "../../api/types.ts";
import { isError, type Problem } from "../../base/problem.ts";
import { failed, ok } from "../../base/result.ts";
import { registry } from "../../bindings/index.ts";
import type { Admission } from "../../cluster/local/objects.ts";

export const rootlessAdmission: Admission = (object) => {
  const problems = problemsOf(object);
  return problems.some(isError) ? failed(...problems) : ok(object, problems);
};

function problemsOf(object: KubeObject): readonly Problem[] {
  switch (object.kind) {
    case "VirtualMachine":
      return ofSpec((object as VirtualMachine).spec.template.spec, "spec.template.spec");
    case "VirtualMachineInstance":
      return ofSpec((object as Vmi).spec, "spec");
    case "Service":
      return [serviceWarning];
    case "NetworkAttachmentDefinition":
      return [networkWarning];
    default:
      return [];
  }
}

function ofSpec(spec: VmiSpec, at: string): readonly Problem[] {
  const nics = (spec.domain.devices.interfaces ?? []).map((nic, i) =>
    ofNic(nic, `${at}.domain.devices.interfaces[${i}]`),
  );
  const networks = (spec.networks ?? []).map(({ multus, name }, i) =>
    multus === undefined
      ? []
      : [
          refusal(
            `${at}.networks[${i}]`,
            `network ${name} is made by CNI plugins, which needs root`,
            "leave it out, or run this VM with root",
          ),
        ],
  );
  return [...nics, ...networks].flat();
}

function ofNic(nic: InterfaceSpec, field: string): readonly Problem[] {
  const binding = registry.of(nic);
  if (binding === undefined || binding.traits.rootless) return [];
  const able = registry.all
    .filter(({ traits }) => traits.rootless)
    .map(({ spelling }) => spellingText(spelling));
  return [
    refusal(
      field,
      `interface ${nic.name}: ${binding.bindingName} is not for VMs without root`,
      `write ${able.join(" or ")} in its place, or leave networks and interfaces out: it is the default here`,
    ),
  ];
}

/** `passtBinding: {}` */
function spellingText(spelling: Readonly<Record<string, object>>): string {
  return Object.entries(spelling)
    .map(([key, value]) => `\`${key}: ${JSON.stringify(value)}\``)
    .join(", ");
}

function refusal(field: string, what: string, hint: string): Problem {
  return {
    code: "PT-ROOTLESS-5",
    severity: "error",
    reason: "FieldValueNotSupported",
    field,
    // The hint is not in every answer.
    message: `${what}: ${hint}`,
    hint,
  };
}

const serviceWarning: Problem = {
  code: "PT-ROOTLESS-6",
  severity: "warning",
  reason: "FieldValueNotSupported",
  field: "spec",
  message: "a Service has no address without root",
  hint: "VMs are reached by the host's ports that `podtap up` and `podtap describe` tell",
};

const networkWarning: Problem = {
  ...serviceWarning,
  message: "no VM can be on this network without root",
  hint: "it is made by CNI plugins, which change the host's network",
};
