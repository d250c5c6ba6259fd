/** True the first time that a key is asked for in this tab; false afterwards, and where there is no storage. */
export function recallOnce(key: string): boolean {
  try {
    const name = `sga-faces.${key}`;
    if (sessionStorage.getItem(name)) return false;
    sessionStorage.setItem(name, "1");
    return true;
  } catch {
    return false;
  }
}
