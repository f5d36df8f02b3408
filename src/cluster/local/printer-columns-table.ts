/**
 * What `get` shows of each kind: KubeVirt's `additionalPrinterColumns` for its own, the API server's columns
 * (`pkg/printers/internalversion`) for the built-in ones. Name is always first and not listed.
 */
import type { KubeObject } from "../../api/object.ts";
import { ageOf } from "./human-duration.ts";

export type Cell = string | number | undefined;

export interface PrinterColumn {
  readonly name: string;
  readonly type?: "string" | "integer" | "date";
  /** 0 always, 1 with `-o wide`. */
  readonly priority?: 0 | 1;
  readonly description?: string;
  cell(object: KubeObject, now: number): Cell;
}

export const PRINTER_COLUMNS: Readonly<Record<string, readonly PrinterColumn[]>> = {
  "virtualmachines.kubevirt.io": [
    age("Age"),
    text("Status", "status.printableStatus"),
    condition("Ready", "Ready"),
  ],
  "virtualmachineinstances.kubevirt.io": [
    age("Age"),
    text("Phase", "status.phase"),
    text("IP", "status.interfaces.0.ipAddress"),
    text("NodeName", "status.nodeName"),
    condition("Ready", "Ready"),
    { ...condition("Live-Migratable", "LiveMigratable"), priority: 1 },
    { ...condition("Paused", "Paused"), priority: 1 },
  ],
  "kubevirts.kubevirt.io": [age("Age"), text("Phase", "status.phase")],
  "network-attachment-definitions.k8s.cni.cncf.io": [age("Age")],
  pods: [
    { name: "Ready", cell: podReady },
    { name: "Status", cell: podStatus },
    { name: "Restarts", type: "integer", cell: podRestarts },
    age("Age"),
    wide("IP", "status.podIP"),
    wide("Node", "spec.nodeName"),
  ],
  services: [
    text("Type", "spec.type", "ClusterIP"),
    text("Cluster-IP", "spec.clusterIP", "<none>"),
    { name: "External-IP", cell: externalIp },
    { name: "Port(s)", cell: servicePorts },
    age("Age"),
    { name: "Selector", priority: 1, cell: (object) => labelText(at(object, "spec.selector")) },
  ],
  secrets: [text("Type", "type", "Opaque"), count("Data", "data"), age("Age")],
  configmaps: [count("Data", "data"), age("Age")],
  namespaces: [text("Status", "status.phase"), age("Age")],
  nodes: [
    { name: "Status", cell: nodeStatus },
    { name: "Roles", cell: () => "<none>" },
    age("Age"),
    text("Version", "status.nodeInfo.kubeletVersion"),
  ],
  events: [
    { name: "Last Seen", cell: (object, now) => ageOf(lastSeen(object), now) ?? "<unknown>" },
    text("Type", "type"),
    text("Reason", "reason"),
    { name: "Object", cell: involved },
    { name: "Message", cell: (object) => String(at(object, "message") ?? "").trim() },
    wide("Source", "source.component"),
    {
      name: "First Seen",
      priority: 1,
      cell: (object, now) => ageOf(at(object, "firstTimestamp"), now) ?? "<unknown>",
    },
    {
      name: "Count",
      type: "integer",
      priority: 1,
      cell: (object) => Number(at(object, "count") ?? 1),
    },
  ],
};

export const DEFAULT_COLUMNS: readonly PrinterColumn[] = [age("Age")];

/** Value at a dotted path; numbers index lists. */
function at(value: unknown, path: string): unknown {
  let here: unknown = value;
  for (const part of path.split(".")) {
    here = typeof here === "object" && here !== null ? (here as Record<string, unknown>)[part] : undefined;
  }
  return here;
}

function text(name: string, path: string, absent?: string): PrinterColumn {
  return {
    name,
    cell: (object) => {
      const value = at(object, path);
      return value === undefined || value === "" ? absent : String(value);
    },
  };
}

