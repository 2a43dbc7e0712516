/** Runs the service once: `node run.js <data directory> <folder of WAL> <folder for results>`. What it prints is checked against the server. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Relation } from 'ltap/catalog'
import { BlockSet } from 'ltap/common'
import { type Codec, type CodecFactory, WordVector } from 'ltap/datum'
import { PageService } from './service.ts'
import { streamOf } from './stream.ts'

/** Sizes of the pieces that come from the network: nothing is aligned to anything. */
const PIECES = [1, 7, 8191, 3, 65537, 13, 24571, 130_001]

/** A type of a user, of 4 bytes: the number it holds. */
const badge: Codec = {
  column: { kind: 'int' }, overflows: false,
  decode(source, start, _end, out) {
    if (!(out instanceof WordVector)) throw new TypeError('another column')
    out.push1(source[start]! | (source[start + 1]! << 8) | (source[start + 2]! << 16) | (source[start + 3]! << 24))
    return true
  },
  encode(column, row, out) {
    if (column instanceof WordVector) out.u32(column.words[row]! >>> 0)
  },
  text(source, start, end, out) {
    out.copy(source, start, end)
  },
}
const extensions: ReadonlyMap<string, CodecFactory> = new Map([['badge', (_context, _typmod, { len }) => (len === 4 ? badge : undefined)]])

function receive(service: PageService, bytes: Buffer): void {
  for (let at = 0, i = 0; at < bytes.length && service.end === undefined; i++) {
    const size = PIECES[i % PIECES.length]!
    service.receive(bytes.subarray(at, at + size))
    at += size
  }
}

const [dataDir, walFolder, out] = process.argv.slice(2) as [string, string, string]
const service = new PageService(dataDir)
const mark = service.lsn
const { walSegmentSize } = service.control
const stream = streamOf(walFolder, service.wanted, walSegmentSize)
receive(service, stream.subarray(0, 700_001))
const half = service.lsn
service.restart(service.save())
receive(service, streamOf(walFolder, service.wanted, walSegmentSize))

const cluster = await service.catalog()
const database = cluster.databases.find(({ name }) => name === 'postgres')!

async function report(relation: Relation): Promise<unknown> {
  const { locator, schema, name, relkind } = relation
  const changed = service.changedSince(mark, locator)
  const all = BlockSet.range(0, service.blocks(locator))
  const pages = Buffer.concat([...all].map((block) => service.getPage(locator, block)!))
  writeFileSync(join(out, `${locator.relNumber}.pages`), pages)
  const files = [...await service.materialize(cluster, relation, changed), ...await service.materialize(cluster, relation, all.subtract(changed))]
  const written = files.map(({ blocks, parquet, hidden }) => {
    const path = join(out, `${locator.relNumber}.${blocks.runs[0]!.first}.parquet`)
    writeFileSync(path, parquet)
    return { path, first: blocks.runs[0]!.first, blocks: blocks.size, hidden }
  })
  return { ...locator, schema, name, relkind, blocks: all.size, changed: [...changed], files: written }
}

const relations = cluster.relations(database.oid).filter(({ visible, desc, schema }) => visible && desc !== undefined && /^(?:public|pg_toast|pg_catalog)$/.test(schema))
const reports: unknown[] = []
for (const relation of relations) reports.push(await report(relation))

const badges = cluster.relations(database.oid).find(({ name }) => name === 'badges')!
const { vectors, rows, hidden } = await service.columns(cluster, badges, extensions)
const column = vectors[1] as WordVector
const visible = Array.from({ length: rows }, (_, row) => row).filter((row) => !hidden.includes(row)).map((row) => (column.isNull(row) ? null : column.words[row]))
console.log(JSON.stringify({ mark, half, lsn: service.lsn, end: service.end, relations: reports, badges: visible }))
