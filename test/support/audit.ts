/**
 * A table whose every row version is written down by the one who makes it: place, values, transaction; and of every transaction what
 * the server says about its commit. What a history of the table must be, without looking into WAL or pages.
 */
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseLsn, type WalPosition, walPosition } from '../../src/common/ids.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { Random } from './random.ts'
import { connect, type Session } from './oracle.ts'

export const AUDIT_TABLE = `
  CREATE SCHEMA audit;
  CREATE TABLE audit.rows (id int PRIMARY KEY, v text, big text) WITH (fillfactor = 70);
  ALTER TABLE audit.rows ALTER COLUMN big SET STORAGE EXTERNAL;
  CREATE TABLE audit.other (id int, v text);
  INSERT INTO audit.other SELECT i, 'other' FROM generate_series(1, 200) i;
  INSERT INTO audit.rows SELECT i, 'first ' || i, CASE WHEN i % 10 = 0 THEN (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 150) j) END
    FROM generate_series(1, 60) i`

const COLUMNS = 'id::text, v::text, big::text'

/** A transaction or subtransaction. */
export class Tx {
  readonly parent: Tx | undefined
  status: 'open' | 'committed' | 'aborted' = 'open'
  /** The commit record ends after `before` and at `after` at the latest; a failed one ended by `after`. */
  before = 0
  after = 0
  time = ''

  constructor(parent?: Tx) {
    this.parent = parent
  }

  get root(): Tx {
    return this.parent?.root ?? this
  }

  get fate(): Tx['status'] {
    if (this.status === 'aborted') return 'aborted'
    return this.parent?.fate ?? this.status
  }
}

export interface Version {
  /** pg_relation_filenode when it was made. */
  file: number
  ctid: string
  xmin: string
  values: (string | null)[]
  /** Undefined: before the range. */
  inserter: Tx | undefined
  deleters: { tx: Tx; how: 'updated' | 'deleted' }[]
  /** TRUNCATE or a rewrite took its file away. */
  removedBy: Tx | undefined
  /** A rewrite made its file. */
  since: Tx | undefined
}

/** What the server showed at a moment. */
export interface Shown {
  lsn: string
  /** ctid and values, in physical order. */
  rows: (string | null)[][]
}

export class Audit {
  readonly versions: Version[] = []
  readonly shown: Shown[] = []
  readonly watcher: Session

  private constructor(watcher: Session) {
    this.watcher = watcher
  }

  static async begin(cluster: PostgresServer): Promise<Audit> {
    const audit = new Audit(await connect(cluster))
    await audit.add(undefined, undefined)
    return audit
  }

  actor(sql: Session): Actor {
    return new Actor(this, sql)
  }

  async lsn(): Promise<number> {
    return walPosition(parseLsn((await this.watcher.value('SELECT pg_current_wal_insert_lsn()'))!)!)
  }

  /** Keeps what the table shows now. */
  async show(): Promise<void> {
    const lsn = (await this.watcher.value('SELECT pg_current_wal_insert_lsn()'))!
    this.shown.push({ lsn, rows: await this.watcher.rows(`SELECT ctid::text place, ${COLUMNS} FROM audit.rows ORDER BY ctid`) })
  }

  /** The version of a row that is neither deleted nor undone. */
  live(id: string | null): Version {
    const found = this.versions.findLast((version) => version.values[0] === id && isAlive(version))
    if (found === undefined) throw new Error(`no row ${id}`)
    return found
  }

  /** Everything the table shows comes into being: with the transactions that made it, or with `tx`. */
  async add(tx: Tx | undefined, since: Tx | undefined, sql = this.watcher): Promise<void> {
    const file = Number(await sql.value("SELECT pg_relation_filenode('audit.rows')"))
    const known = new Map(this.versions.map((version) => [version.xmin, version.inserter]))
    for (const [ctid, xmin, ...values] of await sql.rows(`SELECT ctid::text, xmin::text, ${COLUMNS} FROM audit.rows`)) {
      this.versions.push({ file, ctid: ctid!, xmin: xmin!, values, inserter: tx ?? known.get(xmin!), deleters: [], removedBy: undefined, since })
    }
  }
}

