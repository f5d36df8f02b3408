/** What a CNI network tells planning about the NIC that it makes. Pure. */
import type { NetworkAttachment } from "../../../plan/binding.ts";
import type { CniNetwork } from "./conflist.ts";

/** Keys under which the standard plugins name the host's link that they build on. */
const LOWER_LINK_KEYS = ["master", "device", "bridge"] as const;

export function networkAttachment({ plugins }: CniNetwork): NetworkAttachment {
  const [first] = plugins;
  const master = LOWER_LINK_KEYS.map((key) => first[key]).find(
    (value): value is string => typeof value === "string" && value !== "",
  );
  const { mode } = first;
  return {
    plugins: plugins.map(({ type }) => type),
    ...(master !== undefined && { master }),
    ...(typeof mode === "string" && mode !== "" && { mode }),
  };
}
