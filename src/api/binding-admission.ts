/**
 * What admission, defaults and field checks must know of a binding, as a value: the folders in `bindings/` each
 * have one, and `Settings.known` lists them all, so that nothing here knows a binding by name. Traits say what a
 * trait can say; `rules` hold what nothing general does.
 */
import type { Code } from "../base/problem.ts";
import type { Finding } from "./finding.ts";
import type { Path } from "./path.ts";
import type { InterfaceSpec, NetworkSpec } from "./types.ts";

/** An interface of the manifest, where it stands, and its network. */
export interface Nic {
  readonly iface: InterfaceSpec;
  readonly at: Path;
  /** The network of the same name; of several, the last, as in KubeVirt. */
  readonly network: NetworkSpec | undefined;
}

/** A spelling that KubeVirt dropped in v1.3. podtap takes it for today's, unless told to be strict. */
export interface OldSpelling {
  /** Key of the interface: `passt`. */
  readonly key: string;
  readonly code: Code;
  /** KubeVirt's answer on create. */
  readonly message: string;
  /** The gate it was behind; naming it beside the old key is an error of its own (C4). */
  readonly gate?: string;
}

/** A field of the method object that is podtap's own; KubeVirt's method objects have none. */
export interface OwnField {
  /** In the notation of field-table.ts: `string`. */
  readonly type: string;
  /** What to write for KubeVirt: the hint when `compat: strict` refuses the field. */
  readonly instead: string;
}

export type NetworkKind = "pod" | "multus";

export interface BindingAdmission {
  /** Method key: its key in an interface, or its `binding.name`. What `Settings` calls it. */
  readonly method: string;
  /** `key`: today's spelling is `method: {}`; `name`: it is `binding: {name: method}`. */
  readonly spelledBy: "key" | "name";
  /** Further `binding.name`s that mean it. */
  readonly names?: readonly string[];
  readonly old?: OldSpelling;
  readonly ownFields?: Readonly<Record<string, OwnField>>;
  /** As KubeVirt's messages begin: `Masquerade interface only implemented with …`. */
  readonly title: string;
  readonly networks: NetworkKind | "any";
  /** Where KubeVirt, and so `compat: strict`, lets it be, if that is less. */
  readonly strictNetworks?: NetworkKind;
  /** Of its refusal on another network; default PT-EARLY-50, podtap's own. */
  readonly networkCode?: Code;
  /** KubeVirt's feature gate in front of the method key. */
  readonly gate?: { readonly name: string; readonly onByDefault: boolean; readonly code: Code };
  /** States beside the empty one. */
  readonly states: readonly ("up" | "down" | "absent")[];
  /** `allow-list`: what is not declared is not let in. */
  readonly ports: "allow-list" | "informative";
  /** May `portRanges` be declared? `strict`: also where KubeVirt decides. */
  readonly portRanges: "no" | "podtap" | "strict";
  /** Does podtap's own DHCP answer the guest, so that `dhcpOptions` mean something? */
  readonly dhcpOptions: boolean;
  /** May its network be a `resourceClaim`? */
  readonly resourceClaims: boolean;
  /** The guest gets a network of its own, `networks[].pod.vmNetworkCIDR`; `field`: own field that names it, too. */
  readonly privateNetwork?: { readonly field?: string };
  /** A MAC address that the wiring needs for itself, in KubeVirt's spelling. */
  readonly reservedMac?: string;
  /** Asked last of the rules about the NIC's method. */
  readonly rules?: readonly ((nic: Nic) => readonly Finding[])[];
}

/** How to ask for it, in text: `masquerade: {}`. */
export function spellingOf({ method, spelledBy }: BindingAdmission): string {
  return spelledBy === "key" ? `${method}: {}` : `binding: {name: ${method}}`;
}

/** How to ask for it, as keys of an interface. */
export function methodFields({ method, spelledBy }: BindingAdmission): Readonly<Record<string, object>> {
  return spelledBy === "key" ? { [method]: {} } : { binding: { name: method } };
}

/** The keys of an interface by which it asks for this binding: none, one; two are an error that rule 11 names. */
export function askingKeys(binding: BindingAdmission, iface: InterfaceSpec): readonly string[] {
  const { method, spelledBy, old } = binding;
  const byKey = [...(spelledBy === "key" ? [method] : []), ...(old === undefined ? [] : [old.key])];
  const named = iface.binding !== undefined && namesOf(binding).includes(iface.binding.name);
  return [...byKey.filter((key) => iface[key] !== undefined), ...(named ? ["binding"] : [])];
}

export function namesOf({ method, spelledBy, names = [] }: BindingAdmission): readonly string[] {
  return spelledBy === "name" ? [method, ...names] : names;
}

/** A field of the method object, `masquerade.cidr` for one; of the shape that field-table.ts holds it to. */
export function methodField(iface: InterfaceSpec, method: string, field: string): unknown {
  const fields = iface[method];
  return typeof fields === "object" && fields !== null && Object.hasOwn(fields, field)
    ? (fields as Readonly<Record<string, unknown>>)[field]
    : undefined;
}

/** Where the private network stands beside KubeVirt's fields, and what is written there. */
export function ownPrivateNetwork(
  binding: BindingAdmission,
  iface: InterfaceSpec,
): { readonly path: Path; readonly text: string } | undefined {
  const field = binding.privateNetwork?.field;
  if (field === undefined) return undefined;
  const text = methodField(iface, binding.method, field);
  return typeof text === "string" && text !== "" ? { path: [binding.method, field], text } : undefined;
}
