import { CorruptionError } from '../common/errors.ts'
import { decodePage, type Page, pageText } from '../lake/state/page.ts'
import type { Stage, StagedObject, WantedPage } from '../lake/state/stage.ts'
import type { Compressor } from '../parquet/compressor.ts'
import type { ObjectStore, StoredObject } from './objectstore.ts'

/** Bytes of JSON of pages that a reader keeps: they never change. */
const KEPT_BYTES_MAX = 16 << 20
/** How many times a range is read if the store gives fewer bytes than were asked for. */
const READS_MAX = 4

/** Runs stages of states over a store: gets the pages they want. */
export class PageReader {
  private readonly store: ObjectStore
  private readonly compressor: Compressor
  /** The last used one last. */
  private readonly kept = new Map<string, Page>()
  private keptBytes = 0
  private readonly sizes = new Map<string, number>()

  constructor(store: ObjectStore, compressor: Compressor) {
    this.store = store
    this.compressor = compressor
  }

  /** @throws CorruptionError lake.page for damaged pages, lake.missing-object */
  async run<T>(stage: Stage<T>): Promise<T> {
    let step = stage.next()
    while (!step.done) step = stage.next(await Promise.all(step.value.map((wanted) => this.page(wanted))))
    return step.value
  }

  private async page(wanted: WantedPage): Promise<Page> {
    const { ref, tree, level } = wanted
    const id = `${ref.key}:${ref.start}`
    const kept = this.kept.get(id)
    if (kept !== undefined) {
      this.keep(id, kept, this.sizes.get(id)!)
      return kept
    }
    const text = pageText(await this.fetch(wanted), ref, this.compressor)
    const page = decodePage(text, ref, { tree, ...level !== undefined && { level } })
    this.keep(id, page, text.length)
    return page
  }

  private async fetch({ ref: { key, start, length } }: WantedPage): Promise<Uint8Array> {
    return await readPiece(this.store, { key, start, length })
  }

  private keep(id: string, page: Page, bytes: number): void {
    if (this.kept.delete(id)) this.keptBytes -= this.sizes.get(id)!
    this.kept.set(id, page)
    this.sizes.set(id, bytes)
    this.keptBytes += bytes
    for (const oldest of this.kept.keys()) {
      if (this.keptBytes <= KEPT_BYTES_MAX) break
      this.kept.delete(oldest)
      this.keptBytes -= this.sizes.get(oldest)!
      this.sizes.delete(oldest)
    }
  }
}

/** Code of the error for an object that the lake refers to and the store does not have. */
export const MISSING_OBJECT = 'lake.missing-object'

/**
 * Bytes of a piece of an object: fewer than its length only where the object ends before, or where the store gives fewer again and again.
 * @throws CorruptionError lake.missing-object; EnvironmentError store.*
 */
export async function readPiece(store: ObjectStore, { key, start, length }: { key: string; start: number; length: number }): Promise<Uint8Array> {
  let bytes = new Uint8Array(0)
  for (let reads = 0; reads < READS_MAX && bytes.length !== length; reads++) {
    const found = await store.get(key, { start, end: start + length })
    if (found === undefined) throw missingObject(store, key)
    bytes = new Uint8Array(found.bytes)
  }
  return bytes
}

/** The last bytes of an object, all of a shorter one; undefined if it is not there. Fewer only where the store gives fewer again and again. */
export async function readTail(store: ObjectStore, key: string, last: number): Promise<StoredObject | undefined> {
  for (let reads = 1; ; reads++) {
    const found = await store.get(key, { last })
    if (found === undefined || found.bytes.length === Math.min(last, found.size) || reads === READS_MAX) return found
  }
}

/** The error for it. */
export function missingObject(store: Pick<ObjectStore, 'url'>, key: string): CorruptionError {
  return new CorruptionError(MISSING_OBJECT,
    `the lake refers to ${key}, which is not in ${store.url}: it was deleted by hand, or it belongs to a state that is no longer retained`)
}

/** Puts objects under new names: nothing refers to them yet. */
export async function putObjects(store: ObjectStore, objects: readonly StagedObject[]): Promise<void> {
  await Promise.all(objects.map(({ key, bytes }) => store.put(key, bytes)))
}
