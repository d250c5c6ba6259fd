/** What the page remembers on this device: the faces that were chosen, and settings. Without storage it remembers nothing. */
import { type Face } from "../engine/protocol";

const NAME = "sga-faces";
const STORE = "faces";
const MOST = 96;

/** A face that was chosen, by the fragment of its link. */
interface Kept {
  fragment: string;
  model: string;
  time: number;
  face: Face;
}

export class History {
  private constructor(
    private readonly database: IDBDatabase | null,
    private readonly model: string,
  ) {}

  static async open(model: string): Promise<History> {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(STORE, { keyPath: "fragment" }).createIndex("time", "time");
      };
      return new History(await done(request), model);
    } catch {
      return new History(null, model);
    }
  }

  /** The faces of this model, newest first. */
  async all(): Promise<Face[]> {
    const kept = await this.in("readonly", (store) => store.index("time").getAll() as IDBRequest<Kept[]>);
    return (kept ?? [])
      .filter((one) => one.model === this.model)
      .reverse()
      .map((one) => one.face);
  }

  async add(fragment: string, face: Face): Promise<void> {
    const kept: Kept = { fragment, model: this.model, time: Date.now(), face };
    await this.in("readwrite", (store) => store.put(kept));
    const keys = (await this.in("readonly", (store) => store.index("time").getAllKeys())) ?? [];
    for (const key of keys.slice(0, Math.max(0, keys.length - MOST))) await this.in("readwrite", (store) => store.delete(key));
  }

  async clear(): Promise<void> {
    await this.in("readwrite", (store) => store.clear());
  }

  private async in<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | null> {
    try {
      return this.database && (await done(act(this.database.transaction(STORE, mode).objectStore(STORE))));
    } catch {
      return null;
    }
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("storage"));
  });
}

/** A setting, or null where there is none or no storage. */
export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`${NAME}.${key}`);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`${NAME}.${key}`, value);
  } catch {
    // Private windows may refuse: the setting lasts as long as the page.
  }
}
