/** Admission of what a VM has beside its template: R11 (`vms-admitter.go`), with KubeVirt's texts. */
import { errorAt, type Finding, warningAt } from "../finding.ts";
import { gateIsOn, type Settings } from "../settings.ts";
import type { VmSpec } from "../types.ts";

const STRATEGIES = ["Always", "Halted", "Manual", "RerunOnFailure", "Once"];

/** R11. */
export function runStrategy(spec: VmSpec, settings: Settings): readonly Finding[] {
  const { running, runStrategy: strategy } = spec;
  const code = "PT-REL-11";
  const findings: Finding[] = [];
  if (running !== undefined && strategy !== undefined) {
    const message =
      "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead";
    const hint = "Remove running.";
    findings.push(errorAt({ code, at: ["spec", "running"], message, hint }));
  } else if (running !== undefined) {
    const message = "spec.running is deprecated, please use spec.runStrategy instead.";
    const hint = `Write runStrategy: ${running ? "Always" : "Halted"}.`;
    findings.push(warningAt({ code: "PT-MAN-20", at: ["spec", "running"], message, hint }));
  }
  if (running === undefined && strategy === undefined) {
    const hint = "Write runStrategy: Always, or Halted to create the VM without starting it.";
    const at = ["spec", "runStrategy"];
    findings.push(errorAt({ code, at, message: "RunStrategy must be specified", hint }));
  }
  if (strategy !== undefined) findings.push(...knownStrategy(strategy, settings));
  return findings;
}

function knownStrategy(strategy: string, settings: Settings): readonly Finding[] {
  const at = ["spec", "runStrategy"];
  if (STRATEGIES.includes(strategy)) return [];
  const hint = `Write one of ${STRATEGIES.join(", ")}.`;
  if (strategy === "WaitAsReceiver" && gateIsOn(settings, "DecentralizedLiveMigration")) {
    const message = `runStrategy WaitAsReceiver is not supported yet by ${settings.release}`;
    return [errorAt({ code: "PT-EARLY-43", at, reason: "FieldValueNotSupported", message, hint })];
  }
  return [errorAt({ code: "PT-REL-11", at, message: `Invalid RunStrategy (${strategy})`, hint })];
}

/** `missing virtual machine template.`: KubeVirt's text for what the schema requires, too. */
export function templateIsGiven(spec: Partial<VmSpec>): readonly Finding[] {
  if (spec.template !== undefined) return [];
  return [
    errorAt({
      code: "PT-MAN-12",
      at: ["spec", "template"],
      reason: "FieldValueRequired",
      message: "missing virtual machine template.",
      hint: "Add template: {spec: {domain: …}}.",
    }),
  ];
}
