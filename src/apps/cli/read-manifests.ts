/**
 * Manifests from where people keep them: files, folders (one level, as kubectl does), `-` for stdin. URLs are not
 * fetched: what runs on this box is what was read on this box.
 */
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { usageError } from "./failure.ts";

export interface ManifestFile {
  /** As the user wrote it; `stdin` for `-`. */
  readonly name: string;
  readonly text: string;
}

const MANIFEST_NAME = /\.(ya?ml|json)$/i;

/** For commands that take files and names alike: what is a file is a file, everything else is a name. */
export function isManifestFile(word: string): boolean {
  return word === "-" || MANIFEST_NAME.test(word) || word.includes("://") || existsSync(word);
}

export async function readManifests(sources: readonly string[]): Promise<readonly ManifestFile[]> {
  if (sources.length === 0) {
    throw usageError("no manifest given", "name one: podtap COMMAND vm.yaml, or -f FILE; - reads stdin");
  }
  const files: ManifestFile[] = [];
  for (const source of sources) files.push(...(await readSource(source)));
  return files;
}

async function readSource(source: string): Promise<readonly ManifestFile[]> {
  if (source === "-") return [{ name: "stdin", text: await text(process.stdin) }];
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) {
    throw usageError(
      `${source} is a URL, and podtap reads files`,
      `fetch and read it first: curl -fsSLO ${source}`,
    );
  }
  try {
    if (!(await stat(source)).isDirectory()) return [{ name: source, text: await readFile(source, "utf8") }];
    const names = (await readdir(source)).filter((name) => MANIFEST_NAME.test(name)).toSorted();
    if (names.length === 0) throw usageError(`${source} has no .yaml, .yml or .json file`);
    return await Promise.all(
      names.map(async (name) => ({
        name: join(source, name),
        text: await readFile(join(source, name), "utf8"),
      })),
    );
  } catch (thrown) {
    if (thrown instanceof PodtapError) throw thrown;
    throw new PodtapError({
      code: "PT-USAGE-2",
      message: `cannot read ${source}: ${reasonOf(thrown)}`,
      hint: "check the path; - reads stdin",
      cause: thrown,
    });
  }
}

function reasonOf(thrown: unknown): string {
  const code = (thrown as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return "no such file";
  if (code === "EACCES") return "permission denied";
  return messageOf(thrown);
}