function wide(name: string, path: string): PrinterColumn {
  return { ...text(name, path, "<none>"), priority: 1 };
}

function age(name: string): PrinterColumn {
  return {
    name,
    // kubectl must not format it again: the cell is already an age.
    type: "string",
    cell: (object, now) => ageOf(object.metadata.creationTimestamp, now) ?? "<unknown>",
  };
}

function condition(name: string, type: string): PrinterColumn {
  return {
    name,
    cell: (object) => {
      const conditions = at(object, "status.conditions");
      const found = Array.isArray(conditions) ? conditions.find((it) => at(it, "type") === type) : undefined;
      return found === undefined ? undefined : String(at(found, "status") ?? "");
    },
  };
}

function count(name: string, path: string): PrinterColumn {
  return {
    name,
    type: "integer",
    cell: (object) => Object.keys((at(object, path) ?? {}) as object).length,
  };
}

function containers(object: KubeObject): readonly unknown[] {
  const statuses = at(object, "status.containerStatuses");
  return Array.isArray(statuses) ? statuses : [];
}

function podReady(object: KubeObject): string {
  const declared = at(object, "spec.containers");
  const total = Array.isArray(declared) && declared.length > 0 ? declared.length : 1;
  const statuses = containers(object);
  if (statuses.length > 0) {
    return `${statuses.filter((it) => at(it, "ready") === true).length}/${total}`;
  }
  const conditions = at(object, "status.conditions");
  const ready =
    Array.isArray(conditions) &&
    conditions.some((it) => at(it, "type") === "Ready" && at(it, "status") === "True");
  return `${ready ? total : 0}/${total}`;
}

function podStatus(object: KubeObject): string {
  if (object.metadata.deletionTimestamp !== undefined) return "Terminating";
  const waiting = containers(object)
    .map((it) => at(it, "state.waiting.reason") ?? at(it, "state.terminated.reason"))
    .find((it) => typeof it === "string");
  const phase = at(object, "status.phase");
  return String(
    at(object, "status.reason") ?? (phase === "Running" ? undefined : waiting) ?? phase ?? "Pending",
  );
}

function podRestarts(object: KubeObject): number {
  return containers(object).reduce<number>((sum, it) => sum + Number(at(it, "restartCount") ?? 0), 0);
}

function externalIp(object: KubeObject): string {
  const external = at(object, "spec.externalIPs");
  const ingress = at(object, "status.loadBalancer.ingress");
  const ips = [
    ...(Array.isArray(ingress) ? ingress.map((it) => String(at(it, "ip") ?? at(it, "hostname") ?? "")) : []),
    ...(Array.isArray(external) ? external.map(String) : []),
  ].filter((it) => it !== "");
  if (ips.length > 0) return ips.join(",");
  return at(object, "spec.type") === "LoadBalancer" ? "<pending>" : "<none>";
}

function servicePorts(object: KubeObject): string {
  const ports = at(object, "spec.ports");
  if (!Array.isArray(ports) || ports.length === 0) return "<none>";
  return ports
    .map((it) => {
      const nodePort = at(it, "nodePort");
      return `${at(it, "port")}${nodePort === undefined ? "" : `:${nodePort}`}/${at(it, "protocol") ?? "TCP"}`;
    })
    .join(",");
}

function labelText(labels: unknown): string {
  const entries = Object.entries((labels ?? {}) as Record<string, unknown>);
  return entries.length === 0 ? "<none>" : entries.map(([key, value]) => `${key}=${value}`).join(",");
}

function nodeStatus(object: KubeObject): string {
  return condition("", "Ready").cell(object, 0) === "True" ? "Ready" : "NotReady";
}

function lastSeen(object: KubeObject): unknown {
  return at(object, "lastTimestamp") ?? at(object, "eventTime") ?? object.metadata.creationTimestamp;
}

function involved(object: KubeObject): string {
  return `${String(at(object, "involvedObject.kind") ?? "").toLowerCase()}/${at(object, "involvedObject.name")}`;
}
