import { deleteObjects } from '../../engine/deleteobjects.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Lake } from '../../engine/lake.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import type { Head } from '../../lake/state/head.ts'
import type { TableFormat } from '../../lake/tableformat.ts'
import { tableFormats } from './formats.ts'
import { readPublished } from './publishedstate.ts'

/** Takes the tables of a branch from before readers. @throws EnvironmentError store.*; CorruptionError, UnsupportedError lake.state */
export async function withdrawBranch(lake: Lake, head: Head): Promise<void> {
  const { settings, entries } = await readPublished(Snapshot.of(lake, head, head.state), head.branch.id)
  if (settings === undefined) return
  for (const { folder } of entries.values()) await withdraw(lake.ports.store, folder, tableFormats(settings).values())
}

/**
 * Takes a table from before readers: deletes the files that they find by their names. What has a name of the lake's own goes with the next gc.
 * @param formats those that readers are not to find the table in any more
 */
export async function withdraw(store: ObjectStore, folder: string, formats: Iterable<TableFormat>): Promise<void> {
  const all = [...formats]
  const keys: string[] = []
  for (const own of ['metadata', '_delta_log']) {
    for await (const { key } of store.list(`${folder}/${own}/`)) {
      if (all.some((format) => format.isOwn(key.slice(folder.length + 1)))) keys.push(key)
    }
  }
  await deleteObjects(store, keys)
}