function isAlive({ inserter, deleters, removedBy }: Version): boolean {
  return inserter?.fate !== 'aborted' && !deleters.some(({ tx }) => tx.fate !== 'aborted') && (removedBy === undefined || removedBy.fate === 'aborted')
}

/** A session that changes the table; every change inside a transaction of its own making. */
export class Actor {
  private readonly audit: Audit
  readonly sql: Session
  private tx: Tx | undefined

  constructor(audit: Audit, sql: Session) {
    this.audit = audit
    this.sql = sql
  }

  async begin(): Promise<void> {
    await this.sql.exec('BEGIN')
    this.tx = new Tx()
  }

  async savepoint(): Promise<void> {
    await this.sql.exec('SAVEPOINT s')
    this.tx = new Tx(this.tx)
  }

  async rollbackTo(): Promise<void> {
    await this.sql.exec('ROLLBACK TO s')
    this.tx!.status = 'aborted'
    this.tx!.after = await this.audit.lsn()
    this.tx = this.tx!.parent
  }

  async rollback(): Promise<void> {
    await this.sql.exec('ROLLBACK')
    this.tx!.root.status = 'aborted'
    this.tx!.root.after = await this.audit.lsn()
    this.tx = undefined
  }

  async commit(how = 'COMMIT'): Promise<void> {
    const { root } = this.tx!
    const xid = (await this.sql.value('SELECT pg_current_xact_id()'))!
    await this.ending(root, () => this.sql.exec(how), xid)
  }

  /** Leaves the transaction prepared. @returns what commits it */
  async prepare(name: string): Promise<() => Promise<void>> {
    const { root } = this.tx!
    const xid = (await this.sql.value('SELECT pg_current_xact_id()'))!
    await this.sql.exec(`PREPARE TRANSACTION '${name}'`)
    this.tx = undefined
    return () => this.ending(root, () => this.sql.exec(`COMMIT PREPARED '${name}'`), xid)
  }

  private async ending(root: Tx, body: () => Promise<void>, xid: string): Promise<void> {
    root.before = await this.audit.lsn()
    await body()
    await this.ended(root, xid)
    this.tx = undefined
  }

  private async ended(root: Tx, xid: string): Promise<void> {
    root.after = await this.audit.lsn()
    root.status = 'committed'
    root.time = (await this.audit.watcher.value(`SELECT to_char(pg_xact_commit_timestamp('${xid}'::xid) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US" UTC"')`))!
  }

  async insert(select: string): Promise<void> {
    await this.made(`INSERT INTO audit.rows ${select}`)
  }

  async update(set: string, where: string): Promise<void> {
    await this.made(`UPDATE audit.rows SET ${set} WHERE ${where}`, 'updated')
  }

  async delete(where: string): Promise<void> {
    const tx = this.tx!
    const rows = await this.sql.rows(`DELETE FROM audit.rows WHERE ${where} RETURNING id::text`)
    for (const [id] of rows) this.audit.live(id!).deleters.push({ tx, how: 'deleted' })
  }

  private async made(statement: string, how?: 'updated'): Promise<void> {
    const tx = this.tx!
    const rows = await this.sql.rows(`${statement} RETURNING ctid::text, xmin::text, ${COLUMNS}`)
    const file = Number(await this.sql.value("SELECT pg_relation_filenode('audit.rows')"))
    for (const [ctid, xmin, ...values] of rows) {
      if (how !== undefined) this.audit.live(values[0]!).deleters.push({ tx, how })
      this.audit.versions.push({ file, ctid: ctid!, xmin: xmin!, values, inserter: tx, deleters: [], removedBy: undefined, since: undefined })
    }
  }

  /** TRUNCATE, or a rewrite by ALTER TABLE, which inserts every row again. */
  async replace(statement: string): Promise<void> {
    const tx = this.tx!
    await this.sql.exec(statement)
    for (const version of this.audit.versions) if (isAlive(version)) version.removedBy = tx
    await this.audit.add(tx, tx, this.sql)
  }

