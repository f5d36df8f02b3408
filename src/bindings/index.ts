/** The bindings that podtap has. A new one is a folder and a line here. */
import type { InterfaceSpec } from "../api/types.ts";
import type { Binding, BindingRegistry } from "../plan/binding.ts";
import { masquerade } from "./masquerade/index.ts";

const bindings: readonly Binding[] = [masquerade];

export const registry: BindingRegistry = {
  all: bindings,
  of: (nic: InterfaceSpec) => bindings.find(({ bindingName }) => bindingName in nic),
};
