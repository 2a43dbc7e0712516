/**
 * Random DDL mixed with DML, savepoints and two-phase commit in several sessions. What the server refuses (locks, dependencies, values)
 * is part of the game; what it accepted is counted by kind.
 */
import type { PostgresServer } from '../../src/server/postgres.ts'
import { COLUMN_TYPES, CONVERSIONS, randomValue } from './ddlvalues.ts'
import { type Session, StuckError, connect } from './oracle.ts'
import type { Random } from './random.ts'

const SETUP = `
  CREATE SCHEMA ddl;
  SET search_path = ddl;
  CREATE TYPE label AS ENUM ('first', 'second', 'é');
  CREATE TYPE pair AS (a int, b text);
  CREATE DOMAIN domain_int AS int CHECK (VALUE <> 13);
  CREATE DOMAIN domain_text AS text;
  CREATE SEQUENCE numbers`

/** Names that a lake renames are among them. */
const COLUMN_NAMES = ['a', 'b', 'c', 'd', 'A', '_ltap', '_overflow', 'with space', 'quo"te', 'é', 'file_row_number', 'pos']
const TABLE_NAMES = ['t1', 't2', 't3', 't4', 'T1', 'par']
const OUTCOMES = ['COMMIT', 'COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK', 'ROLLBACK', 'PREPARE', 'leave']
const LOCKS = ['UPDATE', 'SHARE', 'KEY SHARE', 'NO KEY UPDATE']
const STORAGES = ['PLAIN', 'EXTERNAL', 'EXTENDED', 'MAIN']
/** With more tables too little happens to each. */
const TABLES_MAX = 16
/** While it runs and at its end: the locks of prepared transactions stop everything else. */
const PREPARED_MAX = 2
const PREPARED_LAST = 5

interface Column {
  name: string
  type: string
}

/** One session and whether it is in a transaction. */
interface Actor {
  session: Session
  open: boolean
}

export class DdlWorkload {
  /** How often each kind of statement succeeded. */
  readonly done = new Map<string, number>()
  readonly log: string[] = []
  private readonly random: Random
  private actors: Actor[] = []
  private prepared: string[] = []
  private names = 0

  constructor(random: Random) {
    this.random = random
  }

  /** Sessions on a server that was started, again or for the first time; between two runs nothing stays prepared. */
  async open(cluster: PostgresServer, setup: boolean): Promise<void> {
    this.actors = []
    this.prepared = []
    for (let i = 0; i < 3; i++) {
      const session = await connect(cluster)
      if (setup && i === 0) await session.script(SETUP)
      await session.exec("SET search_path = ddl; SET lock_timeout = '15ms'; SET client_min_messages = error")
      this.actors.push({ session, open: false })
    }
  }

  /** Runs `transactions` of them, some of which stay open or prepared. */
  async run(transactions: number): Promise<void> {
    for (let i = 0; i < transactions; i++) {
      const actor = this.random.pick(this.actors)
      if (actor.open) await this.end(actor, this.random.pick(OUTCOMES))
      else if (this.random.chance(25)) await this.alone(actor)
      else await this.transaction(actor)
      if (this.prepared.length > PREPARED_MAX) await this.endPrepared()
    }
    for (const actor of this.actors) if (actor.open) await this.end(actor, 'ROLLBACK')
    for (let tries = 0; tries < 20 && this.prepared.length < PREPARED_LAST; tries++) await this.transaction(this.actors[0]!, ['PREPARE'])
    for (const actor of this.actors) await this.transaction(actor, ['leave'])
  }

  private async transaction(actor: Actor, outcomes = OUTCOMES): Promise<void> {
    const { random } = this
    await this.attempt(actor, 'BEGIN', 'BEGIN')
    actor.open = true
    const focus = random.chance(70) ? await this.table(actor) : undefined
    let savepoints = 0
    for (let left = 1 + random.int(6); left > 0; left--) {
      if (random.chance(25)) await this.attempt(actor, 'SAVEPOINT', `SAVEPOINT s${savepoints++}`)
      await this.guarded(actor, focus)
      if (savepoints > 0 && random.chance(25)) {
        const back = --savepoints
        await this.attempt(actor, random.pick(['ROLLBACK TO', 'RELEASE']), `${random.pick(['ROLLBACK TO', 'RELEASE'])} s${back}`)
      }
    }
    await this.end(actor, random.pick(outcomes))
  }

