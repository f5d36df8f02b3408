/**
 * YAML output, in a file of its own: loaded only where it is asked for, and by a name that bundling keeps (the
 * library is CommonJS, whose names a bundled `import()` of it would lose).
 */
import { stringify } from "yaml";

/** Long lines stay whole, and equal objects are written out each time: people read and edit this. */
export function toYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
