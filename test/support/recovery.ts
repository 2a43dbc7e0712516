/**
 * Real recovery as the oracle of redo: a data directory, WAL that was written later, and what a server of the same major makes of both.
 *
 *     <work>/base         a cold copy, before the workload; its tablespaces in base.tblspc
 *     <work>/wal          pg_wal after it
 *     <work>/recovered    a copy of base that a server recovered up to `end`, and flushed: nothing happened in it but redo
 *
 * Or, from a server that was killed: base holds pages newer than where redo begins, and crash recovery goes to the end of the WAL.
 */
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatWalPosition, parseLsn, type WalPosition, walPosition } from '../../src/common/ids.ts'
import { type PgMajor, parsePgMajor } from '../../src/common/pgversion.ts'
import { GLOBAL_TABLESPACE } from '../../src/common/rel.ts'
import { type ControlFile, parseControlFile } from '../../src/catalog/controlfile.ts'
import { PostgresServer } from '../../src/server/postgres.ts'
import { copyDataDir } from '../../src/server/postgresdatadir.ts'
import { closeSessions, connect, createCluster } from './oracle.ts'

/** What the matrix varies. */
export interface ServerVariant {
  checksums: boolean
  walLogHints: boolean
  walCompression: 'off' | 'pglz' | 'lz4' | 'zstd'
  fullPageWrites: boolean
  walLevel: 'replica' | 'logical'
}

export interface RecoveryOptions extends ServerVariant {
  settings?: Record<string, string>
  binDir?: string
  /** Ends at this share of the WAL instead, between any two records. */
  share?: number
  /** False: no server recovers a copy, for tests that need the WAL only. */
  recover?: boolean
}

export interface RecoveryCase {
  major: PgMajor
  variant: ServerVariant
  control: ControlFile
  base: string
  wal: string
  recovered: string
  /** Where redo begins, and the position that ends it: records that end there or before belong to it. After a crash: infinity, the end of the WAL. */
  start: WalPosition
  end: WalPosition
  /** The position from which on the base's pages are consistent: `start` for a clean copy. */
  consistentAt: WalPosition
  /** After a crash: where the last record begins, as the server says. */
  last?: WalPosition
  /** relkind by `spc/db/relNumber`, as the server's catalogs have it at the end: what no committed row names is missing. */
  kinds: Map<string, string>
}

/** The workload under test: `prepare` runs before the base copy, `run` after it. */
export interface RecoveryWorkload {
  prepare(cluster: PostgresServer): Promise<void>
  /** @returns the folders of tablespaces that it made */
  run(cluster: PostgresServer): Promise<{ tablespaces: string[] }>
}

/** Settings under which nothing but the workload writes, and every segment of WAL stays. */
const QUIET = {
  wal_keep_size: '4GB', max_wal_size: '8GB', checkpoint_timeout: '1d', lock_timeout: '30s', max_logical_replication_workers: '0', shared_buffers: '64MB',
}

/** Runs the workload, lets a server recover a copy, gives all of it to `body`, removes all of it. */
export function withRecovery<T>(
  major: number, options: RecoveryOptions, workload: RecoveryWorkload, body: (found: RecoveryCase) => T | Promise<T>,
): Promise<T> {
  return withServer(major, options, async (cluster, work) => {
    const [base, wal] = [join(work, 'base'), join(work, 'wal')]
    await workload.prepare(cluster)
    await closeSessions(cluster)
    await cluster.stop()
    await copyDataDir(cluster.dataDir, base)
    await cluster.start()
    const { tablespaces } = await workload.run(cluster)
    const identity = readControl(base)
    const { start } = identity
    const { whole, kinds } = await finish(cluster, wal, tablespaces)
    const { share = 1, recover = true } = options
    const end = start + Math.floor((whole - start) * share)
    // The catalogs are those of the whole WAL's end: before that, pages tell what a relation is.
    if (share < 1) kinds.clear()
    const recovered = recover ? await recoverUpTo(end, base, wal, options) : ''
    return await body({ ...identity, variant: options, base, wal, recovered, end, kinds, consistentAt: start })
  })
}

/**
 * Runs the workload, kills the server, lets it recover a copy of what is left. `run` must not make tablespaces. A server whose
 * shared_buffers are few has written many pages that the WAL changes again, and removed files that it still names.
 */
export function withCrash<T>(
  major: number, options: RecoveryOptions, workload: RecoveryWorkload, body: (found: RecoveryCase) => T | Promise<T>,
): Promise<T> {
  return withServer(major, options, async (cluster, work) => {
    const [base, recovered] = [join(work, 'base'), join(work, 'recovered')]
    await workload.prepare(cluster)
    await workload.run(cluster)
    const kinds = await relationKinds(cluster)
    await cluster.kill()
    await closeSessions(cluster)
    await copyDataDir(cluster.dataDir, base)
    const last = await recoverCrashed(base, recovered, options)
    const wal = join(base, 'pg_wal')
    return await body({ ...readControl(base), variant: options, base, wal, recovered, end: Infinity, last, kinds, consistentAt: Infinity })
  })
}

