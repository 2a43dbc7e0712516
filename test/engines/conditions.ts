import type { Engine, Question } from './engine.ts'

/** Ids of the rows, in their order, for which an engine finds a condition true. @param question of a table with a column `id` of numbers */
export async function idsWhere(engine: Engine, question: Question, where: string): Promise<number[]> {
  const { columns, rows } = await engine.ask({ ...question, ...engine.name === 'polars' ? { sql: `SELECT * FROM t WHERE ${where}` } : { where } })
  const id = columns.findIndex(({ name }) => name === 'id')
  return rows.map((row) => Number(row[id])).sort((a, b) => a - b)
}
