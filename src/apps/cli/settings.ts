/** What manifests are judged by on this side of the socket: podtap's defaults and the bindings it is built with. */
import { DEFAULT_SETTINGS, type Settings } from "../../api/settings.ts";
import { registry } from "../../bindings/index.ts";
import { VERSION } from "../version.ts";

export const SETTINGS: Settings = {
  ...DEFAULT_SETTINGS,
  bindings: registry.all.map(({ bindingName }) => bindingName),
  release: `podtap ${VERSION}`,
};