  /** VACUUM FULL or CLUSTER: rows keep their transactions. */
  async rewrite(statement: string): Promise<void> {
    const tx = new Tx()
    tx.before = await this.audit.lsn()
    await this.sql.exec(statement)
    await this.ended(tx, (await this.audit.watcher.value("SELECT xmin FROM pg_class WHERE oid = 'audit.rows'::regclass"))!)
    for (const version of this.audit.versions) if (isAlive(version)) version.removedBy = tx
    await this.audit.add(undefined, tx)
  }
}

const BIG = (id: string): string => `(SELECT string_agg(md5((j * ${id})::text), '') FROM generate_series(1, 140 + (${id}) % 200) j)`

/** Random changes by one session, each in a transaction, some of which fail, wholly or in part; with pruning and VACUUM between them. */
export async function runAudit(audit: Audit, actor: Actor, seed: number, rounds: number): Promise<void> {
  const random = new Random(seed)
  let next = 1 + Number(await audit.watcher.value('SELECT coalesce(max(id), 1000) FROM audit.rows WHERE id < 5000'))
  for (let round = 0; round < rounds; round++) {
    await actor.begin()
    for (let i = 1 + random.int(4); i > 0; i--) {
      const inside = random.chance(30)
      if (inside) await actor.savepoint()
      const some = `id % ${3 + random.int(20)} = ${random.int(3)} AND id < 5000`
      switch (random.int(6)) {
        case 0: await actor.insert(`SELECT i, 'new ' || i, CASE WHEN i % 4 = 0 THEN ${BIG('i')} END FROM generate_series(${next}, ${next += random.int(6)}) i`); next++; break
        case 1: await actor.delete(some); break
        case 2: await actor.update(`big = ${BIG(`id + ${round}`)}`, `${some} AND id % 2 = 0`); break
        default: await actor.update(`v = 'round ${round} ' || id || repeat('x', ${random.int(300)})`, some)
      }
      if (inside && random.chance(50)) await actor.rollbackTo()
      else if (inside) await actor.sql.exec('RELEASE SAVEPOINT s')
    }
    if (random.chance(20)) await actor.rollback()
    else await actor.commit()
    if (random.chance(25)) await actor.sql.exec(random.pick(['VACUUM audit.rows', 'VACUUM (FREEZE) audit.rows', 'CHECKPOINT', 'VACUUM (TRUNCATE) audit.rows']))
    await actor.sql.exec("UPDATE audit.other SET v = v || 'x' WHERE id % 7 = 0")
    if (random.chance(40)) await audit.show()
  }
}

/**
 * A base backup that is copied while `busy` goes on: most pages are ahead of where its WAL begins.
 * @returns where the WAL begins, and where the pages become consistent
 */
export async function backUp(cluster: PostgresServer, to: string, busy: () => Promise<void>): Promise<{ start: WalPosition; consistentAt: WalPosition }> {
  const sql = await connect(cluster)
  const [begin, stop] = cluster.major === 14
    ? ["pg_start_backup('audit', true, false)", 'pg_stop_backup(false, false)'] : ["pg_backup_start('audit', true)", 'pg_backup_stop(false)']
  await sql.exec(`SELECT ${begin}`)
  const working = busy()
  await copySlowly(cluster.dataDir, to)
  await working
  const [row] = await sql.rows(`SELECT * FROM ${stop}`)
  const label = row![1]!
  await writeFile(join(to, 'backup_label'), label)
  return { start: walPosition(parseLsn(/^START WAL LOCATION: (\S+)/.exec(label)![1]!)!), consistentAt: walPosition(parseLsn(row![0]!)!) }
}

/** File by file, other work between them; without pg_wal and lock files, as pg_basebackup copies. */
async function copySlowly(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.name.startsWith('postmaster.')) continue
    if (entry.name === 'pg_wal') await mkdir(join(target, 'archive_status'), { recursive: true })
    else if (entry.isDirectory()) await copySlowly(source, target)
    else await copyFile(source, target).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error })
  }
}
