/**
 * Which pods stand behind a Service: what Kubernetes' endpoint-slice controller finds, in the shape that rules are
 * made from. Pure.
 */
import type { Pod, Service, ServicePort } from "../../../api/types.ts";
import { familyOf, type Ip, parseIp } from "../../../base/ip.ts";
import type { Problem } from "../../../base/problem.ts";

export type Protocol = "TCP" | "UDP";

export interface Backend {
  readonly ip: Ip;
  readonly port: number;
  /** `namespace/name` */
  readonly pod: string;
}

export interface EndpointPort {
  readonly name?: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Of both families. */
  readonly backends: readonly Backend[];
}

export interface ServiceEndpoints {
  readonly namespace: string;
  readonly name: string;
  /** Empty for a headless Service. */
  readonly clusterIps: readonly Ip[];
  readonly ports: readonly EndpointPort[];
  readonly warnings: readonly Problem[];
}

export function selectEndpoints(
  services: readonly Service[],
  pods: readonly Pod[],
): readonly ServiceEndpoints[] {
  return services
    .filter(({ spec }) => spec.type !== "ExternalName")
    .map((service) => endpointsOf(service, pods));
}

function endpointsOf(service: Service, pods: readonly Pod[]): ServiceEndpoints {
  const { namespace = "default", name } = service.metadata;
  const { spec } = service;
  const selected = pods.filter((pod) => isSelected(pod, service) && isServing(pod));
  const wished = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
  return {
    namespace,
    name,
    clusterIps: wished.flatMap((text) => parseIp(text) ?? []),
    ports: (spec.ports ?? []).map((port) => ({
      ...(port.name !== undefined && { name: port.name }),
      protocol: port.protocol ?? "TCP",
      port: port.port,
      backends: selected.flatMap((pod) => backendsOf(pod, port)),
    })),
    warnings: warningsFor(service),
  };
}

/** Without a selector the endpoints are somebody else's to make: none here. */
function isSelected(pod: Pod, { metadata, spec }: Service): boolean {
  const wanted = Object.entries(spec.selector ?? {});
  const labels = pod.metadata.labels ?? {};
  return (
    wanted.length > 0 &&
    (pod.metadata.namespace ?? "default") === (metadata.namespace ?? "default") &&
    wanted.every(([key, value]) => labels[key] === value)
  );
}

function isServing({ metadata, status }: Pod): boolean {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return metadata.deletionTimestamp === undefined && status?.phase === "Running" && ready?.status !== "False";
}

function backendsOf(pod: Pod, servicePort: ServicePort): readonly Backend[] {
  const port = targetPortOf(pod, servicePort);
  if (port === undefined) return [];
  const { status, metadata } = pod;
  const texts = status?.podIPs?.map(({ ip }) => ip) ?? (status?.podIP ? [status.podIP] : []);
  const owner = `${metadata.namespace ?? "default"}/${metadata.name}`;
  return texts.flatMap((text) => parseIp(text) ?? []).map((ip) => ({ ip, port, pod: owner }));
}

function targetPortOf(
  pod: Pod,
  { port, targetPort = port, protocol = "TCP" }: ServicePort,
): number | undefined {
  if (typeof targetPort === "number") return targetPort;
  return declaredPorts(pod).find((one) => one.name === targetPort && (one.protocol ?? "TCP") === protocol)
    ?.containerPort;
}

interface ContainerPort {
  readonly name?: string;
  readonly protocol?: string;
  readonly containerPort: number;
}

function declaredPorts({ spec }: Pod): readonly ContainerPort[] {
  const containers = spec?.["containers"];
  if (!Array.isArray(containers)) return [];
  return containers.flatMap((container: { ports?: unknown }) =>
    Array.isArray(container.ports) ? (container.ports as ContainerPort[]) : [],
  );
}

function warningsFor(service: Service): readonly Problem[] {
  const { spec, metadata } = service;
  const warnings: Problem[] = [];
  const warn = (field: string, message: string, hint: string) =>
    warnings.push({
      code: "PT-SERVICE-2",
      severity: "warning",
      reason: "FieldValueNotSupported",
      field,
      message,
      hint,
      object: `Service/${metadata.name}`,
    });
  const { sessionAffinity } = spec as { readonly sessionAffinity?: unknown };
  if (sessionAffinity !== undefined && sessionAffinity !== "None") {
    warn(
      "spec.sessionAffinity",
      `sessionAffinity ${sessionAffinity} is not kept`,
      "connections are spread at random",
    );
  }
  if (spec.type === "NodePort" || spec.type === "LoadBalancer") {
    warn(
      "spec.type",
      `type ${spec.type} has only its ClusterIP here`,
      "it is reached from this host and its pods",
    );
  }
  return warnings;
}

export function backendsOfFamily(port: EndpointPort, family: 4 | 6): readonly Backend[] {
  return port.backends.filter(({ ip }) => familyOf(ip) === family);
}
