/** What the API server itself fills in for a Service's ports (`SetDefaults_Service`): without it kubectl shows `8080/`. */
import type { KubeObject } from "../../api/object.ts";

export function withServiceDefaults(object: KubeObject): KubeObject {
  if (object.kind !== "Service" || object.apiVersion !== "v1" || !isMap(object.spec)) return object;
  const { ports } = object.spec;
  if (!Array.isArray(ports)) return object;
  return { ...object, spec: { ...object.spec, ports: ports.map(withPortDefaults) } };
}

function withPortDefaults(port: unknown): unknown {
  if (!isMap(port)) return port;
  const targetPort = port["targetPort"] ?? port["port"];
  return { ...port, protocol: port["protocol"] ?? "TCP", ...(targetPort !== undefined && { targetPort }) };
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
