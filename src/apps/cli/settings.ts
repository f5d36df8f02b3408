/** What manifests are judged by on this side of the socket: podtap's defaults and the bindings it is built with. */
import type { Settings } from "../../api/settings.ts";
import { DEFAULT_SETTINGS } from "../../bindings/settings.ts";
import { VERSION } from "../version.ts";

export const SETTINGS: Settings = {
  ...DEFAULT_SETTINGS,
  release: `podtap ${VERSION}`,
};