  /**
   * A column whose transaction is rolled back, then another one with its attnum: the tuples in between have bytes that the table's
   * definition gets wrong.
   */
  private async ghost(actor: Actor, table: string): Promise<void> {
    const { session } = actor
    const [was, becomes] = [this.random.pick(COLUMN_TYPES), this.random.pick(COLUMN_TYPES)]
    await session.exec('BEGIN')
    if (await this.attempt(actor, 'GHOST', `ALTER TABLE ${table} ADD COLUMN "ghost${this.names++}" ${was}`)) await this.insert(actor, table)
    await session.exec('ROLLBACK')
    await this.attempt(actor, 'ADD COLUMN', `ALTER TABLE ${table} ADD COLUMN "real${this.names++}" ${becomes}`)
  }

  /** A statement that may fail, without ending its transaction. */
  private async guarded(actor: Actor, focus: string | undefined): Promise<void> {
    await actor.session.exec('SAVEPOINT guard')
    if (await this.statement(actor, focus)) {
      // A released subtransaction has an xid of its own, too.
      await actor.session.exec('RELEASE guard')
    } else {
      await actor.session.exec('ROLLBACK TO guard; RELEASE guard')
    }
  }

  private async end(actor: Actor, outcome: string): Promise<void> {
    if (outcome === 'leave') return
    if (outcome === 'PREPARE') {
      const gid = `p${this.names++}`
      if (await this.attempt(actor, 'PREPARE', `PREPARE TRANSACTION '${gid}'`)) this.prepared.push(gid)
    } else {
      await this.attempt(actor, outcome, outcome)
    }
    actor.open = false
  }

  private async endPrepared(): Promise<void> {
    const idle = this.actors.find(({ open }) => !open)
    if (!idle) return
    const [gid] = this.prepared.splice(this.random.int(this.prepared.length), 1)
    const kind = this.random.pick(['COMMIT PREPARED', 'ROLLBACK PREPARED'])
    await this.attempt(idle, kind, `${kind} '${gid}'`)
  }

  /** What cannot be in a transaction. */
  private async alone(actor: Actor): Promise<void> {
    const table = await this.table(actor)
    const { random } = this
    if (table === undefined || random.chance(15)) return void await this.attempt(actor, 'catalog', this.catalogStatement())
    if (random.chance(30)) return this.ghost(actor, table)
    const kind = random.pick(['VACUUM', 'VACUUM FULL', 'VACUUM (FREEZE)', 'VACUUM (DISABLE_PAGE_SKIPPING)', 'CLUSTER', 'DETACH CONCURRENTLY', 'ANALYZE', 'one'])
    if (kind === 'one') return void await this.statement(actor, table)
    if (kind === 'CLUSTER') {
      const index = await this.oneOf(actor, `SELECT quote_ident(relname) FROM pg_index JOIN pg_class ON oid = indexrelid
        WHERE indrelid = '${table.replaceAll("'", "''")}'::regclass`)
      if (index !== undefined) await this.attempt(actor, kind, `CLUSTER ${table} USING ${index}`)
    } else if (kind === 'DETACH CONCURRENTLY') {
      const part = await this.partition(actor)
      if (part !== undefined) await this.attempt(actor, kind, `ALTER TABLE ${part.parent} DETACH PARTITION ${part.child} CONCURRENTLY`)
    } else {
      await this.attempt(actor, kind, `${kind} ${table}`)
    }
  }

  private catalogStatement(): string {
    const catalog = this.random.pick(['pg_class', 'pg_attribute', 'pg_type', 'pg_enum', 'pg_inherits', 'pg_database', 'pg_namespace'])
    return `${this.random.pick(['VACUUM FULL', 'VACUUM', 'VACUUM (FREEZE)', 'VACUUM FULL'])} pg_catalog.${catalog}`
  }

