/** Paths inside container images: absolute, and without a way out. KubeVirt's texts (`validatePath`). */
import { errorAt, type Finding } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";

export function absolutePathProblem(path: string, field: Path, at: Path): readonly Finding[] {
  const code = "PT-EARLY-36";
  const named = formatPath(field);
  const hint = "Write the file's path inside the image, as /disk/disk.img.";
  if (path === "/")
    return [errorAt({ code, at, field: named, message: `${named} must not point to root`, hint })];
  const parts = path.replace(/\/$/, "").split("/");
  const clean =
    parts[0] === "" && parts.slice(1).every((part) => part !== "" && part !== "." && part !== "..");
  if (clean) return [];
  const message = `${named} must be an absolute path to a file without relative components`;
  return [errorAt({ code, at, field: named, message, hint })];
}
