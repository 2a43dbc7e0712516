import { forEachAtMost } from '../../common/atonce.ts'
import type { Lake } from '../../engine/lake.ts'
import { parseObjectName } from '../../lake/state/names.ts'
import type { FormatName } from '../../lake/publishedentry.ts'
import type { TableFormat } from '../../lake/tableformat.ts'
import { filesOfTable, ownFile } from './publishedfiles.ts'
import type { PublishedState } from './publishedstate.ts'

const TABLES_AT_ONCE = 4

/** Objects of a branch's published tables that are missing, and those that were. */
export interface LostFiles {
  /** By key of the table's entry: keys that could not be made again. */
  readonly lost: ReadonlyMap<string, ReadonlySet<string>>
  /** Keys of files that were made again as they were. */
  readonly remade: readonly string[]
}

/**
 * Looks for every object of published tables: files that readers find by their names are made again where the record says what was in them.
 * @throws EnvironmentError store.*; CorruptionError, UnsupportedError lake.published
 */
export async function findLostFiles(lake: Lake, { settings, entries }: PublishedState, formats: ReadonlyMap<FormatName, TableFormat>): Promise<LostFiles> {
  const lost = new Map<string, ReadonlySet<string>>()
  const remade: string[] = []
  if (settings === undefined || entries.size === 0) return { lost, remade }
  const { store } = lake.ports
  const listed = new Set<string>()
  for await (const { key } of store.list('')) if (ownFile(key) !== undefined || parseObjectName(key) !== undefined) listed.add(key)
  await forEachAtMost(TABLES_AT_ONCE, entries, async ([key, entry]) => {
    const { record, names } = await filesOfTable(lake, entry, settings.root, formats)
    const missing = new Set([...names, ...entry.objects].filter((name) => !listed.has(name)))
    if (missing.size === 0) return
    for (const [name, format] of formats) {
      if (record[name] === undefined) continue
      for (const object of await format.remake(record[name], { root: settings.root, folder: entry.folder }, missing)) {
        await store.put(object.key, object.bytes)
        remade.push(object.key)
        missing.delete(object.key)
      }
    }
    if (missing.size > 0) lost.set(key, missing)
  })
  return { lost, remade }
}
