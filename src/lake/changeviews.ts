import { type LayeredRelation, freeName, listedRows } from './layeredviews.ts'
import { quoteName } from './viewnames.ts'
import { globEscape, quoteText } from './viewtext.ts'

/** What is between two states, or before the first one. */
export interface ChangeStep {
  /** LSN of the state before, as a number; undefined for the first state. */
  readonly after: number | undefined
  readonly upto: number
  /** Next full xid at `upto`. */
  readonly nextXid: number
  /** The table's rows have a new file of Postgres: VACUUM FULL, TRUNCATE, a change of a column's type. */
  readonly isRewritten: boolean
}

/** Why a row of a file is listed: it is shown from this step on. */
export const COMES = 1
/** It is shown no more. */
export const GOES = 2
/** It is there, and not shown. */
export const STAYS_HIDDEN = 3

/** A table over several states. */
export interface ChangedTable {
  readonly columns: readonly string[]
  readonly rows: Pick<LayeredRelation, 'groups' | 'types'>
  /** By their places in it: what the `step` of a row is. */
  readonly steps: readonly ChangeStep[]
  /** A Parquet file (file, pos, step, part, kind) of the rows that come and go. Numbers of parts tell files of Postgres apart. */
  readonly list: string
  /** Parquet files with the rows of `ltap.transactions`. */
  readonly transactions: readonly string[]
}

/*
 * A version of a row is (part, block, offset, low half of xmin). One that comes and goes in the same step was copied. An update is a version that goes, and
 * one that comes, with a chain from the one to the other: t_ctid of each version names the place of the next one, whose xmin is its xmax (heapam.c,
 * heap_get_latest_tid). Where VACUUM removed a part of the chain, there are a delete and an insert.
 */

/** HEAP_XMAX_INVALID, HEAP_XMAX_IS_MULTI, HEAP_XMAX_LOCK_ONLY (htup_details.h). */
const NO_DELETER = 0x0800 | 0x1000 | 0x0080
/** Infomask of a version whose `_ltap.infomask` is NULL. */
const PREDICTED_INFOMASK = 0x0900
const LOW = '4294967296'

function commonTables({ columns, rows, steps, list, transactions }: ChangedTable): string {
  const values = steps.map(({ after, upto, nextXid, isRewritten }, i) => (
    `(${i}, ${after ?? 'NULL'}::BIGINT, ${upto}::BIGINT, ${nextXid}::BIGINT, ${isRewritten})`))
  const ended = transactions.length === 0
    ? 'SELECT NULL::BIGINT AS xid, NULL::BIGINT AS commit_lsn, NULL::TIMESTAMPTZ AS commit_time, NULL::BIGINT AS lsn_upto WHERE false'
    : `SELECT xid, commit_lsn, commit_time, lsn_upto
    FROM read_parquet([${transactions.map((path) => quoteText(globEscape(path))).join(', ')}], hive_partitioning = false) WHERE status = 'committed'`
  return `"_step"(step, lsn_after, lsn_upto, next_xid, rewritten) AS (VALUES ${values.join(', ')}),
"_ended" AS (${ended}),
"_listed" AS (${listedRows(rows, columns, list).join('\nUNION ALL\n')}),
"_version" AS (SELECT step, part, kind, "_values", "_ltap".block AS block, "_ltap"."offset" AS "offset", "_ltap".xmin % ${LOW} AS xmin,
    CASE WHEN coalesce("_ltap".xmax, 0) <> 0 AND (coalesce("_ltap".infomask, ${PREDICTED_INFOMASK}) & ${NO_DELETER}) = 0
      THEN "_ltap".xmax % ${LOW} END AS xmax,
    coalesce("_ltap".ctid.block, "_ltap".block) AS next_block, coalesce("_ltap".ctid."offset", "_ltap"."offset") AS next_offset FROM "_listed"),
"_net" AS (SELECT * FROM "_version" WHERE kind < ${STAYS_HIDDEN} QUALIFY count(*) OVER (PARTITION BY step, part, block, "offset", xmin) = 1),
"_dead" AS (SELECT * FROM "_version" WHERE kind = ${STAYS_HIDDEN} AND xmax IS NOT NULL)`
}

/** Full xid of a transaction that ended in the step `s`, whose low half is `xid`. */
function fullXid(xid: string, step: string): string {
  return `(${xid} + (${step}.next_xid // ${LOW} - CASE WHEN ${xid} > ${step}.next_xid % ${LOW} THEN 1 ELSE 0 END) * ${LOW})`
}

/** What is known of the transaction of a step. */
function endedJoin(alias: string, xid: string, step: string): string {
  const isWithin = `${alias}.lsn_upto > ${step}.lsn_after AND ${alias}.lsn_upto <= ${step}.lsn_upto`
  return `LEFT JOIN "_ended" AS ${alias} ON ${alias}.xid = ${fullXid(xid, step)} AND ${isWithin}`
}

function sameVersion(a: string, b: string): string {
  return `${a}.part = ${b}.part AND ${a}.block = ${b}.block AND ${a}."offset" = ${b}."offset" AND ${a}.xmin = ${b}.xmin`
}

