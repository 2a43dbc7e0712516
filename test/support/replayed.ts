/** The folder that a replay made, against the data directory that a server recovered: pages, files, checksums, transaction status. */
import type { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import { readTransactionStore } from './memoryslru.ts'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../src/common/rel.ts'
import { replayCluster, type ReplayClusterOptions, type ReplayReport } from '../../src/jobs/replay/replaycluster.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { FSM_FORK, INIT_FORK, MAIN_FORK } from '../../src/common/relpath.ts'
import { loadDataDir, relationFiles } from './memorystore.ts'
import { relationKey } from '../../src/replay/memoryreplaystore.ts'
import type { RecoveryCase } from './recovery.ts'
import { compareWithRecovered } from './recoveryredo.ts'

export interface ReplayedComparison {
  relations: number
  pages: number
  /** Pages whose checksum is right; 0 if the cluster has none. */
  checksums: number
  /** Number of pages of pg_xact and pg_multixact. */
  statusPages: number
  prepared: number
  /** Empty if replay is right. */
  differences: string[]
}

/** Replays a recovery case into `out`: to its end, or to the end of its WAL if the server crashed. */
export function replayCase(found: RecoveryCase, out: string, more: Partial<ReplayClusterOptions> = {}): Promise<ReplayReport> {
  const target = found.end === Infinity ? {} : { target: { lsn: found.end } }
  return replayCluster({ source: found.base, wal: found.wal, out, ...target, ...more })
}

/** Compares a folder that replay made with what the server recovered. */
export function compareReplayed(found: RecoveryCase, out: string): ReplayedComparison {
  // A cluster without tablespaces.
  mkdirSync(join(out, 'pg_tblspc'), { recursive: true })
  const store = loadDataDir(out)
  const { relations, pages, differences } = compareWithRecovered(found, store)
  const files = compareFiles(out, found.control.checksums)
  const status = compareStatus(found, out)
  return {
    relations, pages, checksums: files.checksums, statusPages: status.pages, prepared: status.prepared,
    differences: [...differences, ...files.differences.slice(0, 20), ...status.differences],
  }
}

/** Checksums, whole segments, unlogged relations as their init forks, no free space maps. */
function compareFiles(out: string, checksums: boolean): { checksums: number; differences: string[] } {
  const differences: string[] = []
  let checked = 0
  const files = relationFiles(out)
  const byKey = new Map(files.map((file) => [`${relationKey(file)} ${file.fork}`, file]))
  for (const { paths, fork, ...locator } of files) {
    if (fork === FSM_FORK) differences.push(`${paths[0]}: a free space map`)
    for (const [segment, path] of paths.entries()) {
      const bytes = readFileSync(path)
      if (bytes.length % BLOCK_SIZE !== 0) differences.push(`${path}: ${bytes.length} bytes`)
      for (let at = 0; checksums && at < bytes.length; at += BLOCK_SIZE) {
        const page = new Uint8Array(bytes.subarray(at, at + BLOCK_SIZE))
        if (page.every((byte) => byte === 0)) continue
        const [stored, right] = [bytes.readUInt16LE(at + 8), pageChecksum(page, segment * SEGMENT_BLOCKS + at / BLOCK_SIZE)]
        if (stored !== right) differences.push(`${path} block ${at / BLOCK_SIZE}: checksum ${stored}, not ${right}`)
        checked++
      }
    }
    if (fork === INIT_FORK) {
      const main = byKey.get(`${relationKey(locator)} ${MAIN_FORK}`)
      const same = main !== undefined && Buffer.concat(main.paths.map((path) => readFileSync(path))).equals(Buffer.concat(paths.map((path) => readFileSync(path))))
      if (!same) differences.push(`${paths[0]}: the unlogged relation is not as its init fork`)
    }
  }
  return { checksums: checked, differences }
}

/** pg_xact, pg_multixact and pg_twophase, byte for byte. */
function compareStatus(found: RecoveryCase, out: string): { pages: number; prepared: number; differences: string[] } {
  const differences: string[] = []
  const [ours, theirs] = [out, found.recovered].map((dir) => readTransactionStore(dir, found.major)) as [MemoryReplayStore, MemoryReplayStore]
  let pages = 0
  for (const part of ['clog', 'multiOffsets', 'multiMembers'] as const) {
    const numbers = (store: MemoryReplayStore): string => [...store[part].pages.keys()].sort((a, b) => a - b).join()
    if (numbers(ours) !== numbers(theirs)) differences.push(`${part}: pages ${numbers(ours)}, recovery has ${numbers(theirs)}`)
    for (const [n, page] of theirs[part].pages) {
      const own = ours[part].page(n)
      const at = own === undefined ? -1 : page.findIndex((byte, i) => byte !== own[i])
      if (at >= 0) differences.push(`${part} page ${n} byte ${at}: ${own![at]}, recovery has ${page[at]}`)
      pages++
    }
  }
  const prepared = (store: MemoryReplayStore): string =>
    [...store.prepared].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, bytes]) => `${name} ${Buffer.from(bytes).toString('hex')}`).join('\n')
  if (prepared(ours) !== prepared(theirs)) differences.push(`pg_twophase: ${[...ours.prepared.keys()].join()}, recovery has ${[...theirs.prepared.keys()].join()}`)
  return { pages, prepared: theirs.prepared.size, differences }
}

/** Every file of a folder with its content, but those of ltap itself: two replays of the same WAL make the same. */
export function folderContent(folder: string): Map<string, Buffer> {
  const content = new Map<string, Buffer>()
  const scan = (path: string): void => {
    for (const entry of readdirSync(join(folder, path), { withFileTypes: true })) {
      const name = join(path, entry.name)
      if (entry.isDirectory()) {
        if (name !== 'ltap') scan(name)
      } else {
        content.set(name, readFileSync(join(folder, name)))
      }
    }
  }
  scan('')
  return content
}
