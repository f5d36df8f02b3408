/** From a command to its daemon: spoken to as a cluster, started when it is not there and when it goes. */
import { ApiClient } from "./client.ts";
import type { Context } from "./context.ts";
import { reviver } from "./revive.ts";

export function connect(context: Context): ApiClient {
  return new ApiClient(context.paths.socket, reviver(context));
}

/** `/apis/subresources.kubevirt.io/v1/namespaces/…`, as virtctl asks for it. */
export function subresourcePath(namespace: string, name: string, ...rest: readonly string[]): string {
  return instancePath("/apis/subresources.kubevirt.io/v1", namespace, name, rest);
}

/** `/podtap/v1/namespaces/…`: what Kubernetes has no name for. */
export function ownPath(namespace: string, name: string, ...rest: readonly string[]): string {
  return instancePath("/podtap/v1", namespace, name, rest);
}

function instancePath(root: string, namespace: string, name: string, rest: readonly string[]): string {
  const parts = ["namespaces", namespace, "virtualmachineinstances", name, ...rest];
  return `${root}/${parts.map(encodeURIComponent).join("/")}`;
}
