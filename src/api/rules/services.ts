/**
 * Services: their form, as Kubernetes checks it, and whether the VMs of the same files can answer them:
 * PT-EARLY-14 to 16, 23, 44, 45.
 */

import { inboundOf } from "../annotations.ts";
import { askingKeys } from "../binding-admission.ts";
import { isPortName } from "../dns-names.ts";
import { errorAt, type Finding, warningAt } from "../finding.ts";
import { launcherLabels, selects } from "../launcher-labels.ts";
import type { Path } from "../path.ts";
import type { Settings } from "../settings.ts";
import type { InterfaceSpec, Service, ServicePort, Vmi } from "../types.ts";

/** PT-EARLY-23, 44 and 45: form. */
export function serviceForm(service: Service): readonly Finding[] {
  const { type = "ClusterIP", ports = [], clusterIP } = service.spec;
  const findings: Finding[] = [];
  if (type === "NodePort" || type === "LoadBalancer") {
    const message = `a Service of type ${type} gets its ClusterIP here, which this host and its pods reach, and nothing more`;
    const hint = "From elsewhere: `podtap port-forward`, or a NIC on a network of its own.";
    findings.push(
      warningAt({
        code: "PT-EARLY-23",
        at: ["spec", "type"],
        reason: "FieldValueNotSupported",
        message,
        hint,
      }),
    );
  } else if (type !== "ClusterIP") {
    const message = `Service type ${type} is not supported`;
    const hint = "Use type: ClusterIP; from this host, `podtap port-forward` reaches a guest, too.";
    findings.push(
      errorAt({ code: "PT-EARLY-23", at: ["spec", "type"], reason: "FieldValueNotSupported", message, hint }),
    );
  }
  if (clusterIP === "None") {
    const message =
      "a headless Service (clusterIP: None) has no address, and podtap no cluster DNS to list its VMs";
    const hint = "Leave clusterIP out.";
    findings.push(warningAt({ code: "PT-EARLY-45", at: ["spec", "clusterIP"], message, hint }));
  } else if (ports.length === 0 && type !== "ExternalName") {
    const message = "a Service needs at least one port";
    const hint = "Add ports: [{port: 80}].";
    findings.push(
      errorAt({ code: "PT-EARLY-44", at: ["spec", "ports"], reason: "FieldValueRequired", message, hint }),
    );
  }
  return [...findings, ...portForms(ports)];
}

function portForms(ports: readonly ServicePort[]): readonly Finding[] {
  const names = new Set<string>();
  const numbers = new Set<string>();
  return ports.flatMap((port, i) => {
    const at = ["spec", "ports", i];
    const findings = portForm(port, at);
    const { name = "", protocol = "TCP" } = port;
    const code = "PT-EARLY-44";
    if (name === "" && ports.length > 1) {
      const message = "with several ports, every one needs a name";
      const hint = "Add name: http, and so on.";
      findings.push(errorAt({ code, at: [...at, "name"], reason: "FieldValueRequired", message, hint }));
    }
    if (name !== "" && names.has(name)) {
      const message = `port name ${name} is given twice`;
      const hint = "Name the ports differently.";
      findings.push(errorAt({ code, at: [...at, "name"], reason: "FieldValueDuplicate", message, hint }));
    }
    const number = `${protocol}/${port.port}`;
    if (numbers.has(number)) {
      const message = `port ${number} is given twice`;
      const hint = "Remove one, or change its number or protocol.";
      findings.push(errorAt({ code, at: [...at, "port"], reason: "FieldValueDuplicate", message, hint }));
    }
    names.add(name);
    numbers.add(number);
    return findings;
  });
}

function portForm(port: ServicePort, at: Path): Finding[] {
  const code = "PT-EARLY-44";
  const findings: Finding[] = [];
  const { name = "", targetPort } = port;
  const protocol: string = port.protocol ?? "TCP";
  if (!isPort(port.port ?? 0)) {
    const message = `port ${port.port ?? "(none)"} is out of range`;
    findings.push(errorAt({ code, at: [...at, "port"], message, hint: "Ports go from 1 to 65535." }));
  }
  if (!["TCP", "UDP"].includes(protocol)) {
    const message = `protocol ${protocol} is not supported`;
    const reason = "FieldValueNotSupported";
    findings.push(
      errorAt({ code, at: [...at, "protocol"], reason, message, hint: "Write TCP or UDP in capitals." }),
    );
  }
  if (name !== "" && !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
    const message = `port name ${JSON.stringify(name)} is no DNS label`;
    findings.push(
      errorAt({ code, at: [...at, "name"], message, hint: "Use a-z, 0-9 and dashes, as web-1." }),
    );
  }
  const place = [...at, "targetPort"];
  if (typeof targetPort === "number" && !isPort(targetPort)) {
    const message = `targetPort ${targetPort} is out of range`;
    findings.push(errorAt({ code, at: place, message, hint: "Ports go from 1 to 65535." }));
  }
  if (typeof targetPort === "string" && !isPortName(targetPort)) {
    const message = `targetPort ${JSON.stringify(targetPort)} is no port name`;
    const hint = /^\d+$/.test(targetPort)
      ? `Write it without quotes: targetPort: ${targetPort}.`
      : "Write the name of a port the VM declares, or a number.";
    findings.push(errorAt({ code, at: place, message, hint }));
  }
  return findings;
}

