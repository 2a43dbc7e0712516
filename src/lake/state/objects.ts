import * as v from 'valibot'
import { type EntryKey, parseEntry } from './entries.ts'
import { parseFile } from './files.ts'
import { objectKey } from './page.ts'
import { parseRelation } from './relationlayers.ts'

/** What an entry of `catalog`, `published` or `transactions` has beside other members. */
const WITH_OBJECTS = v.looseObject({ objects: v.exactOptional(v.array(objectKey)) })

/** Keys of all objects that an entry refers to; a removed entry refers to no object. */
export function objectsOf(entry: EntryKey, value: unknown): string[] {
  if (value === undefined || entry.tree === 'status') return []
  if (entry.tree === 'catalog' || entry.tree === 'published' || entry.tree === 'transactions') return [...parseEntry(WITH_OBJECTS, value, entry).objects ?? []]
  if (entry.tree === 'files') {
    const file = parseFile(value, entry)
    return file.kind === 'file' && file.content !== undefined ? [file.content.key] : []
  }
  const { info, layers } = parseRelation(value, entry)
  return [...info?.objects ?? [], ...layers.flatMap(({ files }) => files.flatMap(({ key, objects = [] }) => [key, ...objects]))]
}
