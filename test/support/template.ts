/**
 * Clusters that initdb makes once per run and kind (major, encoding, arguments), and that tests copy: a copy costs half of an initdb. Each copy has a
 * system identifier of its own, as if initdb had made it.
 *
 *     $LTAP_TEST_TEMPLATES/<key>/data        made by the first test that wants it; the folder goes with the run (globalsetup.ts)
 */
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32c } from '../../src/common/crc32c.ts'
import { type CreateOptions, findPostgres, PostgresServer } from '../../src/server/postgres.ts'

/** As {@link PostgresServer.create}. */
export async function createFromTemplate(options: CreateOptions & { major: number }): Promise<PostgresServer> {
  const folder = process.env['LTAP_TEST_TEMPLATES']
  if (folder === undefined) return await PostgresServer.create(options)
  const cluster = await PostgresServer.create({ ...options, template: await templateOf(options, folder) })
  const identifier = randomBytes(8)
  identifier[7]! &= 0x3f
  giveIdentifier(cluster, identifier)
  return cluster
}

async function templateOf({ major, binDir, encoding, initdbArgs }: CreateOptions & { major: number }, folder: string): Promise<string> {
  const kind = JSON.stringify([major, binDir ?? findPostgres(major)?.binDir, encoding, initdbArgs])
  const made = join(folder, createHash('sha256').update(kind).digest('hex').slice(0, 16))
  const template = join(made, 'data')
  if (existsSync(template)) return template
  const cluster = await PostgresServer.create({ major, parentDir: folder, ...(binDir && { binDir }), ...(encoding && { encoding }), ...(initdbArgs && { initdbArgs }) })
  try {
    renameSync(dirname(cluster.dataDir), made)
  } catch (error) {
    // Another worker was faster.
    if (!existsSync(template)) throw error
    await cluster.remove()
  }
  return template
}

/** Where a cluster that never ran has it: at the beginning of pg_control, and in the first page of its only segment of WAL (xlp_sysid). */
function giveIdentifier({ dataDir }: PostgresServer, identifier: Uint8Array): void {
  const control = join(dataDir, 'global/pg_control')
  const bytes = readFileSync(control)
  // In 18 it has one more field than before.
  const crcAt = [288, 292].find((at) => bytes.readUInt32LE(at) === crc32c(bytes, 0, at))
  if (crcAt === undefined) throw new Error(`${control}: no CRC at its place`)
  bytes.set(identifier)
  bytes.writeUInt32LE(crc32c(bytes, 0, crcAt), crcAt)
  writeFileSync(control, bytes)
  for (const name of readdirSync(join(dataDir, 'pg_wal')).filter((text) => /^[0-9A-F]{24}$/.test(text))) {
    const fd = openSync(join(dataDir, 'pg_wal', name), 'r+')
    writeSync(fd, identifier, 0, 8, 24)
    closeSync(fd)
  }
}
