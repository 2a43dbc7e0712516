import * as v from 'valibot'
import { count, matching, type Schema } from '../../common/validate.ts'

/** Kinds of requests to an object store. */
export type RequestKind = 'get' | 'head' | 'put' | 'upload' | 'delete' | 'list'

/** What was asked of a store. */
export interface StoreUse {
  /** Requests that were sent, those of another attempt too; a kind of which there was none may be absent. */
  readonly requests: Readonly<Partial<Record<RequestKind, number>>>
  readonly bytesUp: number
  readonly bytesDown: number
}

/** What a change is, for people. */
export type ChangeKind = 'layers' | 'merge' | 'status' | 'published'

/**
 * What made a state. Its writer says what it had asked of the store until it wrote HEAD, since its commit before or since it opened the store: to read
 * the lake, to write data and pages of the state. The write of HEAD itself is not in it, nor what processes asked that were killed.
 */
export interface MadeBy extends StoreUse {
  /** Each {@link ChangeKind} of its changes, or `other`, joined by `+`. */
  readonly kind: string
}

const times = v.exactOptional(count)
const REQUESTS: Schema<StoreUse['requests']> = v.strictObject(
  { get: times, head: times, put: times, upload: times, delete: times, list: times } satisfies Record<RequestKind, typeof times>)

/** The members of a {@link StoreUse}. */
const STORE_USE = { requests: REQUESTS, bytesUp: count, bytesDown: count }
export const MADE_BY: Schema<MadeBy> = v.strictObject({
  kind: matching(/^[a-z]{1,20}(?:\+[a-z]{1,20}){0,7}$/, 'words of [a-z], joined by +'), ...STORE_USE,
})
/** The check of what a worker says that it asked of the store. */
export const STORE_USE_ENTRY: Schema<StoreUse> = v.strictObject(STORE_USE)

/** What made a state in two commits, the second one of which amended it. */
export function madeByBoth(first: MadeBy | undefined, second: MadeBy): MadeBy {
  if (first === undefined) return second
  const kinds = new Set([...first.kind.split('+'), ...second.kind.split('+')])
  const requests = new Map(Object.entries(first.requests))
  for (const [kind, times] of Object.entries(second.requests)) requests.set(kind, (requests.get(kind) ?? 0) + times)
  return {
    kind: [...kinds].sort().join('+'), requests: Object.fromEntries(requests),
    bytesUp: first.bytesUp + second.bytesUp, bytesDown: first.bytesDown + second.bytesDown,
  }
}
