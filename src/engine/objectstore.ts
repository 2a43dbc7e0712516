import type { RequestKind, StoreUse } from '../lake/state/madeby.ts'

/** Bytes of an object: from start to before end, or so many of the last. What lies behind the end of the object is left out. */
export type ByteRange = { readonly start: number, readonly end: number } | { readonly last: number }

export interface ObjectInfo {
  readonly key: string
  /** Bytes of the whole object. */
  readonly size: number
  /** Stands for the content, in the store's own words. */
  readonly etag: string
  /** Milliseconds since 1970 by the store's clock: for reports. */
  readonly modified: number
}

export interface StoredObject extends ObjectInfo {
  /** The bytes of the range that was asked for. */
  readonly bytes: Uint8Array
}

/** At most one of the two. */
export interface PutOptions {
  /** Write only if no object has the key. */
  ifNoneMatch?: true | undefined
  /** Write only if the object of this key has this etag. */
  ifMatch?: string | undefined
}

/**
 * `written`: the object is certainly written. `refused`: the condition did not hold, so another writer's object is there. `unknown`: no answer came,
 * or an answer that does not tell; the object may be written already, or may be written later.
 */
export type PutOutcome =
  | { readonly outcome: 'written', readonly etag: string }
  | { readonly outcome: 'refused' }
  | { readonly outcome: 'unknown', readonly reason: string }

/** One object, piece by piece. No reader sees a part of it. */
export interface ObjectUpload {
  /** The bytes are taken before the promise is fulfilled: the caller may use their memory again. */
  write(bytes: Uint8Array): Promise<void>
  finish(): Promise<{ etag: string, size: number }>
  /** Gives the upload up and leaves no object. After finish, and the second time, it does nothing. */
  abort(): Promise<void>
}

/** What an upload takes that has not ended: no object, and no reader sees it. */
export interface Leftover {
  /** Key of the object that it was to become; undefined where the store does not know it. */
  readonly key: string | undefined
  /** Milliseconds since 1970 by the store's clock. */
  readonly started: number
  /** Whether the process that began it lives; undefined where the store cannot tell. */
  readonly process: 'alive' | 'gone' | undefined
  /** What is gone already is no error. A process that goes on with the upload gets EnvironmentError `store.upload-gone`. */
  remove(): Promise<void>
}

/** What a store was asked for since it was opened. */
export interface StoreCounters {
  /** Requests that were sent, those of another attempt too; of `upload` one for each part and for its begin and end. */
  readonly requests: Readonly<Record<RequestKind, number>>
  readonly bytesUp: number
  readonly bytesDown: number
  readonly retries: number
  /** Counts what another thread or process asked of the same store for this one's work. */
  add(use: StoreUse): void
}

/**
 * Immutable objects, and one mutable HEAD for each branch, below one prefix. {@link checkKey} says what a key is. No key is also a prefix of others: a
 * folder cannot hold both. Every method throws EnvironmentError `store.*` when the store cannot be reached or refuses, in the end.
 */
export interface ObjectStore {
  /** For people: `s3://bucket/prefix`, a path, `memory:`. */
  readonly url: string
  readonly counters: StoreCounters
  /** @returns undefined where no object has the key */
  get(key: string, range?: ByteRange): Promise<StoredObject | undefined>
  head(key: string): Promise<ObjectInfo | undefined>
  /**
   * One request. An unconditional one is sent again until it succeeds; one with a condition never is.
   * @throws UnsupportedError store.condition if the store knows no such condition
   */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<PutOutcome>
  /** An object of any size, without a condition. */
  upload(key: string): ObjectUpload
  /** Deletes the objects. A key without an object is no error. */
  delete(keys: readonly string[]): Promise<void>
  /**
   * Each object once, in an order that differs between stores: S3 sorts the bytes of keys, SeaweedFS the names in each folder. A caller that needs an
   * order sorts.
   * @param prefix of the text of the keys
   * @throws EnvironmentError store.inconsistent if the pages of a list do not go on
   */
  list(prefix: string): AsyncIterable<ObjectInfo>
  /** Uploads that have not ended, those of living processes too; where they are very many, perhaps not all. */
  leftovers(): AsyncIterable<Leftover>
}
