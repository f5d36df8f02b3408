/**
 * `describe`: one object for people. Generic like kubectl's for custom kinds, with two things said first that
 * users look for: a VMI's NICs, every address with whose it is and who says so, and what happened (Events).
 */

import type { KubeObject } from "../../api/object.ts";
import type { Vmi, VmiInterfaceStatus, VmiStatus } from "../../api/types.ts";
import type { KubeEvent } from "../../cluster/event-recorder.ts";
import { ageOf } from "../../cluster/local/human-duration.ts";
import { hostPortText } from "../../plan/parts/host-ports.ts";
import { columnWidths, padRow, visible, visibleLines } from "./output-text.ts";

type Line = string;
export type Dropped = Readonly<Record<string, readonly string[]>>;
const GAP = { gap: 2, narrowest: 0 };
/** Said elsewhere in the text, or of use to programs only. */
const HIDDEN_METADATA = new Set(["name", "namespace", "labels", "annotations", "managedFields"]);
const HIDDEN_ANNOTATIONS = new Set(["kubectl.kubernetes.io/last-applied-configuration"]);

/** @param dropped by pod interface: what is said of frames that were dropped there */
export function describeObject(
  object: KubeObject,
  events: readonly KubeEvent[],
  now: number,
  dropped: Dropped = {},
): string {
  const { name, namespace, labels, annotations } = object.metadata;
  const shown = Object.entries(annotations ?? {}).filter(([key]) => !HIDDEN_ANNOTATIONS.has(key));
  const header: readonly (readonly [string, readonly string[]])[] = [
    ["Name", [name]],
    ...(namespace === undefined ? [] : [["Namespace", [namespace]] as const]),
    ["Labels", pairs(Object.entries(labels ?? {}), "=")],
    ["Annotations", pairs(shown, ": ")],
    ["API Version", [object.apiVersion]],
    ["Kind", [object.kind]],
  ];
  const metadata = Object.entries(object.metadata).filter(([key]) => !HIDDEN_METADATA.has(key));
  const { apiVersion: _a, kind, metadata: _m, ...rest } = object as KubeObject & Record<string, unknown>;
  const isVmi = kind === "VirtualMachineInstance";
  const lines = [
    ...field(header),
    ...(metadata.length === 0 ? [] : ["Metadata:", ...indent(mapLines(Object.fromEntries(metadata)))]),
    ...(isVmi ? describeInterfaces(object as Vmi, dropped) : []),
    ...Object.entries(rest).flatMap(([key, value]) => section(object, key, value)),
    ...describeEvents(events, now),
  ];
  return `${lines.join("\n")}\n`;
}

function section(object: KubeObject, key: string, value: unknown): readonly Line[] {
  if (object.kind === "Secret" && (key === "data" || key === "stringData")) return secretLines(value);
  if (object.kind !== "VirtualMachineInstance" || key !== "status") return entryLines(key, value);
  const { interfaces: _interfaces, ...status } = (value ?? {}) as VmiStatus;
  return entryLines(key, status);
}

/** Values of Secrets are not for screens. */
function secretLines(data: unknown): readonly Line[] {
  const sizes = Object.entries((data ?? {}) as Record<string, string>).map(
    ([key, value]) => [key, [`${Math.floor((value.replace(/=+$/, "").length * 3) / 4)} bytes`]] as const,
  );
  return ["Data:", ...indent(field(sizes))];
}

function describeInterfaces({ spec, status }: Vmi, dropped: Dropped): readonly Line[] {
  const interfaces = status?.interfaces ?? [];
  if (interfaces.length === 0) return ["Interfaces:  <none>"];
  const nadOf = ({ name }: VmiInterfaceStatus): string | undefined =>
    (spec?.networks ?? []).find((network) => network.name === name)?.multus?.networkName;
  return ["Interfaces:", ...interfaces.flatMap((nic) => indent(describeInterface(nic, nadOf(nic), dropped)))];
}

function describeInterface(
  nic: VmiInterfaceStatus,
  nad: string | undefined,
  dropped: Dropped,
): readonly Line[] {
  const lost = dropped[nic.podInterfaceName ?? ""] ?? [];
  const facts: readonly (readonly [string, string | number | undefined])[] = [
    ["Binding", nic.binding],
    ["NAD", nad],
    ["MAC", nic.mac],
    ["Pod NIC", nic.podInterfaceName],
    ["Guest NIC", nic.interfaceName],
    ["Link", nic.linkState],
    ["Queues", nic.queueCount],
    ["Seen by", nic.infoSource],
  ];
  const known = facts.flatMap(([key, value]) =>
    value === undefined || value === "" ? [] : [[key, [String(value)]] as const],
  );
  return [
    `${visible(nic.name ?? "(not in the manifest)")}:`,
    ...indent(
      field([
        ...known,
        ["Addresses", addresses(nic)],
        ...hostPorts(nic),
        ...(lost.length > 0 ? [["Dropped", lost] as const] : []),
      ]),
    ),
  ];
}

