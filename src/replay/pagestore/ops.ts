import * as v from 'valibot'
import { count, parseJson, pathBelow, type Persisted, unsigned32, validate } from '../../common/validate.ts'

/**
 * What a flush does to the folder: in memory until it is journalled, then applied in place. All paths are relative to the store's
 * folder. Applying a whole list again, from any point at which an earlier attempt stopped, leaves the same files.
 */
export type StoreOp =
  | { op: 'remove-directory'; path: string }
  | { op: 'make-directory'; path: string }
  /** `from` takes the place of `path`; if it is gone, that has happened already. */
  | { op: 'adopt-directory'; path: string; from: string }
  /** Every segment. */
  | { op: 'remove-fork'; path: string }
  /** The first `keep` blocks stay, zero blocks follow up to `blocks`; makes the files. */
  | { op: 'resize-fork'; path: string; keep: number; blocks: number }
  /** The data is pages from block `first` on, all in one segment file. */
  | { op: 'write-pages'; path: string; first: number }
  /** The data is the whole file, replaced at once. */
  | { op: 'write-file'; path: string }
  /** The data goes to byte `at`; a file shorter than that gets zeros between. */
  | { op: 'write-part'; path: string; at: number }
  | { op: 'remove-file'; path: string }

/** Takes operations in order; `data` is valid during the call. */
export type OpSink = (op: StoreOp, data?: Uint8Array) => void

const PATH = pathBelow('the page store')

const OP = v.variant('op', [
  v.strictObject({ op: v.picklist(['remove-directory', 'make-directory', 'remove-fork', 'write-file', 'remove-file']), path: PATH }),
  v.strictObject({ op: v.literal('adopt-directory'), path: PATH, from: PATH }),
  v.strictObject({ op: v.literal('resize-fork'), path: PATH, keep: unsigned32, blocks: unsigned32 }),
  v.strictObject({ op: v.literal('write-pages'), path: PATH, first: unsigned32 }),
  v.strictObject({ op: v.literal('write-part'), path: PATH, at: count }),
])

const PERSISTED: Persisted = { code: 'pagestore.journal', name: 'an operation of the journal' }

/** @throws CorruptionError pagestore.journal */
export function parseOp(json: string): StoreOp {
  return validate(OP, parseJson(json, PERSISTED), PERSISTED)
}
