/** What a CNI network tells planning about the NIC that it makes. Pure. */
import type { NetworkAttachment } from "../../../plan/binding.ts";
import type { ObservedLink } from "../../../plan/observed.ts";
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

/** With what of the host's links carries least: a bridge passes on what fits the port it leaves by. */
export function onHostsLinks(
  attachment: NetworkAttachment,
  links: readonly Pick<ObservedLink, "name" | "mtu" | "master">[],
): NetworkAttachment {
  const { master } = attachment;
  if (master === undefined) return attachment;
  const [narrowest] = links
    .filter((link) => link.master === master || link.name === master)
    // A port before the bridge, whose MTU is its ports' least unless somebody set it.
    .toSorted((a, b) => a.mtu - b.mtu || Number(a.name === master) - Number(b.name === master));
  return narrowest === undefined
    ? attachment
    : { ...attachment, narrowest: { link: narrowest.name, mtu: narrowest.mtu } };
}
