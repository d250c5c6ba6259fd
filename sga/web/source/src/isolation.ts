/** Cross-origin isolation, which threads need: where the host does not send its headers, a service worker adds them. */
import { recallOnce } from "./ui/session";

/** Reload once under a service worker that isolates the page. True: the page is about to reload. */
export async function isolate(): Promise<boolean> {
  if (self.crossOriginIsolated || !self.isSecureContext || !("serviceWorker" in navigator) || !recallOnce("isolating"))
    return false;
  try {
    await navigator.serviceWorker.register("./sw.js", { scope: "./" });
    await Promise.race([navigator.serviceWorker.ready, new Promise((_, reject) => setTimeout(reject, 3000))]);
    location.reload();
    return true;
  } catch {
    return false;
  }
}

/** How many threads a session gets: one core stays with the page and its visitor. */
export function threads(): number {
  if (!self.crossOriginIsolated) return 1;
  const asked = Number(new URLSearchParams(location.search).get("threads")); // to measure with
  return asked >= 1 ? Math.min(asked, 16) : Math.min(Math.max(navigator.hardwareConcurrency - 1, 1), 4);
}