/**
 * Takes the base copy from a running server, between pg_backup_start and pg_backup_stop, while `busy` changes what is copied; then as
 * {@link withRecovery}.
 */
export function withBackup<T>(
  major: number, options: RecoveryOptions, workload: RecoveryWorkload & { busy(cluster: PostgresServer): Promise<void> },
  body: (found: RecoveryCase) => T | Promise<T>,
): Promise<T> {
  return withServer(major, options, async (cluster, work) => {
    const [base, wal] = [join(work, 'base'), join(work, 'wal')]
    await workload.prepare(cluster)
    const { start, consistentAt } = await backUp(cluster, base, () => workload.busy(cluster))
    const { tablespaces } = await workload.run(cluster)
    const { whole, kinds } = await finish(cluster, wal, tablespaces)
    const recovered = await recoverUpTo(whole, base, wal, options)
    return await body({ ...readControl(base), variant: options, base, wal, recovered, start, end: whole, kinds, consistentAt })
  })
}

/** Ends the WAL, kills the server, takes its WAL, empties the folders of its tablespaces for the server that recovers. */
export async function finish(cluster: PostgresServer, wal: string, tablespaces: string[]): Promise<{ whole: WalPosition; kinds: Map<string, string> }> {
  const whole = await endOfWorkload(cluster)
  const kinds = await relationKinds(cluster)
  await cluster.kill()
  await closeSessions(cluster)
  copyFolder(join(cluster.dataDir, 'pg_wal'), wal)
  for (const folder of tablespaces) for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
  return { whole, kinds }
}

/** The copy has a backup_label; where redo begins is in it. */
export async function backUp(
  cluster: PostgresServer, to: string, busy: () => Promise<void>,
): Promise<{ start: WalPosition; consistentAt: WalPosition }> {
  const sql = await connect(cluster)
  const [begin, stop] = cluster.major === 14
    ? ["pg_start_backup('base', true, false)", 'pg_stop_backup(false, false)'] : ["pg_backup_start('base', true)", 'pg_backup_stop(false)']
  const working = busy()
  await sql.exec(`SELECT ${begin}`)
  copyRunning(cluster.dataDir, to)
  await working
  // Last, as pg_basebackup does: of a standby it says how new the pages may be.
  copyFileSync(join(cluster.dataDir, 'global/pg_control'), join(to, 'global/pg_control'))
  const [row] = await sql.rows(`SELECT * FROM ${stop}`)
  const label = row?.[1] ?? ''
  writeFileSync(join(to, 'backup_label'), label)
  const [start, end] = [parseLsn(/^START WAL LOCATION: (\S+)/.exec(label)?.[1] ?? ''), parseLsn(row?.[0] ?? '')]
  if (start === undefined || end === undefined) throw new Error(`no backup: ${label}`)
  return { start: walPosition(start), consistentAt: walPosition(end) }
}

/** Files come and go meanwhile, pages are torn. Without pg_wal and lock files, as pg_basebackup copies. */
function copyRunning(from: string, to: string): void {
  mkdirSync(to, { mode: 0o700 })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.name.startsWith('postmaster.')) continue
    if (entry.name === 'pg_wal') mkdirSync(join(target, 'archive_status'), { recursive: true })
    else if (entry.isDirectory()) copyRunning(source, target)
    else copyIfThere(source, target)
  }
}

