/** Visible rows of a lake, value by value, against COPY of the server that was restarted on the same data directory. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TypeRef } from '../../src/datum/typedef.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import type { PostgresCluster } from '../../src/io/postgres.ts'
import type { Value } from '../columnar/lakevalues.ts'
import { makeEncodings } from '../support/encodings.ts'
import { type LakeTable, visibleRows } from '../support/lakerows.ts'
import { transcode, withFolder } from '../support/lakes.ts'
import { type Session, closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { copyRows, isRoundedTo9, isSameValue, type Types } from '../support/servertext.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo } from '../support/zoo.ts'

describe.each(majors())('visible rows on Postgres %i', (major) => {
  test('every value of every relation is in one lane, as the server prints it', { timeout: 240_000 }, async () => {
    await withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
      const lake = join(folder, 'lake')
      await loadZoo(major, sql)
      await runWorkload(cluster)
      await makeEncodings(cluster)
      await closeSessions(cluster)
      await cluster.stop('fast')
      const manifest = await transcode(cluster.dataDir, lake)
      await cluster.start()
      const differences = await compareCluster(cluster, lake, manifest)
      expect(differences.slice(0, 20)).toEqual([])
    }))
  })

  test('profile iceberg: uuid and time native', { timeout: 60_000 }, async () => {
    await withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
      const lake = join(folder, 'lake')
      await loadZoo(major, sql)
      await closeSessions(cluster)
      await cluster.stop('fast')
      const tables = ['uuid', 'time', 'time_3', 'mixed_half_null', 'mixed_no_null', 'mixed_few', 'mixed_reordered'].map((name) => `zoo.${name}`)
      const manifest = await transcode(cluster.dataDir, lake, { profile: 'iceberg', filter: { databases: ['postgres'], tables } })
      await cluster.start()
      expect((await compareCluster(cluster, lake, manifest)).slice(0, 20)).toEqual([])
    }))
  })
})

/** Compares every visible relation that has pages; returns what differs. */
async function compareCluster(cluster: PostgresCluster, lake: string, manifest: Manifest): Promise<string[]> {
  const sql = await connect(cluster)
  for (const [gid] of await sql.rows('SELECT gid FROM pg_prepared_xacts')) await sql.exec(`ROLLBACK PREPARED '${gid}'`)
  const differences: string[] = []
  for (const { name: database } of manifest.databases.filter(({ name }) => name !== 'template0')) {
    const session = await connect(cluster, database)
    // No server converts from SQL_ASCII: its bytes must come as they are.
    if (await session.value('SHOW server_encoding') === 'SQL_ASCII') await session.exec('SET client_encoding = SQL_ASCII')
    const unpopulated = new Set((await session.rows('SELECT oid FROM pg_class WHERE NOT relispopulated')).flat())
    for (const relation of manifest.relations) {
      if (relation.database !== database && !(relation.database === null && database === 'postgres')) continue
      if (!relation.visible || relation.path === '' || unpopulated.has(String(relation.oid))) continue
      differences.push(...await compareRelation(session, lake, relation))
    }
  }
  return differences
}

async function compareRelation(sql: Session, lake: string, relation: LakeRelation): Promise<string[]> {
  const name = `${relation.database}.${relation.schema}.${relation.name}`
  const table = visibleRows(lake, relation)
  const { desc } = table.descriptor.relation
  const types: Types = new Map(desc.types.map((type) => [type.oid, type]))
  const attributes = desc.attributes.filter(({ dropped, virtual }) => !dropped && !virtual)
  const columns = ['ctid', ...attributes.map((attribute) => quote(attribute.name) + asNumber(attribute.type, types))]
  const query = `(SELECT ${columns.join(', ')} FROM ONLY ${quote(relation.schema)}.${quote(relation.name)} ORDER BY ctid)`
  const rows = copyRows(await sql.copyOut(query))
  const [expected, found] = [rows.map(([ctid]) => ctid), table.rows.map(({ ctid }) => ctid)]
  if (JSON.stringify(expected) !== JSON.stringify(found)) return [`${name}: the server sees ${expected.join(' ')}, the lake ${found.join(' ')}`]
  return rows.flatMap(([, ...fields], row) => fields.flatMap((field, i) => {
    const problem = compareValue(table, row, i, field, attributes[i]!.type, types)
    return problem === undefined ? [] : [`${name}.${attributes[i]!.name} ${expected[row]}: ${problem}`]
  }))
}

/** What is wrong with the lanes of one value that the server prints as `field`, or undefined. */
function compareValue(table: LakeTable, row: number, i: number, field: string | null, type: TypeRef, types: Types): string | undefined {
  const value = table.rows[row]!.values[i]!
  const overflow = table.rows[row]!.overflow[i]!
  const say = (what: string): string => `${what}: ${show(field)} is ${show(value)} and ${show(overflow)}`
  if (field === null) return value === null && overflow === null ? undefined : say('NULL became a value')
  const bytes = Buffer.from(field, 'latin1')
  const text = bytes.toString()
  if (!Buffer.from(text).equals(bytes)) {
    const isString = types.get(type.oid)?.kind === 'base' && !['jsonb'].includes(types.get(type.oid)!.name)
    const hex = isString ? `\\x${bytes.toString('hex')}` : (overflow ?? '')
    return value === null && overflow === hex && hex.startsWith('\\x') ? undefined : say('bytes that are no text')
  }
  if (overflow === null) {
    return isSameValue(value, table.columns[i]!.type, text, type, types) ? undefined : say('not what the server prints')
  }
  if (overflow !== text) return say('overflow is not what the server prints')
  return value === null || isRoundedTo9(value, text) ? undefined : say('in both lanes')
}

function show(value: Value): string {
  return String(JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part))).slice(0, 200)
}

/** The reg types print names; the lake holds the number. */
function asNumber({ oid }: TypeRef, types: Types): string {
  const type = types.get(oid)
  if (type?.kind === 'array') return asNumber({ oid: type.element ?? 0, typmod: -1 }, types) === '' ? '' : '::oid[]'
  return type?.schema === 'pg_catalog' && /^reg/.test(type.name) ? '::oid' : ''
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
