/**
 * Networks that the administrator configured as files: the pod network is the first of a folder, as kubelet's
 * runtimes have it; a NAD without a configuration names one.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../../base/errors.ts";
import { type CniNetwork, parseCniNetwork } from "./conflist.ts";

/** Undefined when the folder has no configuration or is not there: podtap's own network is used then. */
export function loadConflist(folder: string): CniNetwork | undefined {
  const [first] = configFiles(folder);
  return first === undefined ? undefined : parseCniNetwork(readFileSync(first, "utf8"), first);
}

export interface NamedConflist {
  readonly network?: CniNetwork;
  /** Files that could not be read as a configuration, and why. */
  readonly broken: readonly string[];
}

/** The network of this name, in whichever file; one that is broken does not hide the others. */
export function findConflist(folder: string, name: string): NamedConflist {
  const broken: string[] = [];
  for (const path of configFiles(folder)) {
    try {
      const network = parseCniNetwork(readFileSync(path, "utf8"), path);
      if (network.name === name) return { network, broken };
    } catch (thrown) {
      broken.push(messageOf(thrown));
    }
  }
  return { broken };
}

function configFiles(folder: string): readonly string[] {
  return listFolder(folder)
    .filter((name) => /\.(conflist|conf|json)$/.test(name))
    .toSorted()
    .map((name) => join(folder, name));
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    if ((thrown as { code?: string }).code === "ENOENT") return [];
    throw thrown;
  }
}
