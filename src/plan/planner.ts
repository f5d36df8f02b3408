/**
 * From a manifest and what was found in the pod's namespace to the plan. Pure; the registry of bindings is an
 * argument, so that nothing here knows one by name.
 */
import { hostnameOf } from "../api/defaults.ts";
import type { InterfaceSpec, NetworkSpec, Vmi, VmiSpec } from "../api/types.ts";
import { cidrPrefix } from "../base/ip.ts";
import { PRIMARY_POD_INTERFACE, secondaryPodInterface, wiringNames } from "../base/names.ts";
import type { Problem } from "../base/problem.ts";
import { failed, ok, type Result } from "../base/result.ts";
import type {
  Binding,
  BindingRegistry,
  NetworkAttachment,
  NicContext,
  NicSpec,
  Resolver,
  RootlessFacts,
  VmFacts,
} from "./binding.ts";
import type { HostFeatures } from "./host-features.ts";
import type { Observed, ObservedLink } from "./observed.ts";
import { mtuNotes } from "./parts/path-mtu.ts";
import type { NicPlan, Plan } from "./plan.ts";

/** Facts about the host that a manifest does not tell. */
export interface HostFacts {
  readonly runtimeUid: number;
  readonly features: HostFeatures;
  /** What is in the way of this host's pods, for the plan's notes. */
  readonly notes?: readonly string[];
  readonly inbound: VmFacts["inbound"];
  readonly rootless?: RootlessFacts;
}

export interface PlanInput {
  /** Defaulted: interfaces and networks are there. */
  readonly vmi: Vmi;
  /** As CNI left it (apply/pristine.ts). */
  readonly observed: Observed;
  readonly resolver: Resolver;
  readonly host: HostFacts;
  /** Queues for a NIC when the manifest asks for several; 0 otherwise (api/…: queueCapacity). */
  readonly queues: number;
  /** By network name; what is not known is not there. */
  readonly attachments?: Readonly<Record<string, NetworkAttachment>>;
}

/** One interface of the manifest joined with its network and its binding. */
export interface BoundNic extends NicSpec {
  readonly binding: Binding;
  readonly podInterface: string;
  readonly primary: boolean;
  readonly index: number;
}

export function planPod(input: PlanInput, registry: BindingRegistry): Result<Plan> {
  const { vmi } = input;
  const bound = bindNics(vmi.spec, vmi.metadata.annotations ?? {}, registry, input.attachments);
  if (!bound.ok) return bound;
  const vm = vmFacts(input);
  const router = defaultRouteNic(bound.value, input.observed);
  const results = bound.value.map((nic) => planNic(nic, input, vm, nic === router));
  const problems = results.flatMap((result) => (result.ok ? [] : result.problems));
  if (problems.length > 0) return failed(...problems);
  const nics = results.flatMap((result) => (result.ok ? [result.value] : []));
  return ok({
    version: 1,
    vmi: { namespace: vm.namespace, name: vm.name, uid: vm.uid },
    nics,
  });
}

/** Joins interfaces and networks by name, in interface order; NICs with state `absent` are left out. */
export function bindNics(
  spec: VmiSpec,
  annotations: Readonly<Record<string, string>>,
  registry: BindingRegistry,
  attachments: PlanInput["attachments"] = {},
): Result<readonly BoundNic[]> {
  const problems: Problem[] = [];
  const nics = (spec.domain.devices.interfaces ?? []).flatMap((nic, index): BoundNic[] => {
    if (nic.state === "absent") return [];
    const field = `spec.domain.devices.interfaces[${index}]`;
    const networkIndex = (spec.networks ?? []).findIndex((candidate) => candidate.name === nic.name);
    const network = spec.networks?.[networkIndex];
    const binding = registry.of(nic);
    if (network === undefined) problems.push(notFound(field, nic));
    if (binding === undefined) problems.push(noBinding(field, nic, registry));
    if (network === undefined || binding === undefined) return [];
    const primary = isPrimary(network);
    return [
      {
        ...attachments[nic.name],
        interface: nic,
        network,
        field,
        networkField: `spec.networks[${networkIndex}]`,
        annotations,
        binding,
        primary,
        index,
        podInterface: primary ? PRIMARY_POD_INTERFACE : secondaryPodInterface(network.name),
      },
    ];
  });
  return problems.length > 0 ? failed(...problems) : ok(nics);
}

