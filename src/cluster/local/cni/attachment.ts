/**
 * One NIC of one pod on one network, and the requests made of it. Pure: what goes to the plugins, as values.
 */
import { PodtapError } from "../../../base/errors.ts";
import type { Mac } from "../../../base/mac.ts";
import { isLinkName } from "../../../base/names.ts";
import { type CniNetwork, type CniPlugin, isCniName } from "./conflist.ts";
import type { CniCommand } from "./exec-plugin.ts";

export interface Attachment {
  /** The pod's id: the same for all its NICs. */
  readonly containerId: string;
  readonly netnsPath: string;
  readonly ifName: string;
  readonly network: CniNetwork;
  readonly pod: { readonly namespace: string; readonly name: string };
  /** Wished for; a plugin that cannot set it ignores it. */
  readonly mac?: Mac;
  /** More CNI_ARGS. */
  readonly args?: Readonly<Record<string, string>>;
  /** `runtimeConfig`, for plugins that declare the capability: `portMappings`, `bandwidth`, `ips` … */
  readonly capabilityArgs?: Readonly<Record<string, unknown>>;
}

/** @throws PT-CNI-6 for values that would change the meaning of a plugin's environment */
export function checkAttachment({ containerId, ifName, netnsPath, pod, args = {} }: Attachment): void {
  const texts = [pod.namespace, pod.name, ...Object.entries(args).flat()];
  const wrong = [
    !isCniName(containerId) && `container id ${JSON.stringify(containerId)}`,
    !isLinkName(ifName) && `interface name ${JSON.stringify(ifName)}`,
    !netnsPath.startsWith("/") && `namespace ${JSON.stringify(netnsPath)}`,
    ...texts.map((text) => /[;=\s\0]/.test(text) && `argument ${JSON.stringify(text)}`),
  ].filter((text) => text !== false);
  if (wrong.length === 0) return;
  throw new PodtapError({
    code: "PT-CNI-6",
    message: `cannot ask a CNI plugin for ${wrong.join(", ")}`,
    retry: "on-change",
    blame: "manifest",
  });
}

/** CNI_ARGS as kubelet's runtimes send them; plugins that know none of these are told to go on. */
export function cniArgs({ containerId, pod, mac, args }: Attachment): string {
  const all = {
    IgnoreUnknown: "1",
    K8S_POD_NAMESPACE: pod.namespace,
    K8S_POD_NAME: pod.name,
    K8S_POD_INFRA_CONTAINER_ID: containerId,
    ...(mac !== undefined && { MAC: mac }),
    ...args,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${value}`)
    .join(";");
}

/** A plugin's own configuration: its entry, the network's name and version, what came before it. */
export function pluginConfig(
  { network, mac, capabilityArgs }: Attachment,
  plugin: CniPlugin,
  prevResult: unknown,
): Readonly<Record<string, unknown>> {
  const wishes: Readonly<Record<string, unknown>> = { ...(mac !== undefined && { mac }), ...capabilityArgs };
  const runtimeConfig = Object.fromEntries(
    Object.entries(wishes).filter(([capability]) => plugin.capabilities?.[capability] === true),
  );
  return {
    ...plugin,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(Object.keys(runtimeConfig).length > 0 && { runtimeConfig }),
    ...(prevResult !== undefined && { prevResult }),
  };
}

/** DEL and CHECK are told the result of ADD from 0.4.0 on. */
export function passesResult(command: CniCommand, cniVersion: string): boolean {
  const [major = 0, minor = 0] = cniVersion.split(".").map(Number);
  return command !== "ADD" && (major > 0 || minor >= 4);
}
