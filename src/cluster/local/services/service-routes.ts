/**
 * A route to Service addresses for the host's own programs: without one, a host that has no default route of that
 * family cannot even begin to connect, for DNAT comes after the first routing decision. It leads to the bridge; what
 * has no Service is rejected before it gets there.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { PodtapError } from "../../../base/errors.ts";
import { type Cidr, cidrNetwork, cidrPrefix, familyOf } from "../../../base/ip.ts";
import { isLinkName } from "../../../base/names.ts";
import type { ObservedRoute } from "../../../plan/observed.ts";

const run = promisify(execFile);

/** Those that are not there yet. Pure. */
export function missingRoutes(
  ranges: readonly Cidr[],
  bridge: string,
  routes: readonly ObservedRoute[],
): readonly Cidr[] {
  return ranges
    .map((range) => `${cidrNetwork(range)}/${cidrPrefix(range)}` as Cidr)
    .filter((range) => !routes.some((route) => route.destination === range && route.link === bridge));
}

/** Once the bridge exists. The routes go with it. */
export async function addServiceRoutes(missing: readonly Cidr[], bridge: string): Promise<void> {
  if (!isLinkName(bridge)) throw new RangeError(`not a link name: ${JSON.stringify(bridge)}`);
  for (const range of missing) {
    const family = familyOf(range) === 4 ? "-4" : "-6";
    await run("ip", [family, "route", "replace", range, "dev", bridge]).catch((thrown: unknown) => {
      throw new PodtapError({
        code: "PT-SERVICE-3",
        message: `cannot route Services ${range} to ${bridge}: ${(thrown as { stderr?: string }).stderr?.trim() ?? thrown}`,
        hint: `is ${bridge} there and up? The first pod of podtap's own network makes it`,
        retry: "soon",
        cause: thrown,
      });
    });
  }
}