function copyIfThere(source: string, target: string): void {
  try {
    writeFileSync(target, readFileSync(source))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

export async function withServer<T>(major: number, options: RecoveryOptions, body: (cluster: PostgresServer, work: string) => Promise<T>): Promise<T> {
  const work = mkdtempSync(join(tmpdir(), `ltap-recovery-${major}-`))
  chmodSync(work, 0o755)
  const cluster = await createCluster(major, {
    initdbArgs: checksumArgs(major, options.checksums), settings: { ...serverSettings(options), ...options.settings }, ...programs(options),
  })
  try {
    return await body(cluster, work)
  } finally {
    await closeSessions(cluster)
    await cluster.remove()
    rmSync(work, { recursive: true, force: true })
  }
}

function programs({ binDir }: RecoveryOptions): { binDir?: string } {
  return binDir === undefined ? {} : { binDir }
}

export function readControl(dataDir: string): { major: PgMajor; control: ControlFile; start: WalPosition } {
  const major = parsePgMajor(readFileSync(join(dataDir, 'PG_VERSION'), 'utf8'))
  const control = parseControlFile(readFileSync(join(dataDir, 'global/pg_control')), major)
  return { major, control, start: walPosition(control.redo) }
}

function serverSettings({ walLogHints, walCompression, fullPageWrites, walLevel }: ServerVariant): Record<string, string> {
  const compression = walCompression === 'pglz' ? 'on' : walCompression
  const onOff = (on: boolean) => (on ? 'on' : 'off')
  return { ...QUIET, wal_log_hints: onOff(walLogHints), wal_compression: compression, full_page_writes: onOff(fullPageWrites), wal_level: walLevel }
}

function checksumArgs(major: number, checksums: boolean): string[] {
  if (checksums) return ['--data-checksums']
  return major >= 18 ? ['--no-data-checksums'] : []
}

/**
 * A mark that ends the WAL under test, flushed; one more record follows it, since recovery stops before the first one that begins there.
 * The checkpoint before it makes the restart point at shutdown, and so the flush of all buffers, possible.
 */
async function endOfWorkload(cluster: PostgresServer): Promise<WalPosition> {
  const sql = await connect(cluster)
  await sql.exec('CHECKPOINT')
  const end = await sql.value("SELECT pg_create_restore_point('the end')")
  await sql.exec('SELECT pg_switch_wal()')
  const lsn = parseLsn(end ?? '')
  if (lsn === undefined) throw new Error(`no LSN: ${end}`)
  return walPosition(lsn)
}

async function relationKinds(cluster: PostgresServer): Promise<Map<string, string>> {
  const kinds = new Map<string, string>()
  const databases = await (await connect(cluster)).rows('SELECT datname, oid, dattablespace FROM pg_database WHERE datallowconn')
  for (const [name, oid, tablespace] of databases) {
    const sql = await connect(cluster, name ?? '')
    const rows = await sql.rows(`SELECT relkind, pg_relation_filenode(oid), reltablespace, relisshared FROM pg_class
      WHERE pg_relation_filenode(oid) IS NOT NULL AND relpersistence <> 't'`)
    for (const [kind, relNumber, space, shared] of rows) {
      const place = shared === 't' ? `${GLOBAL_TABLESPACE}/0` : `${space === '0' ? tablespace : space}/${oid}`
      kinds.set(`${place}/${relNumber}`, kind ?? '')
    }
    await sql.close()
  }
  return kinds
}

/**
 * Archive recovery up to `end`, then shutdown: the restart point at shutdown flushes what redo made and nothing else ran. It needs a
 * checkpoint in the WAL. @returns the recovered data directory
 */
export async function recoverUpTo(end: WalPosition, base: string, wal: string, options: RecoveryOptions): Promise<string> {
  const recovered = `${base.slice(0, -'base'.length)}recovered`
  await copyDataDir(base, recovered)
  copyFolder(wal, join(recovered, 'pg_wal'))
  writeFileSync(join(recovered, 'recovery.signal'), '')
  rmSync(join(recovered, 'standby.signal'), { force: true })
  const server = await PostgresServer.adopt({
    dataDir: recovered, ...programs(options),
    settings: {
      ...QUIET, fsync: 'off', hot_standby: 'off', restore_command: 'false', log_checkpoints: 'on', autovacuum: 'off',
      recovery_target_lsn: formatWalPosition(end), recovery_target_inclusive: 'off', recovery_target_action: 'shutdown',
    },
  })
  try {
    const started = await server.start().then(() => true, () => false)
    const log = readFileSync(server.logFile, 'utf8')
    if (started || !/recovery stopping before WAL location/.test(log) || !/restartpoint complete/.test(log)) {
      throw new Error(`the server did not recover to ${formatWalPosition(end)}:\n${log.slice(-3000)}`)
    }
    return recovered
  } finally {
    await server.remove()
  }
}

/** Crash recovery, then a clean stop. @returns where the last record begins */
async function recoverCrashed(base: string, recovered: string, options: RecoveryOptions): Promise<WalPosition> {
  await copyDataDir(base, recovered)
  const server = await PostgresServer.adopt({ dataDir: recovered, ...programs(options), settings: { ...QUIET, fsync: 'off', autovacuum: 'off' } })
  try {
    await server.start()
    await server.stop()
    const done = /redo done at ([0-9A-F]+\/[0-9A-F]+)/.exec(readFileSync(server.logFile, 'utf8'))
    const lsn = parseLsn(done?.[1] ?? '')
    if (lsn === undefined) throw new Error(`no crash recovery:\n${readFileSync(server.logFile, 'utf8').slice(-3000)}`)
    return walPosition(lsn)
  } finally {
    await server.remove()
  }
}

function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isFile()) copyFileSync(join(from, entry.name), join(to, entry.name))
    else if (entry.isDirectory()) cpSync(join(from, entry.name), join(to, entry.name), { recursive: true })
  }
}
