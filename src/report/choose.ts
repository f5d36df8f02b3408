/**
 * Which binding fits a NIC: what is wished, what the network and the host can carry, what each costs. Pure, and made
 * of traits only, so a new binding is compared without a line here.
 *
 * A wish is a must: a binding that cannot grant it is ruled out, with the reason. Among those left the advised one is
 * the first of the registry, or, when speed is wished, the one with the shortest path.
 */
import type { Binding, BindingTraits, NicSpec } from "../plan/binding.ts";
import type { HostFeatures } from "../plan/host-features.ts";

export interface WishMeaning {
  /** For a question: "Must … ?" */
  readonly question: string;
  /** What a binding that grants it says. */
  readonly granted: string;
  readonly refused: string;
  /** Of a secondary network nobody asks it: KubeVirt looks at the pod network's NIC only (VerifyVMIMigratable). */
  readonly podNetworkOnly?: true;
  grants(traits: BindingTraits): boolean;
}

export const WISHES = {
  direct: {
    question: "Must others reach the guest at an address of its own, on every port",
    granted: "the guest has an address that others reach directly",
    refused: "others reach the guest through the pod's address and declared ports only",
    grants: ({ podAddress, path }) => podAddress !== "natted" && path !== "user-space",
  },
  migration: {
    question: "Must the running VM be able to move to another node",
    granted: "a running VM can move",
    refused: "a running VM cannot move",
    podNetworkOnly: true,
    grants: ({ liveMigration }) => liveMigration !== "no",
  },
  rootless: {
    question: "Must it work without root",
    granted: "works without root",
    refused: "not for VMs without root",
    grants: (traits) => traits.rootless,
  },
  l2: {
    question:
      "Must the guest be on the network's own segment (broadcasts, other protocols than IP, its own DHCP)",
    granted: "the guest is a station of the network's own segment",
    refused: "the guest is behind the pod, and broadcasts end there",
    grants: (traits) => traits.layer2,
  },
  "pod-stack": {
    question: "Must the pod's own network go on working (service mesh, probes by exec, kubectl port-forward)",
    granted: "the pod's own stack goes on working beside the guest",
    podNetworkOnly: true,
    refused:
      "the guest takes the pod's network: a mesh, exec probes and kubectl port-forward find nothing there",
    grants: ({ podStack }) => podStack,
  },
  closed: {
    question: "Must what the manifest does not declare stay closed",
    granted: "only declared ports come in",
    refused: "everything that reaches the pod's address reaches the guest",
    grants: ({ ports }) => ports === "allow-list",
  },
} as const satisfies Readonly<Record<string, WishMeaning>>;

export type Wish = keyof typeof WISHES;
/** Ranks what fits, and rules nothing out. */
export const SPEED = "speed";
/** Every word that a wish may be told by. */
export const WANTS: readonly string[] = [...Object.keys(WISHES), SPEED];

/** Shortest first. */
const PATHS: Readonly<Record<BindingTraits["path"], string>> = {
  redirected: "frames go from NIC to tap without a bridge; netfilter in the pod does not see them",
  "lower-device": "frames go to the lower device; the host cannot reach the guest over it without help",
  bridged: "a bridge in the pod on the way",
  translated: "a bridge and address translation on the way",
  "user-space": "every packet is copied by a process on the way",
};
const BY_SPEED = Object.keys(PATHS);

export interface Choice {
  readonly binding: string;
  /** What to write in the interface. */
  readonly spelling: Binding["spelling"];
  readonly fits: boolean;
  /** The binding that the manifest has. */
  readonly current: boolean;
  readonly gives: readonly string[];
  readonly price: readonly string[];
  /** Why it is ruled out; empty when it fits. */
  readonly against: readonly string[];
}

export interface Asked {
  readonly nic: NicSpec;
  readonly wishes: readonly Wish[];
  readonly speed: boolean;
  readonly features: HostFeatures;
}

/** The advised one first, those that are ruled out last. */
export function chooseBinding(
  all: readonly Binding[],
  current: Binding | undefined,
  asked: Asked,
): readonly Choice[] {
  const choices = all.map((binding) => ({ binding, choice: judge(binding, binding === current, asked) }));
  const fitting = choices.filter(({ choice }) => choice.fits);
  const rank = ({ traits }: Binding): number => BY_SPEED.indexOf(traits.path);
  const ordered = asked.speed ? fitting.toSorted((a, b) => rank(a.binding) - rank(b.binding)) : fitting;
  return [...ordered, ...choices.filter(({ choice }) => !choice.fits)].map(({ choice }) => choice);
}

function judge(binding: Binding, current: boolean, { nic, wishes: all, features }: Asked): Choice {
  const { traits } = binding;
  const applies = (wish: Wish): boolean =>
    nic.network.pod !== undefined || meaning(wish).podNetworkOnly !== true;
  const wishes = all.filter(applies);
  const lacking = binding.lacking(features);
  const against = [
    ...networkObjection(traits, nic),
    ...(lacking === undefined ? [] : [`this host: ${lacking}`]),
    ...wishes.filter((wish) => !meaning(wish).grants(traits)).map((wish) => meaning(wish).refused),
    ...binding
      .validate({ ...nic, interface: { name: nic.interface.name, ...binding.spelling } })
      .filter(({ severity }) => severity === "error")
      .map(({ message }) => message),
  ];
  const others = (Object.keys(WISHES) as Wish[]).filter((wish) => applies(wish) && !wishes.includes(wish));
  return {
    binding: binding.bindingName,
    spelling: binding.spelling,
    fits: against.length === 0,
    current,
    gives: [
      ...wishes.filter((wish) => meaning(wish).grants(traits)).map((wish) => meaning(wish).granted),
      ...others.filter((wish) => meaning(wish).grants(traits)).map((wish) => meaning(wish).granted),
    ],
    price: [
      PATHS[traits.path],
      // Root is no price to somebody who has it.
      ...others
        .filter((wish) => wish !== "rootless" && !meaning(wish).grants(traits))
        .map((wish) => meaning(wish).refused),
    ],
    against,
  };
}

function networkObjection({ networks }: BindingTraits, { network }: NicSpec): readonly string[] {
  if (networks === "pod" && network.pod === undefined) return ["it is for the pod network only"];
  if (networks === "multus" && network.multus === undefined) return ["it is for Multus networks only"];
  return [];
}

function meaning(wish: Wish): WishMeaning {
  return WISHES[wish];
}

/** What a manifest asks for without naming it: each with the field that says so. */
export function wishesOf(vmi: {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: { readonly evictionStrategy?: string };
}): readonly { readonly wish: Wish; readonly because: string }[] {
  const mesh = vmi.metadata.annotations?.["sidecar.istio.io/inject"]?.toLowerCase() === "true";
  return [
    ...(vmi.spec.evictionStrategy === "LiveMigrate"
      ? [{ wish: "migration" as const, because: "evictionStrategy is LiveMigrate" }]
      : []),
    ...(mesh
      ? [{ wish: "pod-stack" as const, because: "a service mesh is asked for (sidecar.istio.io/inject)" }]
      : []),
  ];
}