/** Whose address it is and who says so: `10.0.2.2 guest, says dhcp`; without that knowledge the bare ones. */
function addresses(nic: VmiInterfaceStatus): readonly string[] {
  const labelled = nic.addresses ?? [];
  if (labelled.length === 0) return nic.ipAddresses ?? (nic.ipAddress === undefined ? [] : [nic.ipAddress]);
  const rows = labelled.map(({ ip, owner, source }) => [ip, owner, `(from ${SOURCES[source] ?? source})`]);
  const widths = columnWidths(rows, GAP);
  return rows.map((row) => padRow(row, widths));
}

/** Where the guest is reached by nothing else. */
function hostPorts({
  hostPorts: ports,
}: VmiInterfaceStatus): readonly (readonly [string, readonly string[]])[] {
  if (ports === undefined) return [];
  return [["Host ports", ports.length === 0 ? ["<none>"] : ports.map(hostPortText)]];
}

const SOURCES: Readonly<Record<string, string>> = {
  cni: "CNI",
  plan: "podtap's plan",
  dhcp: "DHCP lease",
  "guest-agent": "guest agent",
};

function describeEvents(events: readonly KubeEvent[], now: number): readonly Line[] {
  if (events.length === 0) return ["Events:  <none>"];
  const rows = events
    .toSorted((a, b) => Date.parse(a.lastTimestamp) - Date.parse(b.lastTimestamp))
    .map((event) => [
      event.type,
      event.reason,
      ageText(event, now),
      event.source?.component ?? "",
      event.message,
    ]);
  const titles = ["Type", "Reason", "Age", "From", "Message"];
  const all = [titles, titles.map((title) => "-".repeat(title.length)), ...rows];
  const safe = all.map((row) => row.map((cell) => visible(cell ?? "")));
  const widths = columnWidths(safe, GAP);
  return ["Events:", ...indent(safe.map((row) => padRow(row, widths)))];
}

function ageText(event: KubeEvent, now: number): string {
  const last = ageOf(event.lastTimestamp, now) ?? "<unknown>";
  return event.count > 1 ? `${last} (x${event.count} over ${ageOf(event.firstTimestamp, now)})` : last;
}

/** Keys in a column, values beside them; a value of several lines goes on below itself. */
function field(entries: readonly (readonly [string, readonly string[]])[]): readonly Line[] {
  const width = Math.max(0, ...entries.map(([key]) => key.length)) + 3;
  return entries.flatMap(([key, values]) => {
    const texts = values.length === 0 ? ["<none>"] : values;
    return texts.map((text, i) => (i === 0 ? `${visible(key)}:` : "").padEnd(width) + visible(text));
  });
}

function pairs(entries: readonly (readonly [string, string])[], between: string): readonly string[] {
  return entries.map(([key, value]) => `${key}${between}${value}`);
}

function mapLines(map: Readonly<Record<string, unknown>>): readonly Line[] {
  const plain = Object.entries(map).filter(([, value]) => isScalar(value));
  const nested = Object.entries(map).filter(([, value]) => !isScalar(value));
  const width = Math.max(0, ...plain.map(([key]) => title(key).length)) + 3;
  return [
    ...plain.map(([key, value]) => `${`${title(key)}:`.padEnd(width)}${visible(String(value))}`),
    ...nested.flatMap(([key, value]) => entryLines(key, value)),
  ];
}

function isScalar(value: unknown): boolean {
  return typeof value !== "object" && !(typeof value === "string" && value.includes("\n"));
}

function entryLines(key: string, value: unknown): readonly Line[] {
  if (typeof value === "string" && value.includes("\n")) {
    return [`${title(key)}:`, ...indent(visibleLines(value.trimEnd()).split("\n"))];
  }
  if (Array.isArray(value)) return [`${title(key)}:`, ...indent(value.flatMap(itemLines))];
  if (typeof value === "object" && value !== null) {
    const lines = mapLines(value as Record<string, unknown>);
    return lines.length === 0 ? [`${title(key)}:  {}`] : [`${title(key)}:`, ...indent(lines)];
  }
  return [`${title(key)}:  ${visible(String(value))}`];
}

function itemLines(item: unknown): readonly Line[] {
  if (Array.isArray(item)) return item.flatMap(itemLines);
  if (typeof item !== "object" || item === null) return [visible(String(item))];
  return mapLines(item as Record<string, unknown>).map((line, i) => (i === 0 ? `- ${line}` : `  ${line}`));
}

/** `creationTimestamp` → `Creation Timestamp`; keys that are no identifiers (labels, annotations) stay. */
function title(key: string): string {
  if (!/^[a-z][A-Za-z0-9]*$/.test(key)) return visible(key);
  const words = key.replace(/([a-z0-9])([A-Z])/g, "$1 $2").split(" ");
  return words
    .map((word) => (/^(ip|uid|mac|os|id)$/i.test(word) ? word.toUpperCase() : capital(word)))
    .join(" ");
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function indent(lines: readonly Line[]): readonly Line[] {
  return lines.map((line) => `  ${line}`);
}