/**
 * The SELECT of a table's changes: (lsn_after, lsn_upto, commit_lsn, change_seq, xid, op, commit_time, before, after), a change a row: insert, update,
 * delete, or rewrite. The last one says that every row before is gone; the rows that the table has then follow as inserts.
 */
export function changesSelect(table: ChangedTable): string {
  return `WITH RECURSIVE ${commonTables(table)},
"_chain" AS (
  SELECT o.step, o.part, o.block, o."offset", o.xmin, d.next_block, d.next_offset, d.xmax FROM "_net" AS o
    JOIN "_dead" AS d ON d.step = o.step AND ${sameVersion('o', 'd')} WHERE o.kind = ${GOES}
  UNION
  SELECT c.step, c.part, c.block, c."offset", c.xmin, d.next_block, d.next_offset, d.xmax FROM "_chain" AS c
    JOIN "_dead" AS d ON d.step = c.step AND d.part = c.part AND d.block = c.next_block AND d."offset" = c.next_offset AND d.xmin = c.xmax),
"_pair" AS (SELECT c.*, i."_values" AS "after", i.block AS to_block, i."offset" AS to_offset, i.xmin AS to_xmin FROM "_chain" AS c
  JOIN "_net" AS i ON i.kind = ${COMES} AND i.step = c.step AND i.part = c.part
    AND i.block = c.next_block AND i."offset" = c.next_offset AND i.xmin = c.xmax),
"_change" AS (
  SELECT step, 0 AS part, 0 AS rank, 'rewrite' AS op, NULL::BIGINT AS xid, 0 AS block, 0 AS "offset", NULL AS "before", NULL AS "after"
    FROM "_step" WHERE rewritten
  UNION ALL
  SELECT o.step, o.part, 1, 'delete', d.xmax, o.block, o."offset", o."_values", NULL FROM "_net" AS o
    JOIN "_step" AS s ON s.step = o.step AND NOT s.rewritten
    LEFT JOIN "_dead" AS d ON d.step = o.step AND ${sameVersion('o', 'd')}
    ANTI JOIN "_pair" AS p ON p.step = o.step AND ${sameVersion('o', 'p')} WHERE o.kind = ${GOES}
  UNION ALL
  SELECT o.step, o.part, 2, 'update', p.to_xmin, o.block, o."offset", o."_values", p."after" FROM "_net" AS o
    JOIN "_pair" AS p ON p.step = o.step AND ${sameVersion('o', 'p')} WHERE o.kind = ${GOES}
  UNION ALL
  SELECT i.step, i.part, 3, 'insert', i.xmin, i.block, i."offset", NULL, i."_values" FROM "_net" AS i
    ANTI JOIN "_pair" AS p ON p.step = i.step AND p.part = i.part AND p.to_block = i.block AND p.to_offset = i."offset" AND p.to_xmin = i.xmin
    WHERE i.kind = ${COMES})
SELECT s.lsn_after, s.lsn_upto, t.commit_lsn,
  row_number() OVER (PARTITION BY c.step ORDER BY c.rank > 0, t.commit_lsn NULLS LAST, c.rank, c.part, c.block, c."offset") AS change_seq,
  t.xid, c.op, t.commit_time, c."before", c."after"
FROM "_change" AS c JOIN "_step" AS s ON s.step = c.step AND s.lsn_after IS NOT NULL
${endedJoin('t', 'c.xid', 's')}`
}

/**
 * The SELECT of each version of a table's rows that a state shows: the table's columns, xmin and xmax as Postgres shows them, when and between which states
 * the version came and went.
 */
export function versionsSelect(table: ChangedTable): string {
  const taken = [...table.columns]
  const own = (name: string): string => {
    const free = freeName(name, taken)
    taken.push(free)
    return quoteName(free)
  }
  const columns = table.columns.map((name) => `i."_values".${quoteName(name)} AS ${quoteName(name)}`)
  return `WITH ${commonTables(table)},
"_gone" AS (SELECT o.*, d.xmax AS deleter FROM (SELECT * EXCLUDE (xmax) FROM "_net" WHERE kind = ${GOES}) AS o
  LEFT JOIN "_dead" AS d ON d.step = o.step AND ${sameVersion('o', 'd')})
SELECT ${[
    ...columns, `i.xmin AS ${own('xmin')}`, `o.deleter AS ${own('xmax')}`, `tf.commit_time AS ${own('valid_from')}`, `tt.commit_time AS ${own('valid_to')}`,
    `tf.commit_lsn AS ${own('from_lsn')}`, `f.lsn_after AS ${own('from_after')}`, `f.lsn_upto AS ${own('from_upto')}`,
    `tt.commit_lsn AS ${own('to_lsn')}`, `g.lsn_after AS ${own('to_after')}`, `g.lsn_upto AS ${own('to_upto')}`,
    `coalesce(g.rewritten, false) AS ${own('to_rewrite')}`,
  ].join(', ')}
FROM (SELECT * FROM "_net" WHERE kind = ${COMES}) AS i
JOIN "_step" AS f ON f.step = i.step
ASOF LEFT JOIN "_gone" AS o ON ${sameVersion('i', 'o')} AND i.step < o.step
LEFT JOIN "_step" AS g ON g.step = o.step
${endedJoin('tf', 'i.xmin', 'f')}
${endedJoin('tt', 'o.deleter', 'g')}`
}