  private async statement(actor: Actor, focus: string | undefined): Promise<boolean> {
    const { random } = this
    const table = focus !== undefined && random.chance(80) ? focus : await this.table(actor)
    if (table === undefined || random.chance(6)) return this.create(actor)
    switch (random.int(12)) {
      case 0:
      case 1:
      case 2:
        return this.alter(actor, table)
      case 3:
        return this.rare(actor, table)
      case 4:
      case 5:
        return this.update(actor, table)
      case 6:
        return this.attempt(actor, 'DELETE', `DELETE FROM ${table} WHERE ctid::text LIKE '%${random.int(10)})'`)
      case 7:
        return this.attempt(actor, 'lock', `SELECT FROM ${table} WHERE ctid::text LIKE '%${random.int(10)})' FOR ${random.pick(LOCKS)}`)
      default:
        return this.insert(actor, table)
    }
  }

  private async create(actor: Actor): Promise<boolean> {
    const { random } = this
    const tables = await actor.session.rows(RELATIONS + " AND relkind IN ('r', 'p', 'm') ORDER BY 1")
    if (tables.length > TABLES_MAX) return this.attempt(actor, 'DROP CASCADE', `DROP TABLE ${random.pick(tables)[0]!} CASCADE`)
    const name = `"${random.pick(TABLE_NAMES)}_${this.names++}"`
    const types = Array.from({ length: random.int(7) }, () => random.pick(COLUMN_TYPES))
    const columns = types.map((type, i) => `"${COLUMN_NAMES[i]!.replaceAll('"', '""')}" ${type}`).join(', ')
    switch (random.int(7)) {
      case 0:
        return this.attempt(actor, 'CREATE PARENT', `CREATE TABLE ${name} (k int, ${columns === '' ? 'v text' : columns}) PARTITION BY LIST (k)`)
      case 1: {
        const parent = await this.oneOf(actor, `${RELATIONS} AND relkind = 'p'`)
        const at = random.int(20)
        return parent !== undefined && this.attempt(actor, 'CREATE PARTITION', `CREATE TABLE ${name} PARTITION OF ${parent} FOR VALUES IN (${at}, ${at + 100})`)
      }
      case 2: {
        const source = await this.oneOf(actor, `${RELATIONS} AND relkind IN ('r', 'm')`)
        const kind = random.pick(['TABLE', 'MATERIALIZED VIEW', 'UNLOGGED TABLE'])
        return source !== undefined && this.attempt(actor, `CREATE ${kind} AS`, `CREATE ${kind} ${name} AS SELECT * FROM ${source}`)
      }
      case 3: {
        const parent = await this.oneOf(actor, `${RELATIONS} AND relkind = 'r' AND NOT relispartition`)
        return parent !== undefined && this.attempt(actor, 'INHERITS', `CREATE TABLE ${name} (own int) INHERITS (${parent})`)
      }
      default:
        return this.attempt(actor, 'CREATE TABLE', `CREATE TABLE ${name} (${columns})`)
    }
  }

  private async insert(actor: Actor, table: string): Promise<boolean> {
    const columns = await this.columns(actor, table)
    const some = columns.filter(() => this.random.chance(85))
    if (some.length === 0) return this.attempt(actor, 'INSERT DEFAULT', `INSERT INTO ${table} DEFAULT VALUES`)
    const shapes = await this.shapes(actor)
    const rows = Array.from({ length: 1 + this.random.int(5) }, () => `(${some.map(({ type }) => this.value(type, shapes)).join(', ')})`)
    const many = this.random.chance(10) ? ` FROM generate_series(1, ${20 + this.random.int(200)})` : ''
    const source = many === '' ? `VALUES ${rows.join(', ')}` : `SELECT ${rows[0]!.slice(1, -1)}${many}`
    return this.attempt(actor, 'INSERT', `INSERT INTO ${table} (${some.map(({ name }) => name).join(', ')}) ${source}`)
  }

  private async update(actor: Actor, table: string): Promise<boolean> {
    const columns = await this.columns(actor, table)
    if (columns.length === 0) return false
    const { name, type } = this.random.pick(columns)
    const value = this.value(type, await this.shapes(actor))
    return this.attempt(actor, 'UPDATE', `UPDATE ${table} SET ${name} = ${value} WHERE ctid::text LIKE '%${this.random.int(10)})'`)
  }

