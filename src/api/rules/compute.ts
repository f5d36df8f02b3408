/** Memory and CPU: PT-EARLY-18 to 20, with KubeVirt's texts where it has any (`vmi-create-admitter.go`). */
import { errorAt, type Finding } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";
import { quantityMilli, quantityValue } from "../quantity.ts";
import type { SpecContext, SpecRule } from "./spec-context.ts";

const MEBIBYTE = 1024 ** 2;
/** Far above what any machine has; larger numbers are a wrong unit. */
const MEMORY_MAX = 64 * 1024 ** 4;
/** QEMU's q35 limit is 1024 with special devices; without them 255. */
const VCPU_MAX = 255;

/** PT-EARLY-18. KubeVirt asks VMIs only; a template without memory fails when its VMI is made. */
export function memoryIsGiven(vmi: SpecContext): readonly Finding[] {
  const { memory, resources } = vmi.spec.domain;
  // A limit alone is a request, too: KubeVirt's mutator copies it before it asks.
  const amounts = [resources?.requests?.["memory"], resources?.limits?.["memory"]];
  if (memory?.guest !== undefined || amounts.some((amount) => (bytes(amount) ?? 0) !== 0)) return [];
  const at = [...vmi.path, "domain"];
  const [guest, hugepages, requests] = [
    formatPath([...at, "memory", "guest"]),
    formatPath([...at, "memory", "hugepages", "size"]),
    formatPath([...at, "resources", "requests", "memory"]),
  ];
  return [
    errorAt({
      code: "PT-EARLY-18",
      at: [...at, "memory"],
      field: "",
      reason: "FieldValueRequired",
      message: `no memory requested, at least one of '${guest}', '${hugepages}' or '${requests}' must be set`,
      hint: "Add memory: {guest: 1Gi} to domain.",
    }),
  ];
}

/** PT-EARLY-19. */
export function memoryIsSensible(vmi: SpecContext): readonly Finding[] {
  const { memory, resources } = vmi.spec.domain;
  const domain = [...vmi.path, "domain"];
  const amounts = [
    { value: memory?.guest, at: [...domain, "memory", "guest"] },
    { value: resources?.requests?.["memory"], at: [...domain, "resources", "requests", "memory"] },
    { value: resources?.limits?.["memory"], at: [...domain, "resources", "limits", "memory"] },
  ];
  return [...amounts.flatMap(({ value, at }) => memoryAmount(value, at)), ...requestWithinLimit(vmi, domain)];
}

function memoryAmount(value: string | number | undefined, at: Path): readonly Finding[] {
  const amount = bytes(value);
  if (value === undefined || amount === undefined) return [];
  const field = formatPath(at);
  const code = "PT-EARLY-19";
  if (amount < 0) {
    const message = `${field} '${value}': must be greater than or equal to 0.`;
    return [errorAt({ code, at, message, hint: "Write a positive amount, as 1Gi." })];
  }
  // KubeVirt takes 0 in requests and limits for "not set".
  if (amount === 0 && !field.endsWith("guest")) return [];
  if (amount < MEBIBYTE && amount < 1_000_000) {
    const message = `${field} '${value}': must be greater than or equal to 1M.`;
    const unit = /^\d+$/.test(String(value))
      ? `A plain number is bytes: did you mean ${value}Mi?`
      : undefined;
    return [errorAt({ code, at, message, hint: unit ?? "Write an amount with a unit, as 1Gi." })];
  }
  if (amount <= MEMORY_MAX) return [];
  const message = `${field} '${value}' is more than any host has`;
  return [errorAt({ code, at, message, hint: "Check the unit: Mi, Gi." })];
}

function requestWithinLimit(vmi: SpecContext, domain: Path): readonly Finding[] {
  const { requests, limits } = vmi.spec.domain.resources ?? {};
  return (
    [
      ["memory", bytes],
      ["cpu", milli],
    ] as const
  ).flatMap(([resource, read]) => {
    const [request, limit] = [requests?.[resource], limits?.[resource]];
    const [asked, most] = [read(request) ?? 0, read(limit) ?? 0];
    if (most <= 0 || asked <= most) return [];
    const at = [...domain, "resources", "requests", resource];
    const other = formatPath([...domain, "resources", "limits", resource]);
    const message = `${formatPath(at)} '${request}' is greater than ${other} '${limit}'`;
    return [errorAt({ code: "PT-EARLY-19", at, message, hint: "Raise the limit or lower the request." })];
  });
}

/** PT-EARLY-20. */
export function cpuIsSensible(vmi: SpecContext): readonly Finding[] {
  const { cpu, resources } = vmi.spec.domain;
  const domain = [...vmi.path, "domain"];
  const code = "PT-EARLY-20";
  const findings: Finding[] = [];
  let product = 1;
  for (const part of ["cores", "sockets", "threads"] as const) {
    const value = cpu?.[part];
    // Zero is Go's "not set".
    if (value === undefined || value === 0) continue;
    product *= value;
    if (value > 0 && value <= VCPU_MAX) continue;
    const message = `${part} is ${value}; a guest has 1 to ${VCPU_MAX} CPUs`;
    findings.push(
      errorAt({ code, at: [...domain, "cpu", part], message, hint: "Write a small number, as 2." }),
    );
  }
  if (findings.length === 0 && product > VCPU_MAX) {
    const message = `cores x sockets x threads is ${product}; a guest has at most ${VCPU_MAX} CPUs`;
    findings.push(errorAt({ code, at: [...domain, "cpu"], message, hint: "Lower one of the three." }));
  }
  for (const kind of ["requests", "limits"] as const) {
    const value = resources?.[kind]?.["cpu"];
    const amount = milli(value) ?? 0;
    if (amount >= 0 && amount <= VCPU_MAX * 1000) continue;
    const at = [...domain, "resources", kind, "cpu"];
    const message =
      amount < 0
        ? `${formatPath(at)} '${value}': must be greater than or equal to 0.`
        : `${formatPath(at)} '${value}' is more CPUs than a guest can have`;
    findings.push(errorAt({ code, at, message, hint: "Write CPUs or thousandths, as 2 or 500m." }));
  }
  return findings;
}

function bytes(value: string | number | undefined): number | undefined {
  return value === undefined ? undefined : quantityValue(value);
}

function milli(value: string | number | undefined): number | undefined {
  return value === undefined ? undefined : quantityMilli(value);
}

export const COMPUTE_RULES: readonly SpecRule[] = [memoryIsGiven, memoryIsSensible, cpuIsSensible];
