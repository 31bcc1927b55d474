/**
 * Loading the network and being claimed by a service worker, one after the other.
 *
 * Firefox (153): in a frame that a service worker claims after the network's worker has started and before that has
 * imported its modules, the import never ends. Locks reach every page and frame of the site's origin.
 */

const NAME = "wavepaint loads or is claimed";

/** Locks of the origin; none in insecure contexts, which have no service workers either, and in old browsers. */
const locks = (): LockManager | undefined => (globalThis.navigator as Navigator | undefined)?.locks;

/** Load with nothing being claimed meanwhile. */
export async function load<T>(task: () => Promise<T>): Promise<T> {
  const manager = locks();
  return manager ? manager.request(NAME, { mode: "shared" }, task) : task();
}

/**
 * Claim with nothing being loaded meanwhile; false where something is, and nothing has been done. It does not queue: a
 * load that never ends would hold up all others behind it.
 */
export async function claim(task: () => Promise<void>): Promise<boolean> {
  const manager = locks();
  if (!manager) {
    await task();
    return true;
  }
  return manager.request(NAME, { ifAvailable: true }, async (lock) => {
    if (lock) await task();
    return lock !== null;
  });
}
