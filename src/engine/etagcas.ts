import type { Cas, CasOutcome, CasToken, CasValue } from './cas.ts'
import type { ObjectStore } from './objectstore.ts'

/** One object that is replaced by If-Match on its etag: where the store honours that, one request reads it and one writes it. */
export class EtagCas implements Cas {
  private readonly store: ObjectStore
  private readonly key: string

  constructor(store: ObjectStore, key: string) {
    this.store = store
    this.key = key
  }

  async read(): Promise<CasValue | undefined> {
    const object = await this.store.get(this.key)
    return object && { value: object.bytes, token: object.etag }
  }

  async write(value: Uint8Array, token: CasToken | undefined): Promise<CasOutcome> {
    const { outcome } = await this.store.put(this.key, value, token === undefined ? { ifNoneMatch: true } : { ifMatch: token })
    return outcome
  }

  /** Each value takes the place of the one before. */
  async forgetEarlier(): Promise<void> {}
}