  private async alter(actor: Actor, table: string): Promise<boolean> {
    const { random } = this
    const columns = await this.columns(actor, table)
    const { name, type } = columns.length === 0 ? { name: 'none', type: 'integer' } : random.pick(columns)
    const fresh = `"${random.pick(COLUMN_NAMES).replaceAll('"', '""')}${random.chance(40) ? this.names++ : ''}"`
    const alter = (kind: string, what: string): Promise<boolean> => this.attempt(actor, kind, `ALTER TABLE ${table} ${what}`)
    switch (random.int(10)) {
      case 0:
      case 1:
        return alter('ADD COLUMN', `ADD COLUMN ${fresh} ${random.pick(COLUMN_TYPES)}`)
      case 2:
      case 3: {
        const added = random.pick(COLUMN_TYPES)
        const value = this.value(added, await this.shapes(actor))
        return alter('ADD DEFAULT', `ADD COLUMN ${fresh} ${added} DEFAULT ${value} ${random.chance(20) ? 'NOT NULL' : ''}`)
      }
      case 4:
        return alter('DROP COLUMN', `DROP COLUMN ${name}`)
      case 5:
      case 6: {
        const [to, using] = random.pick(CONVERSIONS[type] ?? ['text USING NULL']).split(' USING ')
        return alter(`ALTER TYPE to ${to}`, `ALTER COLUMN ${name} TYPE ${to}${using === undefined ? '' : ` USING ${using.replaceAll('%', name)}`}`)
      }
      case 7:
        return alter('RENAME COLUMN', `RENAME COLUMN ${name} TO ${fresh}`)
      case 8:
        return alter('SET STORAGE', `ALTER COLUMN ${name} SET STORAGE ${random.pick(STORAGES)}`)
      default:
        return alter('NOT NULL', `ALTER COLUMN ${name} ${random.pick(['SET', 'DROP'])} NOT NULL`)
    }
  }

  private async rare(actor: Actor, table: string): Promise<boolean> {
    const { random } = this
    const { labels } = await this.shapes(actor)
    const columns = await this.columns(actor, table)
    const attempt = (kind: string, sql: string): Promise<boolean> => this.attempt(actor, kind, sql)
    switch (random.int(16)) {
      case 0:
        return attempt('TRUNCATE', `TRUNCATE ${table}`)
      case 1:
        return attempt('RENAME TABLE', `ALTER TABLE ${table} RENAME TO "${random.pick(TABLE_NAMES)}_${this.names++}"`)
      case 2:
        return attempt('DROP TABLE', `DROP TABLE ${table}`)
      case 3:
      case 4:
        return columns.length > 0 && attempt('CREATE INDEX', `CREATE INDEX ON ${table} (${random.pick(columns).name})`)
      case 5:
        return attempt('ADD VALUE', `ALTER TYPE label ADD VALUE 'label ${this.names++}' ${random.chance(50) ? "BEFORE 'second'" : ''}`)
      case 6:
        return labels.length > 0 && attempt('RENAME VALUE', `ALTER TYPE label RENAME VALUE '${random.pick(labels)}' TO 'renamed ${this.names++}'`)
      case 7:
      case 8:
        return attempt('ADD ATTRIBUTE', `ALTER TYPE pair ADD ATTRIBUTE f${this.names++} ${random.pick(FIELD_TYPES)}`)
      case 9: {
        const field = await this.oneOf(actor, `SELECT quote_ident(attname) FROM pg_attribute
          WHERE attrelid = (SELECT typrelid FROM pg_type WHERE oid = 'pair'::regtype) AND NOT attisdropped`)
        const what = random.chance(50) ? `DROP ATTRIBUTE ${field}` : `RENAME ATTRIBUTE ${field} TO g${this.names++}`
        return field !== undefined && attempt(what.split(' ').slice(0, 2).join(' '), `ALTER TYPE pair ${what}`)
      }
      case 10: {
        const parent = await this.oneOf(actor, `${RELATIONS} AND relkind = 'p'`)
        const at = random.int(20)
        if (parent === undefined) return false
        const name = `attached_${this.names++}`
        // Other order of columns, another column dropped: a partition's attnums are its own.
        return await attempt('CREATE LIKE', `CREATE TABLE ${name} (gone text, LIKE ${parent})`)
          && await attempt('DROP COLUMN', `ALTER TABLE ${name} DROP COLUMN gone`)
          && attempt('ATTACH', `ALTER TABLE ${parent} ATTACH PARTITION ${name} FOR VALUES IN (${at})`)
      }
      case 11: {
        const part = await this.partition(actor)
        return part !== undefined && attempt('DETACH', `ALTER TABLE ${part.parent} DETACH PARTITION ${part.child}`)
      }
      case 12:
        return attempt('LOGGED', `ALTER TABLE ${table} SET ${random.pick(['LOGGED', 'UNLOGGED'])}`)
      case 13:
        return attempt('REFRESH', `REFRESH MATERIALIZED VIEW ${table}`)
      case 14:
        return attempt('nextval', "SELECT nextval('numbers')")
      default:
        return attempt('ADD VOLATILE', `ALTER TABLE ${table} ADD COLUMN "v${this.names++}" text DEFAULT md5(random()::text || clock_timestamp())`)
    }
  }

