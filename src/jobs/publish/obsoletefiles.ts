import { registeredHeads } from '../../engine/collect.ts'
import type { Lake } from '../../engine/lake.ts'
import { type OwnFile, ownFile, visitPublished } from './publishedfiles.ts'

/** Folders of tables of branches beside main: `branches/<branch>/<database>/<table>`. */
const OF_BRANCH = /^branches\/([a-z0-9][a-z0-9_-]{0,62})\/[^/]+\/[^/]+$/

/**
 * Keys of files that readers find by their names, and that no listed snapshot needs any more: those that a killed publication left, and those of branches that
 * were deleted. What another program may have written is not among them.
 * @throws EnvironmentError store.*; CorruptionError, UnsupportedError lake.* of a HEAD or a state
 */
export async function obsoleteFiles(lake: Lake): Promise<string[]> {
  const folders = new Map<string, Map<string, OwnFile>>()
  for await (const { key } of lake.ports.store.list('')) {
    const file = ownFile(key)
    if (file !== undefined) folders.set(file.folder, (folders.get(file.folder) ?? new Map<string, OwnFile>()).set(key, file))
  }
  const obsolete: string[] = []
  // First the list, then HEADs: a folder of a branch that is made meanwhile is not in the list.
  const heads = await registeredHeads(lake)
  const branches = new Set([...heads.values()].flatMap((head) => (head ? [head.branch.name, ...head.branches.map(({ name }) => name)] : [])))
  for (const [folder, files] of folders) {
    const branch = OF_BRANCH.exec(folder)?.[1]
    if (branch !== undefined && !branches.has(branch)) obsolete.push(...files.keys())
  }
  for (const head of heads.values()) {
    if (!head || head.dropped) continue
    await visitPublished(lake, head, ({ entry, commits, names }) => {
      const files = folders.get(entry.folder)
      // Until its newest version is before readers, they need the earlier ones.
      if (files === undefined || !commits.every(({ point, hints }) => [point, ...hints].every(({ key }) => files.has(key)))) return
      const firsts = new Map<string, number>()
      for (const key of names) {
        const { kind, version = Infinity } = ownFile(key)!
        firsts.set(kind, Math.min(version, firsts.get(kind) ?? Infinity))
      }
      for (const [key, { kind, version }] of files) if (version !== undefined && version < (firsts.get(kind) ?? 0)) obsolete.push(key)
    }, () => {})
  }
  return obsolete
}
