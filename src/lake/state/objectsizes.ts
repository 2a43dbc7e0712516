import type { EntryKey } from './entries.ts'
import { parseFile } from './files.ts'
import { parseRelation, type StateFile } from './relationlayers.ts'

/** How many bytes an object has by an entry that refers to it: so many, or as many at least where it refers to a piece. */
export interface ObjectSize {
  readonly key: string
  readonly bytes: number
  readonly isWhole: boolean
  /** Its own end says where its pages end (src/lake/pack.ts). */
  readonly isPack?: true
}

/** What an entry says of sizes; nothing for what this version of ltap does not read there. */
export function objectSizes(entry: EntryKey, value: unknown): ObjectSize[] {
  if (value === undefined || entry.tree === 'status') return []
  if (entry.tree === 'files') {
    const file = parseFile(value, entry)
    return file.kind === 'file' && file.content !== undefined ? pieceSize(file.content.key, file.content) : []
  }
  if (entry.tree !== 'layers') return describedSize(value)
  const { info, layers } = parseRelation(value, entry)
  return [...describedSize(info), ...layers.flatMap(({ files }) => files.flatMap(fileSizes))]
}

/** What is said of the object that has the description of a table. */
function describedSize(value: unknown): ObjectSize[] {
  const { objects, description } = (value ?? {}) as { objects?: readonly string[]; description?: object }
  return objects?.length === 1 && description !== undefined ? pieceSize(objects[0]!, description) : []
}

function pieceSize(key: string, { start, length }: { start?: unknown; length?: unknown }): ObjectSize[] {
  return typeof start === 'number' && typeof length === 'number' ? [{ key, bytes: start + length, isWhole: false }] : []
}

/** A file of a layer in either form (src/lake/layer.ts), and the object beside it. */
function fileSizes({ key, objects = [], bytes, pack, index }: StateFile): ObjectSize[] {
  if (pack !== undefined) {
    const { start, sizes } = pack as { start?: unknown; sizes?: unknown }
    const length = Array.isArray(sizes) ? (sizes as number[]).reduce((sum, size) => sum + size, 0) : undefined
    return pieceSize(key, { start, length }).map((size) => ({ ...size, isPack: true }))
  }
  const beside = (index as { bytes?: unknown } | undefined)?.bytes
  return [
    ...(typeof bytes === 'number' ? [{ key, bytes, isWhole: true }] : []),
    ...(objects.length === 1 && typeof beside === 'number' ? [{ key: objects[0]!, bytes: beside, isWhole: true }] : []),
  ]
}
