/**
 * Loading the network and being claimed by a service worker, one after the other.
 *
 * Firefox (153): in a frame that a service worker claims after the network's worker has started and before that has
 * imported its modules, the import never ends. Locks reach every page and frame of the site's origin.
 */

const NAME = "wavepaint loads or is claimed";

/** Load with nothing being claimed meanwhile. */
export async function load<T>(task: () => Promise<T>): Promise<T> {
  return withLock({ mode: "shared" }, task);
}

/**
 * Claim with nothing being loaded meanwhile; false where something is, and nothing has been done. It does not queue: a
 * load that never ends would hold up all others behind it.
 */
export async function claim(task: () => Promise<void>): Promise<boolean> {
  return withLock({ ifAvailable: true }, async (held) => {
    if (held) await task();
    return held;
  });
}

/** Run a task, which gets whether the lock is held; without any lock where the browser has none, or refuses them. */
async function withLock<T>(options: LockOptions, task: (held: boolean) => Promise<T>): Promise<T> {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks;
  if (!locks) return task(true);
  let begun = false;
  try {
    return await locks.request(NAME, options, (lock) => {
      begun = true;
      return task(lock !== null);
    });
  } catch (error) {
    // Where a visitor blocks what sites store, locks are blocked, too.
    if (begun) throw error;
    return task(true);
  }
}
