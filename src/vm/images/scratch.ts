/**
 * Folders of work under way, `<root>/tmp/<pid>-<random>`: each removed when its work ends, and those of processes
 * that are gone by whoever comes next.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

export async function withScratch<T>(root: string, work: (folder: string) => Promise<T>): Promise<T> {
  const parent = join(root, "tmp");
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(parent, `${process.pid}-`));
  chmodSync(folder, 0o700);
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function sweepScratch(root: string): void {
  const parent = join(root, "tmp");
  if (!existsSync(parent)) return;
  for (const name of readdirSync(parent)) {
    const pid = Number(/^(\d+)-/.exec(name)?.[1] ?? 0);
    if (pid !== process.pid && !existsSync(`/proc/${pid}`))
      rmSync(join(parent, name), { recursive: true, force: true });
  }
}
