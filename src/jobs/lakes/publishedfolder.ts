import type { Snapshot } from '../../engine/snapshot.ts'
import { parsePublished, publishedKey } from '../../lake/publishedentry.ts'
import { type TableFolder, tableFolder } from '../../lake/tablefolder.ts'

/**
 * Where new files of a relation go: a published table that was renamed keeps its folder, since readers of Delta find files by their place below it.
 * @throws CorruptionError, UnsupportedError lake.state
 */
export async function folderIn(snapshot: Snapshot, relation: TableFolder): Promise<string> {
  const entry = publishedKey(relation)
  const [value] = await snapshot.get([entry])
  const found = value === undefined ? undefined : parsePublished(entry.key, value)
  return found?.kind === 'table' ? found.entry.folder : tableFolder(relation)
}
