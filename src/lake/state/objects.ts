import type { EntryKey } from './entries.ts'
import { parseFile } from './files.ts'
import { parseRelation } from './relationlayers.ts'

/** Keys of all objects that an entry refers to; a removed entry refers to no object. */
export function objectsOf(entry: EntryKey, value: unknown): string[] {
  if (value === undefined) return []
  if (entry.tree === 'files') return [parseFile(value, entry).key]
  if (entry.tree === 'status') return []
  return parseRelation(value, entry).layers.flatMap(({ files }) => files.flatMap(({ key, objects = [] }) => [key, ...objects]))
}
