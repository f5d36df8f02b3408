/**
 * YAML output, in a file of its own: loaded only where it is asked for, and by a name that bundling keeps (the
 * library is CommonJS, whose names a bundled `import()` of it would lose).
 */
import { stringify } from "yaml";

export function toYaml(value: unknown): string {
  return stringify(value);
}
