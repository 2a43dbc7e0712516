/**
 * A service whose pages are on a disk: `node kept.js <data directory> <folder of WAL> <page store> <folder for pages> <bytes of WAL>`. Each run goes on
 * where the last one ended, and says what changed since the first one began, from what the store kept.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseControlFile } from 'ltap/catalog'
import { BlockSet, MAIN_FORK, type PgMajor } from 'ltap/common'
import { openPageStore } from 'ltap/io'
import { seedStore } from 'ltap/jobs'
import { readPages } from 'ltap/page'
import { Replay } from 'ltap/replay'
import { WalReader } from 'ltap/wal'
import { streamOf } from './stream.ts'

const [dataDir, walFolder, path, out, limit] = process.argv.slice(2) as [string, string, string, string, string]
const mark = join(out, 'mark')
const major = Number(readFileSync(join(dataDir, 'PG_VERSION'), 'utf8')) as PgMajor
const { systemIdentifier, walSegmentSize: segmentSize, checksums } = parseControlFile(readFileSync(join(dataDir, 'global/pg_control')), major)
if (!existsSync(path)) writeFileSync(mark, String((await seedStore({ source: dataDir, out: path })).lsn))

const store = openPageStore(path)
const progress = structuredClone(store.flushed)
const wal = new WalReader({
  major, start: progress.lsn, timeline: progress.transactions.timeline, segmentSize, systemIdentifier, exact: true, startsMidPage: true,
  ...(progress.previous !== undefined && { previous: progress.previous }),
})
const replay = new Replay(store, progress, { major, checksums })
wal.feed(streamOf(walFolder, progress.lsn, segmentSize).subarray(0, Number(limit)))
for (let record = wal.next(); record !== undefined; record = wal.next()) replay.apply(record)
store.flush(replay.progress)

const { forks } = store.changedSince(Number(readFileSync(mark, 'utf8')))
const changes = forks.filter(({ fork }) => fork === MAIN_FORK)
for (const change of changes) {
  const pages = store.pages(change, MAIN_FORK)!
  writeFileSync(join(out, `${change.relNumber}.pages`), await readPages(pages, BlockSet.range(0, pages.blocks)))
}
store.close()
console.log(JSON.stringify({ from: progress.lsn, lsn: replay.position, changes: changes.map((change) => ({ ...change, changed: [...change.changed] })) }))
