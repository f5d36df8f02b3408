/** What `up` says at its end: how the VM runs, where it is reached, what to type next. Pure. */
import type { InterfaceSpec, Service, ServicePort, Vmi, VmiInterfaceStatus } from "../../api/types.ts";
import { hostPortText } from "../../plan/parts/host-ports.ts";
import { formatElapsed } from "./terminal.ts";

export interface SummaryInput {
  readonly vmi: Vmi;
  readonly services: readonly Service[];
  /** Milliseconds `up` waited; undefined when it ran already. */
  readonly tookMs?: number;
  /** `demo@`, or empty. */
  readonly login: string;
  /** How this program is called: `podtap`, `./bin/podtap`. */
  readonly program: string;
}

type Row = readonly [label: string, text: string];

export function summary(input: SummaryInput): string {
  const { vmi, tookMs } = input;
  const { name } = vmi.metadata;
  const accelerator = vmi.status?.accelerator;
  const facts = [
    ...(tookMs === undefined ? [] : [`after ${formatElapsed(tookMs)}`]),
    ...(accelerator === undefined ? [] : [`on ${accelerator.type} (${accelerator.reason})`]),
  ];
  const rows = [
    ...(vmi.status?.interfaces ?? []).flatMap((nic) => nicRows(nic, specOf(vmi, nic))),
    ...input.services.flatMap(serviceRows),
    ...nextRows(input),
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  const head = `${name} is ${(vmi.status?.phase ?? "pending").toLowerCase()}${facts.length > 0 ? ` ${facts.join(", ")}` : ""}`;
  return [head, ...rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`)].join("\n").concat("\n");
}

function specOf(vmi: Vmi, nic: VmiInterfaceStatus): InterfaceSpec | undefined {
  return vmi.spec.domain.devices.interfaces?.find(({ name }) => name === nic.name);
}

function nicRows(nic: VmiInterfaceStatus, spec: InterfaceSpec | undefined): readonly Row[] {
  const of = (owner: "pod" | "guest"): readonly string[] => [
    ...new Set((nic.addresses ?? []).filter((address) => address.owner === owner).map(({ ip }) => ip)),
  ];
  const pod = of("pod").length > 0 ? of("pod") : (nic.ipAddresses ?? []);
  const guest = of("guest");
  const label = `nic ${nic.name ?? nic.interfaceName ?? "?"}`;
  return [
    [label, [nic.binding, nic.mac].filter((fact) => fact !== undefined).join("  ")],
    ["", `${nic.hostPorts ? "host " : "pod  "}  ${pod.join("  ") || "no address yet"}   (dial this)`],
    ...(guest.length > 0 ? [["", `guest  ${guest.join("  ")}   (inside the VM)`] as const] : []),
    ...(spec === undefined ? [] : [["", `ports  ${portsOf(spec, nic.hostPorts)}`] as const]),
  ];
}

function portsOf(
  { ports = [], portRanges = [] }: InterfaceSpec,
  hostPorts: VmiInterfaceStatus["hostPorts"],
): string {
  if (hostPorts !== undefined) return hostPorts.map(hostPortText).join(", ") || "none declared";
  const shown = [
    ...ports.map(({ name, port, protocol }) => `${port}/${protocol ?? "TCP"}${name ? ` ${name}` : ""}`),
    ...portRanges.map(
      ({ start, end, protocol }) => `${start === end ? start : `${start}-${end}`}/${protocol}`,
    ),
  ];
  return shown.join(", ") || "none declared";
}

function serviceRows(service: Service): readonly Row[] {
  const { clusterIPs, clusterIP, ports = [] } = service.spec;
  const addresses = clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP]);
  const dialable = addresses.filter((address) => address !== "" && address !== "None");
  return [
    [`service ${service.metadata.name}`, ports.map(portArrow).join(", ")],
    ...dialable.flatMap((address) => ports.map((port): Row => ["", howToReach(address, port)])),
  ];
}

function portArrow({ name, port, targetPort, protocol }: ServicePort): string {
  return `${name ? `${name} ` : ""}${port}/${protocol ?? "TCP"} -> ${targetPort ?? port}`;
}

function howToReach(address: string, { name, port, protocol }: ServicePort): string {
  const host = address.includes(":") ? `[${address}]` : address;
  const web = (protocol ?? "TCP") === "TCP" && (name?.startsWith("http") || [80, 8000, 8080].includes(port));
  return web ? `curl http://${host}${port === 80 ? "" : `:${port}`}/` : `${address} port ${port}`;
}

function nextRows({ vmi, login, program }: SummaryInput): readonly Row[] {
  const { name, namespace = "default" } = vmi.metadata;
  const flags = namespace === "default" ? "" : ` -n ${namespace}`;
  return [
    ["next", `${program} ssh${flags} ${login}${name}`],
    ["", `${program} console${flags} ${name}`],
    ["", `${program} describe${flags} vmi ${name}`],
  ];
}
