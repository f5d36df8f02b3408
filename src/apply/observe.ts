/** Reads of a namespace what a plan depends on. */
import type { Observed } from "../plan/observed.ts";
import type { Kernel } from "./ports.ts";

/** What our nft tables' names begin with. */
export const TABLE_PREFIX = "podtap";

export function observe(kernel: Kernel, sysctls: readonly string[]): Observed {
  return {
    links: kernel.readLinks(),
    routes: kernel.readRoutes(),
    sysctls: Object.fromEntries(sysctls.map((key) => [key, kernel.readSysctl(key)])),
    nft: kernel.readNftTables(TABLE_PREFIX),
  };
}
