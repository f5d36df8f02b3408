/** The bindings that podtap wires. A new one is a folder, a line here, and its admission in admission.ts. */
import { askingKeys } from "../api/binding-admission.ts";
import type { InterfaceSpec } from "../api/types.ts";
import type { Binding, BindingRegistry } from "../plan/binding.ts";
import { KNOWN_BINDINGS } from "./admission.ts";
import { bridge } from "./bridge/index.ts";
import { macvtap } from "./macvtap/index.ts";
import { managedTap } from "./managed-tap/index.ts";
import { masquerade } from "./masquerade/index.ts";
import { passt } from "./passt/index.ts";
import { slirp } from "./slirp/index.ts";
import { tcRedirect } from "./tc-redirect/index.ts";

const bindings: readonly Binding[] = [masquerade, bridge, managedTap, macvtap, tcRedirect, passt, slirp];

/** A binding's own spelling says which admission is its. */
const wired = bindings.flatMap((binding) =>
  KNOWN_BINDINGS.filter((known) => askingKeys(known, { name: "", ...binding.spelling }).length > 0).map(
    (admission) => ({ admission, binding }),
  ),
);

export const registry: BindingRegistry = {
  all: bindings,
  of: (nic: InterfaceSpec) => wired.find(({ admission }) => askingKeys(admission, nic).length > 0)?.binding,
};

/** Method keys, as `Settings` has them. */
export const WIRED_METHODS: readonly string[] = wired.map(({ admission }) => admission.method);