/** KubeVirt's "default network": what the pod is known by. */
export function isPrimary(network: NetworkSpec): boolean {
  return network.pod !== undefined || network.multus?.default === true;
}

/** Sysctls whose present value a plan depends on; the engine reads them before planning. */
export function sysctlsToObserve(podInterfaces: readonly string[]): readonly string[] {
  return [
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    ...podInterfaces.map((name) => `net/ipv6/conf/${name}/accept_ra`),
  ];
}

/** A guest with two default routes uses one of them, and nobody knows which. */
function defaultRouteNic(nics: readonly BoundNic[], observed: Observed): BoundNic | undefined {
  const defaults = observed.routes.filter(({ destination }) => cidrPrefix(destination) === 0);
  const over = (routes: Observed["routes"]): BoundNic | undefined =>
    nics.find(({ podInterface }) => routes.some(({ link }) => link === podInterface));
  return (
    nics.find(({ primary }) => primary) ?? over(defaults.filter((one) => !one.advertised)) ?? over(defaults)
  );
}

/** What a pod's kernel makes of router advertisements is nobody's address but the pod's, and may come a moment later. */
function withoutAdvertised(link: ObservedLink): ObservedLink {
  const { advertised = [], addresses, ...rest } = link;
  return { ...rest, addresses: addresses.filter((address) => !advertised.includes(address)) };
}

function planNic(nic: BoundNic, input: PlanInput, vm: VmFacts, defaultRoute: boolean): Result<NicPlan> {
  const names = wiringNames(nic.podInterface, nic.primary);
  const found = input.observed.links.find((link) => link.name === nic.podInterface);
  if (found === undefined) return failed(noPodLink(nic));
  const podLink = withoutAdvertised(found);
  const context: NicContext = {
    ...input.attachments?.[nic.network.name],
    interface: nic.interface,
    network: nic.network,
    field: nic.field,
    networkField: nic.networkField,
    annotations: nic.annotations,
    vm,
    names,
    index: nic.index,
    defaultRoute,
    podLink,
    routes: input.observed.routes.filter((route) => route.link === nic.podInterface),
    resolver: input.resolver,
    observed: input.observed,
  };
  const planned = nic.binding.plan(context);
  const hostNotes = nic.network.pod === undefined ? [] : (input.host.notes ?? []);
  const notes = [...mtuNotes(context, nic.binding.traits), ...hostNotes];
  if (!planned.ok || notes.length === 0) return planned;
  return { ...planned, value: { ...planned.value, notes: [...planned.value.notes, ...notes] } };
}

function vmFacts({ vmi, host, queues }: PlanInput): VmFacts {
  const { metadata, spec, status } = vmi;
  return {
    namespace: metadata.namespace ?? "default",
    name: metadata.name,
    uid: metadata.uid ?? "",
    hostname: hostnameOf(vmi),
    ...(spec.subdomain !== undefined && { subdomain: spec.subdomain }),
    annotations: metadata.annotations ?? {},
    queues,
    useVirtioTransitional: spec.domain.devices.useVirtioTransitional ?? false,
    runtimeUid: host.runtimeUid,
    migrationTransport: status?.migrationTransport ?? "Unix",
    inbound: host.inbound,
    features: host.features,
    ...(host.rootless && { rootless: host.rootless }),
  };
}

function notFound(field: string, nic: InterfaceSpec): Problem {
  return {
    code: "PT-PLAN-3",
    severity: "error",
    reason: "FieldValueNotFound",
    field: `${field}.name`,
    message: `${field}.name '${nic.name}' not found.`,
    hint: `add a network named ${nic.name} to spec.networks`,
  };
}

function noBinding(field: string, nic: InterfaceSpec, registry: BindingRegistry): Problem {
  const known = registry.all.map(({ bindingName }) => bindingName).join(", ");
  return {
    code: "PT-PLAN-4",
    severity: "error",
    reason: "FieldValueNotSupported",
    field,
    message: `interface ${nic.name} asks for a binding that this podtap does not have`,
    hint: `this version wires: ${known}`,
  };
}

function noPodLink(nic: BoundNic): Problem {
  return {
    code: "PT-PLAN-5",
    severity: "error",
    reason: "FieldValueNotFound",
    field: nic.field,
    message: `pod link (${nic.podInterface}) is missing`,
    hint: "CNI did not make it, or what it was built on is gone from the host; look at the pod's events",
  };
}
