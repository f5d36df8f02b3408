/** The pod network that the administrator configured: the first file of a folder, as kubelet's runtimes do. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type CniNetwork, parseCniNetwork } from "./conflist.ts";

/** Undefined when the folder has no configuration or is not there: podtap's own network is used then. */
export function loadConflist(folder: string): CniNetwork | undefined {
  const [first] = listFolder(folder)
    .filter((name) => /\.(conflist|conf|json)$/.test(name))
    .toSorted();
  if (first === undefined) return undefined;
  const path = join(folder, first);
  return parseCniNetwork(readFileSync(path, "utf8"), path);
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    if ((thrown as { code?: string }).code === "ENOENT") return [];
    throw thrown;
  }
}