  private value(type: string, { labels, fields }: Shapes): string {
    return randomValue(this.random, type, labels, fields)
  }

  private table(actor: Actor): Promise<string | undefined> {
    return this.oneOf(actor, `${RELATIONS} AND relkind IN ('r', 'r', 'p', 'm')`)
  }

  private async columns({ session }: Actor, table: string): Promise<Column[]> {
    const rows = await session.rows(`
      SELECT quote_ident(attname), format_type(atttypid, atttypmod) FROM pg_attribute
      WHERE attrelid = to_regclass('${table.replaceAll("'", "''")}') AND attnum > 0 AND NOT attisdropped ORDER BY attnum`)
    return rows.map(([name, type]) => ({ name: name!, type: type! }))
  }

  private async shapes({ session }: Actor): Promise<Shapes> {
    const labels = await session.rows("SELECT enumlabel FROM pg_enum WHERE enumtypid = 'label'::regtype ORDER BY oid")
    const fields = await session.rows(`SELECT format_type(atttypid, atttypmod) FROM pg_attribute
      WHERE attrelid = (SELECT typrelid FROM pg_type WHERE oid = 'pair'::regtype) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`)
    return { labels: labels.map(([label]) => label!), fields: fields.map(([type]) => type!) }
  }

  private async partition(actor: Actor): Promise<{ parent: string; child: string } | undefined> {
    const rows = await actor.session.rows(`SELECT inhparent::regclass, inhrelid::regclass FROM pg_inherits
      WHERE inhparent IN (SELECT oid FROM pg_class WHERE relkind = 'p' AND relnamespace = 'ddl'::regnamespace) ORDER BY 2`)
    if (rows.length === 0) return undefined
    const [parent, child] = this.random.pick(rows)
    return { parent: parent!, child: child! }
  }

  private async oneOf({ session }: Actor, query: string): Promise<string | undefined> {
    const rows = await session.rows(`${query} ORDER BY 1`)
    return rows.length === 0 ? undefined : this.random.pick(rows)[0] ?? undefined
  }

  private async attempt({ session }: Actor, kind: string, sql: string): Promise<boolean> {
    try {
      await session.exec(sql)
      this.done.set(kind, (this.done.get(kind) ?? 0) + 1)
      this.log.push(`${this.actors.findIndex((actor) => actor.session === session)}: ${sql.slice(0, 300)}`)
      return true
    } catch (error) {
      if (error instanceof StuckError) throw error
      this.log.push(`${this.actors.findIndex((actor) => actor.session === session)}: -- ${sql.slice(0, 120)}: ${(error as Error).message}`)
      return false
    }
  }
}

const RELATIONS = "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'ddl'::regnamespace"

/** Types of the attributes that composite `pair` gets. */
const FIELD_TYPES = ['int', 'text', 'numeric', 'timestamp', 'label', 'int[]', 'float8']

interface Shapes {
  labels: string[]
  fields: string[]
}
