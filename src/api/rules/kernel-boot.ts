/** Admission of `firmware`: R14 and what libvirt refuses, with KubeVirt's texts where it has any. */
import { isForeignMachine } from "../defaults.ts";
import { errorAt, type Finding, warningAt } from "../finding.ts";
import { formatPath } from "../path.ts";
import { absolutePathProblem } from "./file-paths.ts";
import type { SpecContext, SpecRule } from "./spec-context.ts";
import { imageProblems, pullPolicyProblems } from "./volumes.ts";

const UUID = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/i;
const SERIAL = /^[A-Za-z0-9_.+-]+$/;
const SERIAL_MAX = 256;

/** R14. */
export function kernelBoot(vmi: SpecContext): readonly Finding[] {
  const boot = vmi.spec.domain.firmware?.kernelBoot;
  if (boot === undefined) return [];
  const at = [...vmi.path, "domain", "firmware", "kernelBoot"];
  const code = "PT-REL-14";
  const { container, kernelArgs = "" } = boot;
  if (container === undefined) {
    if (kernelArgs === "") return [];
    const message = "kernel arguments cannot be provided without an external kernel";
    const hint = "Add container: {image: …, kernelPath: …}, or set the arguments inside the guest.";
    return [errorAt({ code, at: [...at, "kernelArgs"], message, hint })];
  }
  const { image = "", kernelPath = "", initrdPath = "", imagePullPolicy } = container;
  const place = [...at, "container"];
  const findings: Finding[] = [];
  const reason = "FieldValueRequired";
  if (image === "") {
    const message = `${formatPath(place)} must be defined with an image`;
    const hint = "Name the image that holds the kernel.";
    findings.push(errorAt({ code, at: [...place, "image"], reason, message, hint }));
  } else findings.push(...imageProblems(image, [...place, "image"]));
  if (kernelPath === "" && initrdPath === "") {
    const message = `${formatPath(place)} must be defined with at least one of the following: kernelPath, initrdPath`;
    const hint = "Give the kernel's path in the image, as kernelPath: /boot/vmlinuz.";
    findings.push(errorAt({ code, at: place, reason, message, hint }));
  }
  findings.push(...pullPolicyProblems(imagePullPolicy, [...place, "imagePullPolicy"]));
  for (const [key, path] of [
    ["kernelPath", kernelPath],
    ["initrdPath", initrdPath],
  ] as const) {
    if (path !== "") findings.push(...absolutePathProblem(path, [...place, key], [...place, key]));
  }
  return findings;
}

/** PT-EARLY-49: the domain's XML keeps no line break, and a kernel reads one line. */
export function kernelArgsAreOneLine(vmi: SpecContext): readonly Finding[] {
  const args = vmi.spec.domain.firmware?.kernelBoot?.kernelArgs ?? "";
  if (!/[\n\r\t]/.test(args)) return [];
  const at = [...vmi.path, "domain", "firmware", "kernelBoot", "kernelArgs"];
  const message = "kernelArgs holds a line break or a tab";
  return [
    errorAt({
      code: "PT-EARLY-49",
      at,
      message,
      hint: "Write the arguments on one line, or begin the text with >-.",
    }),
  ];
}

/** PT-EARLY-38: libvirt takes no other UUID; the serial's texts are KubeVirt's. */
export function firmwareIdentity(vmi: SpecContext): readonly Finding[] {
  const { uuid = "", serial = "" } = vmi.spec.domain.firmware ?? {};
  const at = [...vmi.path, "domain", "firmware"];
  const code = "PT-EARLY-38";
  const findings: Finding[] = [];
  if (uuid !== "" && !UUID.test(uuid)) {
    const message = `${formatPath([...at, "uuid"])} is no UUID: ${uuid}`;
    const hint = "Write 8-4-4-4-12 hexadecimal digits, or leave it out: podtap makes one of the VM's name.";
    findings.push(errorAt({ code, at: [...at, "uuid"], message, hint }));
  }
  const place = [...at, "serial"];
  if (serial.length > SERIAL_MAX) {
    const message = `${formatPath(place)} must be less than or equal to ${SERIAL_MAX} in length, if specified`;
    findings.push(errorAt({ code, at: place, message, hint: "Shorten the serial number." }));
  }
  if (serial !== "" && !SERIAL.test(serial)) {
    const message = `${formatPath(place)} must be made up of the following characters [A-Za-z0-9_.+-], if specified`;
    findings.push(errorAt({ code, at: place, message, hint: "Take the other characters out." }));
  }
  return findings;
}

/** PT-EARLY-39: what KubeVirt's default configuration emulates on amd64. */
export function machineType(vmi: SpecContext): readonly Finding[] {
  const type = vmi.spec.domain.machine?.type ?? "";
  // A firmware or kernel is checked elsewhere; `pc` is i440fx, whose PCI layout podtap does not write.
  const at = [...vmi.path, "domain", "machine", "type"];
  if (isForeignMachine(type)) {
    const hint = "Nothing to do; write q35 to have it said.";
    return [
      warningAt({ code: "PT-EARLY-58", at, message: `${type} is another QEMU's; this one gives q35`, hint }),
    ];
  }
  if (type === "" || /^(pc-)?q35/.test(type)) return [];
  const message = `${formatPath(at)} is not supported: ${type} (allowed values: [q35* pc-q35*])`;
  return [errorAt({ code: "PT-EARLY-39", at, message, hint: "Write q35, or leave machine out." })];
}

/** PT-EARLY-57. */
export function architecture(vmi: SpecContext): readonly Finding[] {
  const wanted = vmi.spec.architecture ?? "";
  if (wanted === "" || wanted === "amd64") return [];
  const message = `${vmi.settings.release} runs guests of the architecture amd64, not ${wanted}`;
  const hint = "Leave architecture out, and name an image for amd64.";
  const reason = "FieldValueNotSupported";
  return [errorAt({ code: "PT-EARLY-57", at: [...vmi.path, "architecture"], reason, message, hint })];
}

export const FIRMWARE_RULES: readonly SpecRule[] = [
  kernelBoot,
  kernelArgsAreOneLine,
  firmwareIdentity,
  machineType,
  architecture,
];