function isPort(port: number): boolean {
  return port > 0 && port < 65536;
}

/** PT-EARLY-14, 15 and 16: against the VMs loaded with the Service. */
export function serviceTargets(
  service: Service,
  vmis: readonly Vmi[],
  settings: Settings,
): readonly Finding[] {
  const { selector, ports = [], type = "ClusterIP" } = service.spec;
  const place = ["spec", "selector"];
  const code = "PT-EARLY-15";
  if (type === "ExternalName") return [];
  if (Object.keys(selector ?? {}).length === 0) {
    const message = "the Service has no selector, so it leads to no VM";
    const hint = `Select a VM by its labels, as vm.kubevirt.io/name: ${vmis[0]?.metadata.name ?? "my-vm"}.`;
    return [warningAt({ code, at: place, message, hint })];
  }
  const selected = vmis.filter(
    (vmi) => namespaceOf(vmi) === namespaceOf(service) && selects(selector, launcherLabels(vmi)),
  );
  if (selected.length === 0) return [warningAt({ code, at: place, ...nothingSelected(service, vmis) })];
  return ports.flatMap((port, i) => targetProblems(port, ["spec", "ports", i], selected, settings));
}

function nothingSelected(
  service: Service,
  vmis: readonly Vmi[],
): { readonly message: string; readonly hint: string } {
  const message = "the selector matches none of the VMs in these files";
  if (vmis.length === 0)
    return { message, hint: "Load the VM's manifest with it, or make sure that the VM runs already." };
  const elsewhere = vmis.find((vmi) => selects(service.spec.selector, launcherLabels(vmi)));
  if (elsewhere !== undefined) {
    return {
      message,
      hint: `${elsewhere.metadata.name} matches, but is in namespace ${namespaceOf(elsewhere)}.`,
    };
  }
  const shown = vmis.slice(0, 3).map(({ metadata }) => {
    const labels = Object.entries(metadata.labels ?? {}).map(([key, value]) => `${key}: ${value}`);
    return `${metadata.name} has ${[...labels, `vm.kubevirt.io/name: ${metadata.name}`].join(", ")}`;
  });
  return {
    message,
    hint: `${shown.join("; ")}. Labels of a VM's template count, not those of the VM itself.`,
  };
}

function targetProblems(
  port: ServicePort,
  at: Path,
  vmis: readonly Vmi[],
  settings: Settings,
): readonly Finding[] {
  const protocol = port.protocol ?? "TCP";
  const nics = vmis.flatMap((vmi) => primaryNics(vmi));
  const { targetPort } = port;
  if (typeof targetPort === "string" && targetPort !== "") {
    const declared = nics.flatMap(({ ports = [] }) => ports);
    const found = declared.some(({ name, protocol: own = "TCP" }) => name === targetPort && own === protocol);
    // A name that is no name is reported by its form.
    if (found || !isPortName(targetPort)) return [];
    const message = `no selected VM declares a ${protocol} port named ${JSON.stringify(targetPort)}`;
    const named = declared.flatMap(({ name }) => (name === undefined ? [] : [name]));
    const hint = `Add {name: ${targetPort}, port: …} to the interface's ports${named.length === 0 ? "" : `; declared: ${named.join(", ")}`}.`;
    const reason = "FieldValueNotFound";
    return [errorAt({ code: "PT-EARLY-16", at: [...at, "targetPort"], reason, message, hint })];
  }
  const target = typeof targetPort === "number" && targetPort !== 0 ? targetPort : port.port;
  const open = vmis.some((vmi) => primaryNics(vmi).some((nic) => lets(nic, protocol, target, vmi, settings)));
  const declaring = nics.some(({ ports = [], portRanges = [] }) => ports.length + portRanges.length > 0);
  if (open || !declaring) return [];
  const place = targetPort === undefined ? [...at, "port"] : [...at, "targetPort"];
  const message = `no selected VM declares ${protocol} port ${target}, so connections to it are dropped`;
  const hint = `Add {port: ${target}${protocol === "UDP" ? ", protocol: UDP" : ""}} to the interface's ports.`;
  return [warningAt({ code: "PT-EARLY-14", at: place, message, hint })];
}

function primaryNics({ spec }: Vmi): readonly InterfaceSpec[] {
  const pod = new Set(
    (spec.networks ?? []).flatMap(({ name, pod: source }) => (source === undefined ? [] : [name])),
  );
  return (spec.domain.devices.interfaces ?? []).filter(({ name }) => pod.has(name));
}

function lets(nic: InterfaceSpec, protocol: string, port: number, vmi: Vmi, settings: Settings): boolean {
  const { ports = [], portRanges = [] } = nic;
  if (ports.length + portRanges.length === 0) {
    const restricts = settings.known.some(
      (binding) => binding.ports === "allow-list" && askingKeys(binding, nic).length > 0,
    );
    return inboundOf(vmi.metadata.annotations ?? {}, settings.inbound) === "all" || !restricts;
  }
  return (
    ports.some((declared) => declared.port === port && (declared.protocol ?? "TCP") === protocol) ||
    portRanges.some((range) => range.protocol === protocol && range.start <= port && port <= range.end)
  );
}

function namespaceOf({ metadata }: Vmi | Service): string {
  return metadata.namespace || "default";
}
