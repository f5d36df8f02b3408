/** Objects of manifests, as commands handle them: in an order, in a namespace, with a name for people. */
import type { KubeObject } from "../../api/object.ts";
import { type ResourceInfo, resourceOf } from "../../cluster/local/resources.ts";
import { usageError } from "./failure.ts";

/** What others refer to comes first. */
const ORDER = [
  "Namespace",
  "Secret",
  "ConfigMap",
  "NetworkAttachmentDefinition",
  "Service",
  "VirtualMachine",
  "VirtualMachineInstance",
];

export function inApplyOrder<T extends KubeObject>(objects: readonly T[]): readonly T[] {
  const rank = ({ kind }: KubeObject): number => {
    const at = ORDER.indexOf(kind);
    return at < 0 ? ORDER.length : at;
  };
  return objects.toSorted((a, b) => rank(a) - rank(b));
}

export function inNamespace(object: KubeObject, namespace: string): KubeObject {
  if (resourceOf(object)?.namespaced === false || object.metadata.namespace !== undefined) return object;
  return { ...object, metadata: { ...object.metadata, namespace } };
}

export function resourceFor(object: Pick<KubeObject, "apiVersion" | "kind">): ResourceInfo {
  const resource = resourceOf(object);
  if (resource === undefined) throw usageError(`podtap keeps no ${object.kind} of ${object.apiVersion}`);
  return resource;
}

/** `virtualmachine.kubevirt.io/web`, as kubectl writes it. */
export function displayName(object: KubeObject): string {
  const { singular, group } = resourceFor(object);
  return `${singular}${group === "" ? "" : `.${group}`}/${object.metadata.name}`;
}

export function isMachine({ kind }: Pick<KubeObject, "kind">): boolean {
  return kind === "VirtualMachine" || kind === "VirtualMachineInstance";
}
