import type { Session, TextRow } from './session.ts'
import { DELETED_ORDER } from './shop.ts'

export interface Question {
  what: string
  sql: string
}

/** The one that DuckDB answers too, from the lake: the same text is SQL for both. */
export const REVENUE_SQL = `SELECT c.country, count(*) AS lines, sum(l.quantity * l.price) AS revenue
FROM order_lines l JOIN orders o ON o.id = l.order_id JOIN customers c ON c.id = o.customer_id
GROUP BY c.country ORDER BY revenue DESC LIMIT 5`

const everyValue = (table: string): Question => ({
  what: `${table.replace('_', ' ')}: number of rows, sum of the hashes of all values`,
  sql: `SELECT count(*), sum(hashtextextended(t::text, 0)) FROM ${table} t`,
})

/** What is asked of the server before it stops, and again of the server on rebuilt files. */
export const QUESTIONS: readonly Question[] = [
  everyValue('customers'),
  everyValue('orders'),
  everyValue('order_lines'),
  everyValue('oddities'),
  { what: 'revenue by country', sql: REVENUE_SQL },
  {
    what: 'ten orders by primary key, one of them deleted',
    sql: `SELECT * FROM orders WHERE id BETWEEN ${DELETED_ORDER - 4} AND ${DELETED_ORDER + 5} ORDER BY id`,
  },
]

export async function ask(session: Session): Promise<TextRow[][]> {
  const answers: TextRow[][] = []
  for (const { sql } of QUESTIONS) answers.push(await session.rows(sql))
  return answers
}

export function sameRows(a: readonly TextRow[], b: readonly TextRow[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** An answer on one line: `997,900 rows, -4186…`. */
export function shortAnswer(rows: readonly TextRow[]): string {
  if (rows.length === 1) return rows[0]!.map((value) => value ?? 'NULL').join('  ')
  return `${rows.length} rows, first: ${rows[0]?.slice(0, 3).map((value) => value ?? 'NULL').join('  ') ?? ''}`
}

/**
 * Postgres's own checker of heap files and indexes, on every table of the database; one line per problem.
 * Undefined if the server has no amcheck.
 */
export async function amcheck(session: Session): Promise<TextRow[] | undefined> {
  const there = await session.rows("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'")
  if (there.length === 0) return undefined
  await session.run('CREATE EXTENSION IF NOT EXISTS amcheck')
  const problems = await session.rows(`SELECT c.oid::regclass, v.* FROM pg_class c, LATERAL verify_heapam(c.oid) v
    WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p'`)
  // Raises an error if the index and its table disagree: every row of the table must be found by its key.
  await session.run(`SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relpersistence = 'p'`)
  return problems
}
