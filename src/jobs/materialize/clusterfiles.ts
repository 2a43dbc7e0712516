import { join } from 'node:path'
import { equalJson } from '../../common/equaljson.ts'
import { type ClusterEntry, clusterFilesOf } from '../../io/datadir/lakefiles.ts'
import type { DirectoryCluster } from '../../io/cluster.ts'
import { readFile } from '../../io/disk/files.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { type ClusterFile, fileKey, parseFile } from '../../lake/state/files.ts'
import type { PartWriter } from './partwriter.ts'

/**
 * What changed among the files of a cluster beside its heaps: those that are new or have other bytes are put into parts, those that are gone are removed.
 * @param before entries of the state before
 * @throws EnvironmentError file.*, store.*
 */
export async function clusterFileEdits(
  pgdata: string, { major, control: { catalogVersion } }: DirectoryCluster, before: ReadonlyMap<string, unknown>, parts: PartWriter,
): Promise<(EntryKey & { value?: unknown })[]> {
  const edits: (EntryKey & { value?: unknown })[] = []
  const left = new Set(before.keys())
  for (const entry of clusterFilesOf(pgdata, { major, catalogVersion })) {
    const key = fileKey(entry.path)
    left.delete(key.key)
    const known = before.has(key.key) ? parseFile(before.get(key.key), key) : undefined
    const value = await fileOf(pgdata, entry, known, parts)
    if (!equalJson(value, known)) edits.push({ ...key, value })
  }
  return [...edits, ...[...left].map((key) => ({ tree: 'files' as const, key }))]
}

async function fileOf(pgdata: string, entry: ClusterEntry, known: ClusterFile | undefined, parts: PartWriter): Promise<ClusterFile> {
  if (entry.kind === 'link') return { kind: 'link', target: entry.target }
  if (entry.kind === 'folder') return { kind: 'folder', mode: entry.mode }
  const bytes = readFile(join(pgdata, entry.path))
  const { mode } = entry
  if (bytes.length === 0) return { kind: 'file', mode }
  return { kind: 'file', mode, content: await parts.add(bytes, known?.kind === 'file' ? known.content : undefined) }
}
