import { deleteObjects } from '../../engine/deleteobjects.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { TableFormat } from '../../lake/tableformat.ts'

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
